"""Self-checks of notebook 02: loss terms by hand, the effect of a weight, images from a teacher."""

from math import log, log2

import torch

from dfsbir_lite import losses
from dfsbir_lite.lessons.checks import Unanswered, Wrong, ask, exercise, explain, number
from dfsbir_lite.runtime import approx


@exercise
def lowest_entropy(answer, classes):
    """The lowest value that `entropy` can reach for these `classes`: a number."""
    value, count = number(answer), len(classes)
    told = {
        "The size is right. Look at the sign: what is the logarithm of a share?": log(count),
        "That is in bits. `log` in the formula is the natural logarithm.": -log2(count),
        "That is what one class adds. The formula sums over all classes.": -log(count) / count,
        "That is the other end: every image in one and the same class.": 0,
        "That is the floor for two teachers. Here one is asked for.": -2 * log(count),
    }
    explain(value, told)
    if 0.006 < abs(value + log(count)) < 0.06:
        raise Wrong("Nearly: give it to two digits behind the point.")
    if abs(value + log(count)) > 0.006:
        raise Wrong(
            "Lowest is the term where the mean posterior is flat. Put that posterior, the same "
            "share for each class, into the formula."
        )
    return (
        "It is lowest when all classes appear equally often. The curve in the lesson adds "
        "the terms of two teachers, so its floor lies twice as deep."
    )


@exercise
def total_variation(answer):
    """A function: images (N, 3, H, W) → one number.

    It is the mean absolute difference between neighbours in a row, plus that in a column.
    """
    for shape in ((4, 3, 9, 7), (2, 3, 5, 8)):
        images = torch.rand(shape, generator=torch.Generator().manual_seed(shape[0])) ** 2
        across, down = images.diff(dim=3), images.diff(dim=2)
        both = across.abs().mean() + down.abs().mean()
        value = number(ask(answer, images))
        if abs(value - float(both)) > 1e-4:
            explain(value, _variations(images, across, down), 1e-4)
            raise Wrong(
                f"On {shape[0]} random images it should be {float(both):.3f}, and it is "
                f"{value:.3f}. Take neighbours along each of the two sides of the images."
            )
    return (
        "It is 0 for one even colour and large for noise, so as a loss it smooths. DeepInversion "
        "needs such a term; our estimators are smooth by the way they paint."
    )


def _variations(images, across, down) -> dict:
    """The usual slips, and the values that they lead to."""
    a, d = across.abs(), down.abs()
    rolled = sum((images - images.roll(1, side)).abs().mean() for side in (2, 3))
    return {
        "Those are the neighbours in a row only. Add those in a column.": a.mean(),
        "Those are the neighbours in a column only. Add those in a row.": d.mean(),
        "That is half of it: the two means are to be added.": (a.mean() + d.mean()) / 2,
        "That is a sum: it would grow with the batch. Take means.": a.sum() + d.sum(),
        "Steps up and down cancel there. What makes each count?": across.mean() + down.mean(),
        "Those are squares: absolute values were asked for.": (
            a.square().mean() + d.square().mean()
        ),
        "`roll` makes the first and the last pixel of a row neighbours. They are not.": rolled,
        "Dimension 1 holds the colours, not pixels.": images.diff(dim=1).abs().mean() + a.mean(),
        "Dimension 0 holds the images, not pixels.": images.diff(dim=0).abs().mean() + a.mean(),
    }


def _share(teacher, images, wanted) -> float:
    """The share of images in which the teacher sees the wanted class."""
    with torch.no_grad():
        return (teacher(images).logits.argmax(1) == wanted).float().mean().item()


def _away(teacher, images) -> float:
    """How far the batch's statistics are from those that the teacher has stored."""
    with torch.no_grad():
        return float(losses.batch_statistics(teacher(images, moments=True).moments))


@exercise
def weight_of_statistics(answer, runs, teachers, wanted):
    """What the share of photos with the wanted class does as the weight of `bn` grows.

    It "rises" or it "falls".

    Args:
        runs: weight → photos (N, 3, H, W) that were painted with it; three weights or more.
        wanted: classes (N,).
    """
    if runs is ...:
        raise Unanswered
    answer = str(answer).strip(" .").lower()
    if answer not in ("rises", "falls"):
        raise Wrong('Say "rises" or "falls".')
    if not isinstance(runs, dict) or len(runs) < 3:
        raise Wrong("Measure at least three weights: `runs` maps each to the photos it gave.")
    photos = {w: x[0] if isinstance(x, tuple) else x for w, x in sorted(runs.items())}
    if any(len(x) != len(wanted) for x in photos.values()):
        raise Wrong(f"`paint` makes {len(wanted)} photos, one a noise vector: keep them all.")
    (low, first), *_, (high, last) = photos.items()
    if not _away(teachers.photo, last) < _away(teachers.photo, first):
        raise Wrong(
            "The largest weight did not bring the statistics nearer to the teacher's. Is it `bn` "
            "that differs between the runs, and nothing else?"
        )
    before, after = (_share(teachers.photo, x, wanted) for x in (first, last))
    if abs(before - after) < 0.05:
        raise Wrong("The first and the last run hardly differ. Try weights further apart, and 0.")
    if answer != ("rises" if after > before else "falls"):
        raise Wrong(
            f"Your own runs say otherwise: the share is {approx(before)} at weight {low:g} and "
            f"{approx(after)} at weight {high:g}."
        )
    return (
        f"From {approx(before)} at weight {low:g} to {approx(after)} at weight {high:g}. The two "
        "terms pull against each other: a picture that must look ordinary to the batch-norm layers "
        "cannot shout its class."
    )


@exercise
def inverted(answer, labels, teacher):
    """Images (N, 3, size, size) in [0, 1], in which `teacher` sees the `labels` (N,).

    Their statistics are less than half as far from the teacher's memory as those of noise.
    """
    if not isinstance(answer, torch.Tensor):
        raise Wrong("Images are wanted, as one tensor.")
    images, shape = answer.detach().float(), (len(labels), 3, teacher.size, teacher.size)
    if tuple(images.shape) != shape:
        raise Wrong(f"The shape should be {shape}, not {tuple(images.shape)}.")
    if not (images.min() >= 0 and images.max() <= 1):  # nan is caught as well
        raise Wrong("Pixels must lie in [0, 1]: optimise numbers that a sigmoid makes into pixels.")
    if (share := _share(teacher, images, labels)) < 0.75:
        raise Wrong(
            f"The teacher sees the wanted class in {approx(share)} of them; 0.75 is asked for. Is "
            "`one_hot` in the loss, are the pixels what the optimiser got, are there enough steps?"
        )
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(images)
    away, start = _away(teacher, images), _away(teacher, noise)
    if away > start / 2:
        raise Wrong(
            f"The classes are there, but the statistics are {approx(away, 0)} away from the "
            f"teacher's memory, and noise is {approx(start, 0)} away. Which term is missing?"
        )
    return (
        f"Recognised: {approx(share)}; distance of statistics: {approx(away, 0)}, where noise has "
        f"{approx(start, 0)}. No estimator was needed. Look at the pictures before you cheer."
    )


@exercise
def own_weights(answer, baseline, teachers, wanted):
    """A pair (photos, sketches), each (N, 3, H, W), painted with weights of the reader's.

    More of them show the class `wanted` (N,) than of the `baseline` pair, by five points on the
    average of both modalities, and the distance of statistics is at most half as large again.
    """
    if not (isinstance(answer, tuple | list) and len(answer) == 2):
        raise Wrong("A pair is wanted, photos and sketches, as `paint` returns it.")
    if any(len(x) != len(wanted) for x in answer):
        raise Wrong(f"`paint` makes {len(wanted)} pairs, one a noise vector: keep them all.")
    if any(not (x.min() >= 0 and x.max() <= 1) for x in answer):
        raise Wrong("Pixels must lie in [0, 1], as `paint` makes them.")
    both = (teachers.photo, teachers.sketch)
    share, base = (
        sum(_share(t, x, wanted) for t, x in zip(both, pair, strict=True)) / 2
        for pair in (answer, baseline)
    )
    away, known = (
        sum(_away(t, x) for t, x in zip(both, pair, strict=True)) for pair in (answer, baseline)
    )
    if share < base + 0.05:
        raise Wrong(
            f"The wanted class shows in {approx(share)} of them, and in {approx(base)} of the "
            "baseline: five points more are asked for. Which term asks for the class?"
        )
    if away > 1.5 * known:
        raise Wrong(
            f"Better recognised ({approx(share)}), but the statistics are {approx(away, 0)} away "
            f"and may be {approx(1.5 * known, 0)}. Are those still pictures?"
        )
    return (
        f"{approx(share)} against {approx(base)}, at a distance of {approx(away, 0)} against "
        f"{approx(known, 0)}. Whether they are *better* to learn from, only a student can say."
    )
