"""Checks of notebook 02: the floor of a term, images from a classifier, a balance of terms."""

from math import log, log2

import torch
from torch import Tensor

from dfsbir_lite import losses
from dfsbir_lite.lessons.checks import Wrong, exercise, explain, number
from dfsbir_lite.runtime import approx


@exercise
def lowest_entropy(answer, classes: tuple[str, ...]) -> str:
    """Judge the lowest value that `entropy` can reach for these `classes`, a number."""
    value, count = number(answer), len(classes)
    if abs(value + log(count)) <= 6e-3:
        return "It is lowest when all classes appear equally often. The lesson adds two teachers."
    mistakes = {
        "The size is right. Look at the sign: what is the logarithm of a share?": log(count),
        "That is in bits. `log` in the formula is the natural logarithm.": -log2(count),
        "That is what one class adds. The formula sums over all classes.": -log(count) / count,
        "That is the other end: every image in one and the same class.": 0,
    }
    explain(value, mistakes)
    raise Wrong("Put a flat posterior, the same share for each class, in; give two digits.")


@exercise
def inverted(answer: Tensor, labels: Tensor, teacher) -> str:
    """Judge images (N, 3, size, size) in [0, 1] in which `teacher` sees the `labels` (N,).

    Their batch statistics must be less than half as far from the teacher's as those of noise.
    """
    images, shape = answer.detach(), (len(labels), 3, teacher.size, teacher.size)
    if images.shape != shape:
        raise Wrong(f"The shape should be {shape}, not {tuple(images.shape)}.")
    if not (images.min() >= 0 and images.max() <= 1):  # nan is caught as well
        raise Wrong("Pixels must lie in [0, 1]: optimise numbers that a sigmoid makes into pixels.")
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(images)
    (share, away), (_, start) = (_measure([teacher], [x], labels) for x in (images, noise))
    if share < 0.75:
        raise Wrong(f"The teacher sees the class in {approx(share)}, not 0.75. Enough `one_hot`?")
    reached = f"Recognised: {approx(share)}; distance of statistics: {approx(away, 0)}, where"
    if away > start / 2:
        raise Wrong(f"{reached} noise has {approx(start, 0)}. Which term is missing?")
    return f"{reached} noise has {approx(start, 0)}. Look at the pictures before you cheer."


@exercise
def own_weights(answer, baseline, teachers, wanted: Tensor) -> str:
    """Judge a pair (photos, sketches), each (N, 3, H, W), painted with the reader's weights.

    More of them must show the class `wanted` (N,) than of the `baseline` pair, by five points on
    the average, and the distance of statistics may be at most half as large again.
    """
    if len(answer) != 2 or any(len(x) != len(wanted) for x in answer):
        raise Wrong(f"`paint` returns {len(wanted)} photos and as many sketches: keep them all.")
    judges = [teachers.photo, teachers.sketch]
    (share, away), (before, known) = (_measure(judges, x, wanted) for x in (answer, baseline))
    if share < before + 0.05:
        raise Wrong(f"The class shows in {approx(share)}, in the baseline in {approx(before)}.")
    reached = f"{approx(share)} against {approx(before)}, at a distance of {approx(away, 0)}"
    if away > 1.5 * known:
        raise Wrong(f"{reached}; {approx(1.5 * known, 0)} is allowed. Are those still pictures?")
    return f"{reached} against {approx(known, 0)}. Better to learn from? Only a student can say."


@torch.no_grad()
def _measure(teachers: list, batches, wanted: Tensor) -> tuple[float, float]:
    """Return the mean share of images in which each teacher sees its class, and summed L_bn."""
    read = [t(x, moments=True) for t, x in zip(teachers, batches, strict=True)]
    share = torch.stack([(r.logits.argmax(1) == wanted).float().mean() for r in read]).mean()
    return float(share), sum(float(losses.batch_statistics(r.moments)) for r in read)
