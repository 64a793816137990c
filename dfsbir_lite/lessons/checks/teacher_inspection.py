"""Checks of notebook 01: posteriors, and a read-out of the logits."""

import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite import retrieval
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, explain
from dfsbir_lite.runtime import approx


@exercise
def posteriors(answer) -> str:
    """Judge `answer(logits (N, C), temperature)`, the softmax of logits / temperature."""
    x, t = 2 * torch.randn(5, 4, generator=torch.Generator().manual_seed(1)), 3.0
    mine = torch.as_tensor(ask(answer, x.clone(), t)).float()
    if mine.shape != x.shape:
        raise Wrong(f"Shape {tuple(x.shape)} is wanted, not {tuple(mine.shape)}.")
    if torch.allclose(mine, F.softmax(x / t, 1), atol=1e-4):
        return "No temperature changes the order of the classes, but retrieval uses every number."
    mistakes = {
        "Your columns sum to 1. A row, which is one picture, should.": F.softmax(x / t, 0),
        "You multiplied by the temperature: a high one makes it sharper.": F.softmax(x * t, 1),
        "You divided the posteriors; divide the logits, before the softmax.": F.softmax(x, 1) / t,
        "The temperature makes no difference to yours.": F.softmax(x, 1),
        "Your rows do not sum to 1: what is left to divide by?": (x / t).exp(),
    }
    explain(mine, mistakes, 1e-4)
    raise Wrong("The shape is right, the numbers are not. Work out one entry on paper.")


@exercise
def better_readout(answer, val: dict) -> str:
    """Judge `answer(logits (N, C))`, rows that retrieve by cosine better than logits do.

    They must be .01 above logits and posteriors on unseen classes, and at most .03 below
    posteriors on seen ones. `val` maps "seen" and "unseen" to logits of photos, logits of
    sketches, and the labels of both.
    """
    tried = {"yours": answer, "logits": lambda x: x, "posteriors": lambda x: F.softmax(x, 1)}
    seen, unseen = ({k: _map_all(f, *val[part]) for k, f in tried.items()} for part in val)
    scores = f"mAP@all {approx(seen['yours'])} on seen classes, {approx(unseen['yours'])} on unseen"
    if seen["yours"] < seen["posteriors"] - 0.03:
        less = f"{scores}. On seen classes posteriors have {approx(seen['posteriors'])}."
        raise Wrong(f"{less} Does a column still mean the same class in both modalities?")
    if (rival := max(unseen["logits"], unseen["posteriors"])) + 0.01 > unseen["yours"]:
        raise Wrong(f"{scores}. The better rival has {approx(rival)} there; beat it by .01.")
    return f"{scores}. You beat both, and nothing was trained. The rest is up to you: why does it?"


def _map_all(readout, photos: Tensor, sketches: Tensor, labels: Tensor) -> float:
    gallery, queries = (torch.as_tensor(ask(readout, x.clone())) for x in (photos, sketches))
    return retrieval.score(queries, labels, gallery, labels).map_all
