"""Is a run well? What the teachers see in its samples, and words for what goes wrong."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dfsbir_lite import losses
from dfsbir_lite.synthesis import SynthesisStep
from dfsbir_lite.teachers import Teachers

YOUNG = 20  # steps in which estimators miss classes in the best of runs
WINDOW = 5  # looks that must agree: a class may be missing from one batch by chance
ALIKE = {"photo": 0.08, "sketch": 0.03}  # untrained estimators reach 0.095 and 0.045
PLURAL = {"photo": "photos", "sketch": "sketches"}
SHRUNK = 1 / 3  # of the best so far
BLOW_UP, RECENT, BEFORE = 5.0, 5, 50  # times the median of the steps before


@dataclass
class Look:
    """What one step's samples are like.

    Attributes:
        index: the step's.
        counts: modality → (C,), how many of its images its teacher takes for each class.
        spread: modality → mean pixel distance between neighbours in the batch, in [0, 1].
    """

    index: int
    counts: dict[str, Tensor]
    spread: dict[str, float]


def samples(step) -> SynthesisStep:
    """The synthesis step with the images of `step`, which is one, or has made one."""
    return getattr(step, "made", step)


@torch.no_grad()
def look(teachers: Teachers, step) -> Look:
    """Reads the samples of a step of `synthesize` or `distill` with the two teachers."""
    made, classes = samples(step), len(teachers.classes)
    images = {"photo": made.photos, "sketch": made.sketches}
    counts = {
        name: getattr(teachers, name)(x).logits.argmax(1).bincount(minlength=classes).cpu()
        for name, x in images.items()
    }
    return Look(step.index, counts, {m: -float(losses.diversity(x)) for m, x in images.items()})


def one_of_each(images: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The first of `images` (N, 3, H, W) with each label (N,) below `classes`; white if none.

    Returns: (classes, 3, H, W).
    """
    found = [images[labels == c][:1] for c in range(classes)]
    return torch.cat([x if len(x) else torch.ones_like(images[:1]) for x in found])


def alarms(
    looks: list[Look], history: dict[str, list[float]], weights: dict[str, float], classes
) -> list[str]:
    """What is wrong with a run, a sentence each, and what may help; empty if all is well.

    Args:
        looks: one every few steps, oldest first.
        history: each term's values, step by step; nan where a step left the term out.
        weights: the weights as they are now.
        classes: the names of the classes.
    """
    grown = [look for look in looks if look.index >= YOUNG]
    told = _growing(history, weights)
    if len(grown) >= WINDOW:
        told += _missing(grown[-WINDOW:], classes) + _alike(grown)
    return told


def _missing(looks: list[Look], classes) -> list[str]:
    told = []
    for modality in ("photo", "sketch"):
        seen = sum(look.counts[modality] for look in looks)
        if names := [name for name, n in zip(classes, seen, strict=True) if n == 0]:
            told.append(
                f"Collapse, classes missing: lately no {modality} was taken for: "
                f"{', '.join(names)}. More one_hot or entropy may help."
            )
    return told


def _alike(looks: list[Look]) -> list[str]:
    told = []
    for modality, floor in ALIKE.items():
        spread = [look.spread[modality] for look in looks]
        now, best = np.mean(spread[-WINDOW:]), max(spread)
        if now < max(floor, SHRUNK * best):
            told.append(
                f"Collapse, samples alike: two {PLURAL[modality]} differ by {now:.2f} a pixel, "
                f"at their best by {best:.2f}. More diversity or bn may help."
            )
    return told


def _growing(history: dict[str, list[float]], weights: dict[str, float]) -> list[str]:
    """The loss of past steps is taken with the weights of now: a moved slider is no alarm."""
    recent = {name: np.array(values[-BEFORE - RECENT :]) for name, values in history.items()}
    used = [n for n, values in recent.items() if weights[n] and np.isfinite(values[-1:]).all()]
    loss = np.sum([weights[name] * recent[name] for name in used], axis=0)
    loss = loss[np.isfinite(loss)]  # the steps that had all of these terms
    if loss.size < 2 * RECENT:
        return []
    now, before = np.median(loss[-RECENT:]), np.median(loss[:-RECENT])
    if now - before <= BLOW_UP * max(abs(before), 1):
        return []
    return [
        f"Divergence: the loss is {now:.3g}, after a median of {before:.3g} in the steps before. "
        "Lower the weight of the term that grows, or press Reset."
    ]
