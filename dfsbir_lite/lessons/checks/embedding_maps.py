"""Checks of notebook 04: a gap by hand, and features in a common frame."""

import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite import retrieval
from dfsbir_lite.lessons import projections
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, explain, number
from dfsbir_lite.runtime import approx


@exercise
def gap_by_hand(answer, photos: Tensor, sketches: Tensor) -> str:
    """Judge the centroid gap of `photos` and `sketches` (N, 2), a number to two digits."""
    mine = number(answer)
    if abs(mine - projections.centroid_gap(photos, sketches)) < 0.01:
        return "Only directions count: twice as long an arrow changes nothing."
    p, s = F.normalize(photos, dim=1), F.normalize(sketches, dim=1)
    mistakes = {
        "Make every row a unit vector first.": (photos.mean(0) - sketches.mean(0)).norm(),
        "That is the squared distance: take the root.": (p.mean(0) - s.mean(0)).square().sum(),
    }
    explain(mine, mistakes, 0.01)
    raise Wrong("Write down the unit vectors, the mean of each set, and the distance: two digits.")


@exercise
def mended(answer, photos: Tensor, sketches: Tensor, labels: Tensor) -> str:
    """Judge `answer(sketch features (N, D))`, rows (N, D) comparable with photo features.

    Sketches and photos have the same `labels`. mAP@all must be above 0.5.
    """
    rows = torch.as_tensor(ask(answer, sketches.clone()))
    if not torch.allclose(torch.as_tensor(answer(sketches.flip(0))).flip(0), rows, atol=1e-3):
        raise Wrong("In another order the same sketches get other rows: use a row, not its place.")
    before, after = (
        retrieval.score(part, labels, photos, labels).map_all for part in (sketches, rows)
    )
    change = f"mAP@all was {approx(before)} and is {approx(after)}."
    if after <= 0.5:
        raise Wrong(f"{change} Turn directions of the sketch teacher onto the same of the other.")
    return f"{change} The features lacked only a common frame. What did yours need to find it?"
