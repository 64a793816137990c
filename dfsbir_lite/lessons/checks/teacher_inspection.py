"""Self-checks of notebook 01: what a classifier gives away, and how to read it."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite import losses, retrieval
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, explain, number
from dfsbir_lite.runtime import approx


@exercise
def posteriors(answer) -> str:
    """`answer(logits (N, C), temperature)`: the softmax of logits / temperature, (N, C)."""
    logits = 2 * torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    for temperature in (3.0, 0.5, 1.0):
        mine = _table(ask(answer, logits.clone(), temperature), logits.shape)
        _judge(mine, F.softmax(logits / temperature, 1), _softmax_mistakes(logits, temperature))
    told = "The order of the classes never changes with the temperature, so accuracy does not."
    if not torch.isfinite(_table(ask(answer, 500 * logits, 1.0), logits.shape)).all():
        return f"{told} Logits of some hundreds make yours nan: `exp` overflows. How to avoid that?"
    return f"{told} Retrieval compares all the numbers of a row, and it does change."


def _softmax_mistakes(logits: Tensor, temperature: float) -> dict[str, Tensor]:
    """What wrong formulas give, by what to say of them."""
    powers = (logits / temperature).exp()
    return {
        "These are the logarithms of posteriors.": F.log_softmax(logits / temperature, 1),
        "Your columns sum to 1. It is the classes of one picture, a row, that share a "
        "probability of 1.": F.softmax(logits / temperature, 0),
        "That makes it sharper for a high temperature: the logits were multiplied.": F.softmax(
            logits * temperature, 1
        ),
        "The temperature makes no difference to yours.": F.softmax(logits, 1),
        "You divided the posteriors by the temperature; it is the logits that are divided, before "
        "the softmax.": F.softmax(logits, 1) / temperature,
        "Your rows do not sum to 1: what is left to divide by?": powers,
        "Your whole table sums to 1; each row should, by itself.": powers / powers.sum(),
    }


@exercise
def confused_pair(answer) -> str:
    """`answer(truth (N,), predicted (N,))`: the two classes most often taken for each other."""
    # 4 → 5 counts most in one direction, 1 and 3 together, and most pictures of all are right
    counts = 9 * torch.eye(6, dtype=torch.long)
    for true, predicted, times in ((4, 5, 6), (5, 4, 1), (1, 3, 4), (3, 1, 5), (0, 2, 3)):
        counts[true, predicted] = times
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        names = torch.randperm(6, generator=draw)
        pairs = torch.arange(36).repeat_interleave(counts.flatten())
        pairs = pairs[torch.randperm(len(pairs), generator=draw)]
        mine = _pair(ask(answer, names[pairs // 6], names[pairs % 6]))
        if mine[0] == mine[1]:
            raise Wrong("That is one class twice: pictures that were classified as what they are.")
        if sorted(mine) == sorted(names[[4, 5]].tolist()):
            raise Wrong(
                "Of all errors in one direction, those are the most. Count a for b and b for a "
                "together."
            )
        if sorted(mine) != sorted(names[[1, 3]].tolist()):
            raise Wrong(
                "Another pair is mistaken more often. Count, for each pair, the pictures of the "
                "one that are taken for the other, and add both directions."
            )
    return "Both directions matter: a student that mixes two classes up will do so both ways."


def _pair(answer) -> tuple[int, int]:
    """Two class numbers, however they are wrapped."""
    try:
        values = torch.as_tensor(answer).flatten().tolist()
    except (TypeError, ValueError, RuntimeError):
        try:
            values = [int(part) for part in answer]
        except (TypeError, ValueError) as error:
            raise Wrong("Two class numbers are wanted, as `toybox.SEEN` counts them.") from error
    if len(values) == 1:
        raise Wrong(
            "Two class numbers are wanted. If yours is the place of the largest entry in a "
            "flattened table, which row and which column is that?"
        )
    if len(values) != 2:
        raise Wrong(f"Two class numbers are wanted, not {len(values)}.")
    return tuple(int(value) for value in values)


@exercise
def layer_distance(answer) -> str:
    """`answer(x (N, C, H, W), mean (C,), variance (C,))`: one layer's part of L_bn, a number."""
    for seed in (0, 1):
        draw = torch.Generator().manual_seed(seed)
        x = torch.randn(12, 3, 8, 8, generator=draw) * torch.tensor([0.5, 1.0, 2.0])[:, None, None]
        x = x + torch.randn(12, 3, 1, 1, generator=draw)  # bright images and dark ones
        mean, var = torch.randn(3, generator=draw), 0.3 + torch.rand(3, generator=draw)
        mine = ask(answer, x.clone(), mean.clone(), var.clone())
        if isinstance(mine, Tensor) and mine.numel() > 1:
            raise Wrong(
                f"Yours has shape {tuple(mine.shape)}. Average over images and places so that one "
                "number a channel is left, and then take the length of the vector of channels."
            )
        mine, (m, v) = number(mine), (x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False))
        if not math.isclose(mine, losses.batch_statistics([(m, v, mean, var)]), rel_tol=0.01):
            raise Wrong(_why_not(mine, x, mean, var))
    return (
        "Summed over all batch-norm layers, this is L_bn. Differentiate it with respect to the "
        "images, and you have a reason to change them."
    )


def _why_not(mine: float, x: Tensor, mean: Tensor, var: Tensor) -> str:
    """The mistake that leads to `mine`, if it is a known one; with either kind of variance."""
    for unbiased in (False, True):
        explain(mine, _layer_mistakes(x, mean, var, unbiased), 0, 1e-3)
    return (
        "Another number is right. One mean and one variance a channel, over all images and "
        "places; the length of each difference; their sum."
    )


def _layer_mistakes(x: Tensor, mean: Tensor, var: Tensor, unbiased: bool) -> dict[str, Tensor]:
    m, v = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=unbiased)
    inside = x.var((2, 3), unbiased=unbiased)  # within each image
    return {
        "That is the part of the means alone.": (m - mean).norm(),
        "That is the part of the variances alone.": (v - var).norm(),
        "You have squared lengths: take the root of each of the two.": (
            (m - mean).square().sum() + (v - var).square().sum()
        ),
        "You took one root of both parts together. The means and the variances have a length "
        "each.": torch.cat([m - mean, v - var]).norm(),
        "You compare a standard deviation with a variance.": (
            (m - mean).norm() + (v.sqrt() - var).norm()
        ),
        "You compare standard deviations; the layer stores, and L_bn compares, variances.": (
            (m - mean).norm() + (v.sqrt() - var.sqrt()).norm()
        ),
        "You took the variance inside each image and averaged those: what differs between "
        "images, bright ones and dark ones, is lost.": (
            (m - mean).norm() + (inside.mean(0) - var).norm()
        ),
        "You kept a mean and a variance for each image. The batch has one of each a channel.": (
            (x.mean((2, 3)) - mean).norm() + (inside - var).norm()
        ),
        "You added magnitudes. The length of a vector is the root of its sum of squares.": (
            (m - mean).abs().sum() + (v - var).abs().sum()
        ),
        "You averaged over channels. The length of a vector is the root of its sum of squares.": (
            (m - mean).square().mean() + (v - var).square().mean()
        ),
    }


@exercise
def same_class(answer) -> str:
    """`answer(photos (N, A), A names, sketches (M, B), B names)`: probabilities (N, M).

    Each is the chance that this photo and this sketch show the same class, the two teachers being
    independent; classes that only one of them knows add nothing.
    """
    draw = torch.Generator().manual_seed(0)
    lists = [
        (("ant", "bee", "cat", "dog", "elk"), ("bee", "cat", "dog", "elk", "ant")),
        (("ant", "bee", "cat", "dog"), ("fox", "dog", "elk", "bee", "gnu")),
    ]
    for ours, theirs in lists:
        photos = F.softmax(2 * torch.randn(4, len(ours), generator=draw), 1)
        sketches = F.softmax(2 * torch.randn(3, len(theirs), generator=draw), 1)
        mine = ask(answer, photos.clone(), ours, sketches.clone(), theirs)
        common = [name for name in ours if name in theirs]
        p = photos[:, [ours.index(name) for name in common]]
        s = sketches[:, [theirs.index(name) for name in common]]
        mistakes = _naming_mistakes(photos, ours, sketches, theirs, p, s)
        _judge(_table(mine, (4, 3), swapped="photos"), p @ s.T, mistakes)
    return (
        "Numbers from networks that never met can be compared as soon as they have names. This "
        "table comes back as the target of the contrastive loss in notebook 03, and lists that "
        "overlap in part are the subject of notebook 07."
    )


def _naming_mistakes(photos, ours, sketches, theirs, p, s) -> dict[str, Tensor]:
    shared = min(len(ours), len(theirs))
    mistakes = {
        "You multiplied columns by their place. Column 0 of the one is not the class of column 0 "
        "of the other: go by the names.": photos[:, :shared] @ sketches[:, :shared].T,
        "These are cosines. A probability is the plain sum of products.": (
            retrieval.similarities(p, s)
        ),
        "You made the classes that both know sum to 1 again. A teacher that says *elk* to one who "
        "knows no elk says: not the same.": (
            (p / p.sum(1, keepdim=True)) @ (s / s.sum(1, keepdim=True)).T
        ),
    }
    if set(ours) == set(theirs):
        backwards = sketches[:, [ours.index(name) for name in theirs]]
        told = "The columns went the wrong way round: you used the inverse of the order needed. "
        told += "Column j of the result must hold the class that the *photos* have in column j."
        mistakes[told] = photos @ backwards.T
    return mistakes


@exercise
def better_readout(answer, val: dict) -> str:
    """`answer(logits (N, C))`: rows (N, E) that retrieve by cosine better than logits do.

    Args:
        val: "seen" and "unseen" → logits of the photos, logits of the sketches, labels; photos
            and sketches have the same labels.

    On unseen classes it must be .01 above logits and above posteriors; on seen ones at most .03
    below posteriors.
    """
    tried = {"yours": answer, "logits": lambda x: x, "posteriors": lambda x: F.softmax(x, 1)}
    seen, unseen = ({k: _map_all(f, *val[part]) for k, f in tried.items()} for part in val)
    told = f"mAP@all {approx(seen['yours'])} on seen classes, {approx(unseen['yours'])} on unseen."
    if seen["yours"] < seen["posteriors"] - 0.03:
        why = "Seen classes pay too much (posteriors have " + approx(seen["posteriors"]) + ")."
        if seen["yours"] < 0.5:
            why += " Does each column still mean the same class in both modalities?"
        raise Wrong(f"{told} {why}")
    if (rival := max(unseen["logits"], unseen["posteriors"])) + 0.01 > unseen["yours"]:
        raise Wrong(
            f"{told} On unseen classes the better of logits and posteriors has {approx(rival)}; "
            "beat it by .01. What do the unlikely classes tell, and what do all pictures share?"
        )
    return f"{told} You beat both, and nothing was trained. The rest is up to you: why does it?"


def _map_all(readout, photos: Tensor, sketches: Tensor, labels: Tensor) -> float:
    gallery, queries = (_rows(ask(readout, part.clone()), len(part)) for part in (photos, sketches))
    return retrieval.score(queries, labels, gallery, labels).map_all


def _rows(answer, count: int) -> Tensor:
    rows = torch.as_tensor(answer).detach().float().cpu()
    if rows.ndim != 2 or len(rows) != count:
        raise Wrong(
            f"From {count} rows of logits came shape {tuple(rows.shape)}, not a row a picture."
        )
    if not torch.isfinite(rows).all():
        raise Wrong("Some of your numbers are nan or infinite.")
    return rows


def _table(answer, shape, swapped: str = "") -> Tensor:
    """`answer` as a tensor of `shape`; raises Wrong else."""
    try:
        table = torch.as_tensor(answer).detach().float()
    except (TypeError, ValueError, RuntimeError) as error:
        raise Wrong(f"A tensor is wanted, not a {type(answer).__name__}.") from error
    if swapped and table.shape == tuple(shape)[::-1]:
        raise Wrong(f"Rows and columns are swapped: a row for each of the {swapped} is wanted.")
    if table.shape != tuple(shape):
        raise Wrong(f"Shape {tuple(shape)} is wanted, not {tuple(table.shape)}.")
    return table


def _judge(mine: Tensor, right: Tensor, mistakes: dict[str, Tensor]) -> None:
    """Raises Wrong, with the mistake's name if `mine` is what it leads to."""
    if torch.allclose(mine, right, atol=1e-4):
        return
    explain(mine, mistakes, 1e-4)
    raise Wrong("The shape is right, the numbers are not. Work out one entry on paper.")
