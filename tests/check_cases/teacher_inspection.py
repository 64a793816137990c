"""Answers for notebook 01."""

import torch
from torch.nn import functional as F

from check_cases import Cases


def posteriors() -> Cases:
    def by_sums(logits, temperature):
        powers = (logits / temperature).exp()
        return (powers / powers.sum(1, keepdim=True)).numpy()

    return Cases(
        right=[(by_sums,), (lambda x, t: F.softmax(x.double() / t, 1).tolist(),)],
        wrong=[
            ((lambda x, t: F.softmax(x * t, 1),), "multiplied"),
            ((lambda x, t: F.softmax(x, 1) / t,), "divide the logits"),
            ((lambda x, t: F.softmax(x / t, 0),), "columns sum to 1"),
            ((lambda x, t: F.softmax(x, 1),), "no difference"),
            ((lambda x, t: (x / t).exp(),), "what is left to divide by"),
            ((lambda x, t: F.softmax(x / t, 1).max(1).values,), "Shape (5, 4)"),
            ((lambda x, t: torch.zeros(5, 4),), "the numbers are not"),
        ],
    )


def better_readout() -> Cases:
    """Pictures of six classes; seen ones show one of them, unseen ones a little of two.

    All have the same level besides, which is what a cosine of logits sees most of.
    """
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(6).repeat_interleave(25)
    seen = 8 * F.one_hot(labels, 6).float()
    unseen = 3 * (F.one_hot(labels, 6) + F.one_hot((labels + 1) % 6, 6)).float()
    val = {
        name: (*(rows + 8 + 1.5 * torch.randn(2, 150, 6, generator=draw)), labels)
        for name, rows in {"seen": seen, "unseen": unseen}.items()
    }
    return Cases(
        right=[
            (lambda x: x - x.mean(1, keepdim=True), val),
            (lambda x: F.softmax(x / 3, 1).numpy() - 1 / 6, val),
        ],
        wrong=[
            ((lambda x: x.sort(1).values, val), "still mean the same class"),
            ((lambda x: x, val), "The better rival"),
            ((lambda x: F.softmax(x, 1), val), "beat it by .01"),
        ],
    )


def cases() -> dict[str, Cases]:
    return {
        "posteriors": posteriors(),
        "better_readout": better_readout(),
    }
