"""Answers for notebook 00."""

import torch

from check_cases import Cases

HITS = [False, True, True, False, True]
LABELS = torch.arange(16).repeat_interleave(3)


def found(*rows):
    """Hits of 48 sketches, eight ranks each: those of `rows` find nothing."""
    hits = torch.zeros(len(LABELS), 8, dtype=torch.bool)
    hits[:, 7] = True
    hits[list(rows)] = False
    return hits


def cases() -> dict[str, Cases]:
    nothing = found(0, 1, 2, 3, 4, 6, 40)
    return {
        "ap_by_hand": Cases(
            right=[(0.59, HITS), ((1 / 2 + 2 / 3 + 3 / 5) / 3, HITS), (torch.tensor(0.589), HITS)],
            wrong=[
                ((1 / 2 + 2 / 3 + 3 / 5, HITS), "Take the mean"),
                (((1 / 2 + 2 / 3 + 3 / 5) / 5, HITS), "length of the ranking"),
                ((0.6, HITS), "whole ranking"),
                (((1 / 2 + 1 / 3 + 1 / 5) / 3, HITS), "1 / rank"),
                ((0.9, HITS), "At each right photo"),
            ],
        ),
        "failures": Cases(
            right=[
                ([0, 1, 3, 4, 6], nothing, LABELS),
                (torch.tensor([6, 4, 0, 1, 2]), nothing, LABELS),
            ],
            wrong=[
                (([0, 1, 3, 4, 4], nothing, LABELS), "Five different"),
                (([0, 1, 3, 4, 99], nothing, LABELS), "from 0 to 47"),
                (([0, 1, 3, 6, 40], nothing, LABELS), "unseen class"),
                (([0, 1, 3, 4, 7], nothing, LABELS), "Sketch 7 finds"),
                (([0, 1, 2, 3, 4], nothing, LABELS), "three classes"),
            ],
        ),
    }
