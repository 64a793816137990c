"""Checks of notebook 00: average precision, and a look at failures."""

import torch

from dfsbir_lite import toybox
from dfsbir_lite.lessons.checks import Wrong, exercise, explain, number


@exercise
def ap_by_hand(answer, hits: list[bool]) -> str:
    """Judge the average precision, a number, of a ranking with `hits` at these ranks."""
    value, hits = number(answer), torch.tensor(hits)
    ranks = torch.arange(1, len(hits) + 1)
    at_hits = (hits.cumsum(0) / ranks)[hits]
    if abs(value - at_hits.mean()) <= 6e-3:
        return "The late hit still counts: AP looks at all right photos, not only at the first."
    mistakes = {
        "Average precision is a mean of shares, not above 1. Take the mean.": at_hits.sum(),
        "The length of the ranking does not count: divide by the hits.": at_hits.sum() / len(hits),
        "This is the share of right photos in the whole ranking; where they are does not matter "
        "to it. Stop at each right photo and note the share up to there.": hits.float().mean(),
        "You took 1 / rank at each right photo. The share up to there has all hits so far above "
        "the line: the second hit counts 2.": (1 / ranks)[hits].mean(),
    }
    explain(value, mistakes)
    raise Wrong("At each right photo: how many right so far, divided by its rank. Then the mean.")


@exercise
def failures(answer, hits: torch.Tensor, labels: torch.Tensor) -> str:
    """Judge five rows of sketches of seen classes that find nothing right at first.

    `hits`, bool (Q, k), says whether each sketch's photo at each rank is right; `labels` (Q,).
    """
    rows = [int(row) for row in answer]
    if len(set(rows)) != 5 or not all(0 <= row < len(labels) for row in rows):
        raise Wrong(f"Five different rows of sketches are wanted, from 0 to {len(labels) - 1}.")
    if any(labels[row] >= len(toybox.SEEN) for row in rows):
        raise Wrong("At least one is of an unseen class. That it fails is no news.")
    if found := [row for row in rows if hits[row].any()]:
        raise Wrong(f"Sketch {found[0]} finds a right photo among the first {hits.shape[1]}.")
    if len({int(labels[row]) for row in rows}) < 3:
        raise Wrong("All true, but of fewer than three classes. Look in the others, too.")
    return (
        "Nothing right, five times. The rest is yours: what do these sketches have in common, "
        "and which sketches would show that your guess is wrong?"
    )
