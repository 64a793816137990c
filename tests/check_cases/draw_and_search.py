"""Answers for notebook 05."""

import torch

from check_cases import Cases
from dfsbir_lite import strokes

CARS = [0, 0, 4, 4, 5, 10, 10]
TAUGHT = torch.tensor([0.99, 0.98, 0.97])
HOUSE = strokes.lines([[0.2, 0.9], [0.2, 0.5], [0.5, 0.1], [0.8, 0.5], [0.8, 0.9], [0.2, 0.9]])


def placed(place):
    """A function that makes new strokes, each point (x, y) at place(x, y)."""
    return lambda strokes: [{**s, "points": [place(*p) for p in s["points"]]} for s in strokes]


def in_place(strokes):
    for stroke in strokes:
        stroke["points"] = [[1 - x, y] for x, y in stroke["points"]]
    return strokes


def thinner(strokes):
    return [{**s, "width": s["width"] / 4} for s in placed(lambda x, y: [1 - x, y])(strokes)]


def rest(strokes, n):
    return strokes[:n] + strokes[n + 1 :]


def falls(strokes, cosine):
    """As a tensor, stroke by stroke."""
    without = [cosine(rest(strokes, n)) for n in range(len(strokes))]
    return cosine(strokes) - torch.tensor(without)


def by_enumeration(strokes, cosine):
    """As a list, by another road."""
    return [
        cosine(strokes) - cosine([s for k, s in enumerate(strokes) if k != n])
        for n, _ in enumerate(strokes)
    ]


def added(strokes, cosine):
    return [cosine(strokes[: n + 1]) - cosine(strokes[:n]) for n in range(len(strokes))]


def without(strokes, cosine):
    return [cosine(rest(strokes, n)) for n in range(len(strokes))]


def houses(strokes):
    """A search that knows houses by their one stroke."""
    return [("house", 9), ("tree", 1)] if len(strokes) == 1 else [("tree", 6), ("house", 4)]


def cases() -> dict[str, Cases]:
    return {
        "strokes_needed": Cases(
            right=[(6, CARS), (6.0, CARS), (torch.tensor(1), [10, 10])],
            wrong=[
                ((5, CARS), "more"),
                ((7, CARS), "fewer"),
                ((0, CARS), "from 1 to 7"),
                ((2.5, CARS), "whole number"),
                ((6, [0, 1]), "too few"),
            ],
        ),
        "mirrored": Cases(
            right=[
                (placed(lambda x, y: [1 - x, y]), strokes.EXAMPLES),
                (placed(lambda x, y: (-x, y)), strokes.EXAMPLES),
            ],
            wrong=[
                ((placed(lambda x, y: [x, y]), strokes.EXAMPLES), "stayed"),
                ((placed(lambda x, y: [x, 1 - y]), strokes.EXAMPLES), "on its head"),
                ((placed(lambda x, y: [1 - x, 1 - y]), strokes.EXAMPLES), "half a circle"),
                ((placed(lambda x, y: [y, x]), strokes.EXAMPLES), "on its side"),
                ((placed(lambda x, y: [1 - x, y / 2]), strokes.EXAMPLES), "Draw both"),
                ((in_place, strokes.EXAMPLES), "changes the drawing"),
                ((lambda strokes: strokes.EXAMPLES["boat"], strokes.EXAMPLES), "should stay"),
            ],
        ),
        "refuses": Cases(
            right=[(0.97, TAUGHT, 0.88), (torch.tensor(0.9), TAUGHT, torch.tensor(0.88))],
            wrong=[
                ((0.88, TAUGHT, 0.88), "The star gets"),
                ((0.5, TAUGHT, 0.88), "The star gets"),
                ((0.985, TAUGHT, 0.88), "2 of 3"),
                ((97, TAUGHT, 0.88), "between -1 and 1"),
            ],
        ),
        "stroke_falls": Cases(
            right=[(falls,), (by_enumeration,)],
            wrong=[
                ((lambda s, cosine: -falls(s, cosine),), "The sign"),
                ((without,), "without the stroke"),
                ((lambda s, cosine: [cosine([one]) for one in s],), "kept one stroke"),
                ((added,), "those before it"),
                ((lambda s, cosine: [0.0] * len(s),), "Not the falls"),
                ((lambda s, cosine: cosine(s),), "one number for each"),
                ((lambda s, cosine: falls(s, cosine)[:2],), "one number for each"),
                ((0.1,), "a function"),
            ],
        ),
        "own_drawing": Cases(
            right=[(HOUSE, "house", houses), (tuple(HOUSE), "house", houses)],
            wrong=[
                ((HOUSE * 2, "house", houses), "It finds 6 tree, 4 house"),
                ((strokes.EXAMPLES["tree"], "house", houses), "2 are allowed"),
                ((HOUSE, "boat", houses), "on the paper already"),
                ((HOUSE, "truck", houses), "your truck"),
                (([[0.1, 0.2]], "house", houses), "Strokes are wanted"),
                (([], "house", houses), "Strokes are wanted"),
            ],
        ),
    }
