"""Answers for notebook 05."""

import torch

from check_cases import Cases
from dfsbir_lite.strokes import EXAMPLES, lines

KNOWN = torch.tensor([[0.99], [0.98], [0.97]])
HOUSE = lines([[0.2, 0.9], [0.2, 0.5], [0.5, 0.1], [0.8, 0.5], [0.8, 0.9], [0.2, 0.9]])


def houses(strokes):
    """A search that knows houses by their one stroke."""
    return [("house", 9), ("tree", 1)] if len(strokes) == 1 else [("tree", 6), ("house", 4)]


def cases() -> dict[str, Cases]:
    return {
        "refuses": Cases(
            right=[(0.97, KNOWN, 0.88), (torch.tensor(0.9), KNOWN, torch.tensor(0.88))],
            wrong=[((0.88, KNOWN, 0.88), "The star gets"), ((0.985, KNOWN, 0.88), "2 of the 3")],
        ),
        "own_drawing": Cases(
            right=[(HOUSE, "house", houses), (tuple(HOUSE), "house", houses)],
            wrong=[
                ((HOUSE * 2, "house", houses), "It finds 6 tree, 4 house"),
                ((EXAMPLES["tree"], "house", houses), "two are allowed"),
                ((HOUSE, "boat", houses), "on the paper"),
                ((HOUSE, "truck", houses), "your truck"),
            ],
        ),
    }
