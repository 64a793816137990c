"""Answers to put before the self-checks of notebook 01."""

import torch
from torch.nn import functional as F

from check_cases import Cases
from dfsbir_lite import retrieval, toybox, zoo
from dfsbir_lite.data import toybox_set
from dfsbir_lite.retrieval import teacher_readouts
from dfsbir_lite.runtime import profile


def cases() -> dict[str, Cases]:
    return {
        "posteriors": posteriors(),
        "confused_pair": confused_pair(),
        "layer_distance": layer_distance(),
        "same_class": same_class(),
        "better_readout": better_readout(),
    }


def posteriors() -> Cases:
    def safe(logits, temperature):
        scaled = logits / temperature
        return (scaled - scaled.logsumexp(1, keepdim=True)).exp()

    def naive(logits, temperature):
        powers = (logits / temperature).exp()
        return (powers / powers.sum(1, keepdim=True)).numpy()

    return Cases(
        right=[(safe,), (naive,), (lambda x, t: F.softmax(x.double() / t, 1).tolist(),)],
        wrong=[
            ((lambda x, t: F.softmax(x * t, 1),), "multiplied"),
            ((lambda x, t: F.softmax(x, 1) / t,), "divided the posteriors"),
            ((lambda x, t: F.softmax(x / t, 0),), "columns sum to 1"),
            ((lambda x, t: F.softmax(x, 1),), "no difference"),
            ((lambda x, t: F.log_softmax(x / t, 1),), "logarithms"),
            ((lambda x, t: (x / t).exp(),), "what is left to divide by"),
            ((lambda x, t: (x / t).exp() / (x / t).exp().sum(),), "whole table"),
            ((lambda x, t: F.softmax(x / t, 1).max(1).values,), "Shape (5, 4)"),
            ((lambda x, t: torch.zeros(5, 4),), "the numbers are not"),
            ((lambda x, t: "mug",), "A tensor is wanted"),
            ((0.5,), "a function"),
        ],
    )


def table(truth, predicted):
    """Confusion matrix (6, 6), rows are true classes."""
    return (truth * 6 + predicted).bincount(minlength=36).view(6, 6)


def confused_pair() -> Cases:
    def loops(truth, predicted):
        best = {}
        for t, p in zip(truth.tolist(), predicted.tolist(), strict=True):
            if t != p:
                key = (min(t, p), max(t, p))
                best[key] = best.get(key, 0) + 1
        return max(best, key=best.get)

    def tensors(truth, predicted):
        counts = table(truth, predicted).fill_diagonal_(0)
        return torch.tensor(divmod(int((counts + counts.T).argmax()), 6))

    def diagonal(truth, predicted):
        return divmod(int(table(truth, predicted).argmax()), 6)

    def one_way(truth, predicted):
        return divmod(int(table(truth, predicted).fill_diagonal_(0).argmax()), 6)

    def flat(truth, predicted):
        counts = table(truth, predicted).fill_diagonal_(0)
        return (counts + counts.T).argmax()

    return Cases(
        right=[(loops,), (tensors,), (lambda t, p: loops(t, p)[::-1],)],
        wrong=[
            ((diagonal,), "one class twice"),
            ((one_way,), "b for a together"),
            ((flat,), "which row and which column"),
            ((lambda t, p: (0, 2),), "."),
            ((lambda t, p: (0, 1, 2),), "not 3"),
            ((lambda t, p: ("key", "spoon"),), "toybox.SEEN"),
        ],
    )


def layer_distance() -> Cases:
    def moments(x):
        return x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)

    def flat(x, mean, variance):
        rows = x.transpose(0, 1).flatten(1)  # unbiased variance, another order of doing it
        parts = rows.mean(1) - mean, rows.var(1) - variance
        return sum(float(part.square().sum().sqrt()) for part in parts)

    def numpy(x, mean, variance):
        x = x.numpy()
        m, v = x.mean((0, 2, 3)) - mean.numpy(), x.var((0, 2, 3)) - variance.numpy()
        return (m**2).sum() ** 0.5 + (v**2).sum() ** 0.5

    def wrong(parts):
        return lambda x, mean, variance: parts(*moments(x), mean, variance)

    def inside(x, mean, variance):
        within = x.var((2, 3), unbiased=False).mean(0)
        return (x.mean((0, 2, 3)) - mean).norm() + (within - variance).norm()

    def per_channel(x, mean, variance):
        m, v = moments(x)
        return (m - mean).abs() + (v - variance).abs()

    def wrong_unbiased(x, mean, variance):
        m, v = x.mean((0, 2, 3)), x.var((0, 2, 3))
        return (m - mean).abs().sum() + (v - variance).abs().sum()

    def each_image(x, mean, variance):
        return (x.mean((2, 3)) - mean).norm() + (x.var((2, 3)) - variance).norm()

    def squares(m, v, mean, var):
        return ((m - mean) ** 2).sum() + ((v - var) ** 2).sum()

    return Cases(
        right=[(flat,), (numpy,)],
        wrong=[
            ((wrong(lambda m, v, mean, var: (m - mean).norm()),), "means alone"),
            ((wrong(lambda m, v, mean, var: (v - var).norm()),), "variances alone"),
            ((wrong(squares),), "squared lengths"),
            ((wrong(lambda *a: squares(*a).sqrt()),), "one root"),
            (
                (wrong(lambda m, v, mean, var: (m - mean).norm() + (v**0.5 - var).norm()),),
                "a standard deviation with a variance",
            ),
            ((inside,), "inside each image"),
            ((wrong_unbiased,), "magnitudes"),
            ((each_image,), "for each image"),
            ((per_channel,), "shape (3,)"),
            ((wrong(lambda m, v, mean, var: 1.0),), "Another number"),
            ((lambda x, mean, variance: "far",), "One number"),
        ],
    )


def same_class() -> Cases:
    def loops(photos, ours, sketches, theirs):
        made = torch.zeros(len(photos), len(sketches))
        for i, name in enumerate(ours):
            if name in theirs:
                made += photos[:, i, None] * sketches[None, :, theirs.index(name)]
        return made

    def widened(photos, ours, sketches, theirs):
        match = torch.tensor([[float(a == b) for b in theirs] for a in ours])
        return photos @ match @ sketches.T

    def by_place(photos, ours, sketches, theirs):
        k = min(len(ours), len(theirs))
        return photos[:, :k] @ sketches[:, :k].T

    def inverse(photos, ours, sketches, theirs):
        return photos @ sketches[:, [ours.index(name) for name in theirs]].T

    def common(photos, ours, sketches, theirs):
        names = [name for name in ours if name in theirs]
        p = photos[:, [ours.index(name) for name in names]]
        return p, sketches[:, [theirs.index(name) for name in names]]

    def again(*given):
        p, s = (part / part.sum(1, keepdim=True) for part in common(*given))
        return p @ s.T

    return Cases(
        right=[(loops,), (widened,)],
        wrong=[
            ((by_place,), "by their place"),
            ((inverse,), "the wrong way round"),
            ((again,), "sum to 1 again"),
            ((lambda *given: widened(*given).T,), "swapped"),
            ((lambda *given: retrieval.similarities(*common(*given)),), "cosines"),
            ((lambda p, a, s, b: torch.zeros(len(p), len(s)),), "the numbers are not"),
        ],
    )


def better_readout() -> Cases:
    teachers, sizes = zoo.load_teachers("laptop"), profile("laptop")
    read = teacher_readouts(teachers)["teacher logits"]
    val = {}
    for part, classes in {"seen": toybox.SEEN, "unseen": toybox.UNSEEN}.items():
        sets = [toybox_set(m, "val", sizes, classes, 25) for m in ("photo", "sketch")]
        rows = [retrieval.embed(read, images.images, images.modality) for images in sets]
        val[part] = (*rows, sets[0].labels)
    chances = torch.rand(100, 12, generator=torch.Generator().manual_seed(0))
    return Cases(
        right=[
            (lambda logits: F.softmax(logits / 3, 1) - 1 / 12, val),
            (lambda logits: (logits - logits.mean(1, keepdim=True)).relu().numpy(), val),
        ],
        wrong=[
            ((lambda logits: logits, val), "Seen classes pay too much"),
            ((lambda logits: F.softmax(logits, 1), val), "beat it by .01"),
            ((lambda logits: logits.sort(1).values, val), "still mean the same class"),
            ((lambda logits: torch.ones(len(logits), 3), val), "Seen classes pay too much"),
            ((lambda logits: chances, val), "not a row a picture"),
            ((lambda logits: logits.log(), val), "nan or infinite"),
        ],
    )
