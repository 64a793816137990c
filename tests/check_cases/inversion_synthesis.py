"""Answers for the checks of notebook 02. A stub of a teacher: it reads classes off the top row."""

from math import log, log2
from types import SimpleNamespace

import torch

from check_cases import Cases
from dfsbir_lite.teachers import Reading

CLASSES, SIZE = ("ant", "bee", "cat"), 8
WANTED = torch.arange(24) % 3


class Stub:
    """Remembers images with a mean of 0.2 and no contrast."""

    size = SIZE

    def __call__(self, images, moments=False):
        logits = images[:, 0, 0, :3]
        seen = images.mean((0, 2, 3)), images.var((0, 2, 3))
        return Reading(logits, logits, [(*seen, torch.full((3,), 0.2), torch.zeros(3))], [])


TEACHERS = SimpleNamespace(photo=Stub(), sketch=Stub())


def images(right: float, level: float):
    """A share `right` of images that show the wanted class, on paper of a grey level."""
    pictures = torch.full((len(WANTED), 3, SIZE, SIZE), level)
    shown = torch.where(torch.arange(24) < 24 * right, WANTED, (WANTED + 1) % 3)
    pictures[torch.arange(24), :, 0, shown] = min(1, level + 0.1)
    return pictures


def one_mean(x):
    steps = torch.stack([(x[..., 1:, :-1] - x[..., :-1, :-1]).abs()])  # misses a row and a column
    return steps.mean()


def loop(x):
    total = 0.0
    for side in (2, 3):
        n = x.shape[side]
        total += (x.narrow(side, 1, n - 1) - x.narrow(side, 0, n - 1)).abs().mean().item()
    return total


def cases() -> dict[str, Cases]:
    far, mid, near = images(1, 0.9), images(0.6, 0.5), images(0.3, 0.2)
    runs = {10: near, 0: far, 1: mid}
    good, base = images(0.8, 0.3), images(0.5, 0.3)
    given = (TEACHERS, WANTED)
    return {
        "lowest_entropy": Cases(
            right=[(-log(3), CLASSES), (torch.tensor(-1.1), CLASSES), (-2.48, range(12))],
            wrong=[
                ((log(3), CLASSES), "sign"),
                ((-log2(3), CLASSES), "natural logarithm"),
                ((-log(3) / 3, CLASSES), "sums over all classes"),
                ((0, CLASSES), "other end"),
                ((-2 * log(3), CLASSES), "two teachers"),
                ((1 / 3, CLASSES), "flat"),
                ((-1.15, CLASSES), "behind the point"),
                (("low", CLASSES), "One number"),
            ],
        ),
        "total_variation": Cases(
            right=[
                (loop,),
                (lambda x: x.diff(dim=-1).abs().mean() + x.diff(dim=-2).abs().mean(),),
            ],
            wrong=[
                ((lambda x: x.diff(dim=-1).abs().mean(),), "in a row only"),
                ((lambda x: x.diff(dim=-2).abs().mean(),), "in a column only"),
                ((lambda x: loop(x) / 2,), "half of it"),
                ((lambda x: x.diff(dim=3).abs().sum() + x.diff(dim=2).abs().sum(),), "a sum"),
                ((lambda x: x.diff(dim=3).mean() + x.diff(dim=2).mean(),), "cancel"),
                (
                    (lambda x: (x.diff(dim=3) ** 2).mean() + (x.diff(dim=2) ** 2).mean(),),
                    "squares",
                ),
                ((lambda x: sum((x - x.roll(1, d)).abs().mean() for d in (2, 3)),), "`roll`"),
                ((lambda x: sum(x.diff(dim=d).abs().mean() for d in (1, 3)),), "colours"),
                ((lambda x: sum(x.diff(dim=d).abs().mean() for d in (0, 3)),), "the images, not"),
                ((one_mean,), "Take neighbours"),
                ((lambda x: 0.0,), "Take neighbours"),
                ((lambda x: x.diff(dim=3).abs(),), "One number"),
            ],
        ),
        "weight_of_statistics": Cases(
            right=[
                ("falls", runs, *given),
                ("falls", {w: (x, x) for w, x in runs.items()}, *given),
                ("Falls.", runs, *given),
            ],
            wrong=[
                (("rises", runs, *given), "Your own runs say otherwise"),
                (("stays", runs, *given), "Say"),
                (("falls", {0: far, 10: near}, *given), "three weights"),
                (("falls", {0: near, 1: mid, 10: far}, *given), "did not bring"),
                (("falls", {0: images(0.3, 0.9), 1: mid, 10: near}, *given), "hardly differ"),
                (("falls", {w: x[:5] for w, x in runs.items()}, *given), "keep them all"),
            ],
        ),
        "inverted": Cases(
            right=[
                (images(1, 0.2), WANTED, Stub()),
                (images(0.8, 0.25).requires_grad_(), WANTED, Stub()),
            ],
            wrong=[
                ((images(1, 0.2).numpy(), WANTED, Stub()), "one tensor"),
                ((images(1, 0.2)[:5], WANTED, Stub()), "shape"),
                ((images(1, 0.2) - 1, WANTED, Stub()), "sigmoid"),
                ((images(1, 0.2) / 0 * 0, WANTED, Stub()), "sigmoid"),
                ((images(0.3, 0.2), WANTED, Stub()), "`one_hot`"),
                ((images(1, 0.9), WANTED, Stub()), "Which term is missing"),
            ],
        ),
        "own_weights": Cases(
            right=[
                ((good, good), (base, base), *given),
                ((images(1, 0.35), base), (base, base), *given),
            ],
            wrong=[
                ((good, (base, base), *given), "A pair"),
                (((good[:5], good[:5]), (base, base), *given), "keep them all"),
                (((base, base), (base, base), *given), "five points more"),
                (((far, far), (base, base), *given), "Are those still pictures"),
            ],
        ),
    }
