"""Checks of notebook 02: the floor of a term, images from a classifier."""

from math import log, log2

import torch

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
def inverted(answer: torch.Tensor, labels: torch.Tensor, teacher) -> str:
    """Judge images (N, 3, size, size) in [0, 1] in which `teacher` sees the `labels` (N,).

    Their batch statistics must be less than half as far from the teacher's as those of noise.
    """
    images, shape = answer.detach(), (len(labels), 3, teacher.size, teacher.size)
    if images.shape != shape:
        raise Wrong(f"The shape should be {shape}, not {tuple(images.shape)}.")
    if not (images.min() >= 0 and images.max() <= 1):  # nan is caught as well
        raise Wrong("Pixels must lie in [0, 1]: optimise numbers that a sigmoid makes into pixels.")
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(images)
    with torch.no_grad():
        read, of_noise = (teacher(x, moments=True) for x in (images, noise))
    share = (read.logits.argmax(1) == labels).float().mean()
    away, start = (losses.batch_statistics(r.moments) for r in (read, of_noise))
    if share < 0.75:
        raise Wrong(f"The teacher sees the class in {approx(share)}, not 0.75. Enough `one_hot`?")
    reached = f"Recognised: {approx(share)}; distance of statistics: {approx(away, 0)}, where"
    if away > start / 2:
        raise Wrong(f"{reached} noise has {approx(start, 0)}. Which term is missing?")
    return f"{reached} noise has {approx(start, 0)}. Look at the pictures before you cheer."
