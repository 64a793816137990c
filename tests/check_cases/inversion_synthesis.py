"""Answers for notebook 02. A stub of a teacher reads classes off the top row."""

from math import log, log2
from types import SimpleNamespace

import torch

from check_cases import Cases

CLASSES, SIZE = ("ant", "bee", "cat"), 8
WANTED = torch.arange(24) % 3


class Stub:
    """Remembers images with a mean of 0.2 and no contrast."""

    size = SIZE

    def __call__(self, images, moments=False):
        seen = images.mean((0, 2, 3)), images.var((0, 2, 3))
        stored = torch.full((3,), 0.2), torch.zeros(3)
        return SimpleNamespace(logits=images[:, 0, 0, :3], moments=[(*seen, *stored)])


def images(right: float, level: float):
    """A share `right` of images that show the wanted class, on paper of a grey level."""
    pictures = torch.full((len(WANTED), 3, SIZE, SIZE), level)
    shown = torch.where(torch.arange(24) < 24 * right, WANTED, (WANTED + 1) % 3)
    pictures[torch.arange(24), :, 0, shown] = min(1, level + 0.1)
    return pictures


def cases() -> dict[str, Cases]:
    return {
        "lowest_entropy": Cases(
            right=[(-log(3), CLASSES), (torch.tensor(-1.1), CLASSES), (-2.48, range(12))],
            wrong=[
                ((log(3), CLASSES), "sign"),
                ((-log2(3), CLASSES), "natural logarithm"),
                ((-log(3) / 3, CLASSES), "sums over all classes"),
                ((0, CLASSES), "other end"),
                ((-1.15, CLASSES), "two digits"),
            ],
        ),
        "inverted": Cases(
            right=[
                (images(1, 0.2), WANTED, Stub()),
                (images(0.8, 0.25).requires_grad_(), WANTED, Stub()),
            ],
            wrong=[
                ((images(1, 0.2)[:5], WANTED, Stub()), "shape"),
                ((images(1, 0.2) - 1, WANTED, Stub()), "sigmoid"),
                ((images(1, 0.2) / 0 * 0, WANTED, Stub()), "sigmoid"),
                ((images(0.3, 0.2), WANTED, Stub()), "`one_hot`"),
                ((images(1, 0.9), WANTED, Stub()), "Which term is missing"),
            ],
        ),
    }
