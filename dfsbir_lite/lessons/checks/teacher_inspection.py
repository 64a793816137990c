"""Checks of notebook 01: posteriors, batch statistics, and a read-out of the logits."""

import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite import losses, retrieval
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, explain, number
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
def layer_distance(answer) -> str:
    """Judge `answer(x (N, C, H, W), mean (C,), variance (C,))`, one layer's part of L_bn."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(12, 3, 8, 8, generator=draw)
    x = x + torch.randn(12, 3, 1, 1, generator=draw)  # bright images and dark ones
    mean, var = torch.randn(3, generator=draw), 0.3 + torch.rand(3, generator=draw)
    mine = number(ask(answer, x.clone(), mean.clone(), var.clone()))
    m, v = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    if abs(mine - (truth := losses.batch_statistics([(m, v, mean, var)]))) < 0.01 * truth:
        return "Summed over all layers, this is L_bn: its gradient is a reason to change images."
    a, b, inside = m - mean, v - var, x.var((2, 3)).mean(0)
    mistakes = {
        "That is the part of the means alone.": a.norm(),
        "That is the part of the variances alone.": b.norm(),
        "Means and variances have a length each; you took one root.": torch.cat([a, b]).norm(),
        "You compare a standard deviation with a variance.": a.norm() + (v.sqrt() - var).norm(),
        "Variances inside each image miss what lies between.": a.norm() + (inside - var).norm(),
    }
    explain(mine, mistakes, 0, 0.01)
    raise Wrong("One mean and one variance a channel; the length of each difference; their sum.")


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
