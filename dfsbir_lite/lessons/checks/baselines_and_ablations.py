"""Checks of the exercises of notebook 06."""

import torch
from torch.special import entr

from dfsbir_lite.lessons.checks import Wrong, ask, exercise
from dfsbir_lite.runtime import approx
from dfsbir_lite.study.baselines import gaussian
from dfsbir_lite.teachers import Teachers

MORE = 1.5  # times as much as for noise, a teacher's opinions should differ

# scores of three seeds, ours and the other row's
CLEAR = (0.70, 0.52, 0.61), (0.66, 0.49, 0.56)
SPLIT = (0.60, 0.62, 0.58), (0.61, 0.50, 0.47)
EQUAL = (0.50, 0.60, 0.70), (0.50, 0.60, 0.70)


@exercise
def verdict(answer) -> str:
    """Check a function of two tensors (3,), scores of equal seeds, that returns the verdict.

    The verdict is one of "holds", "undecided" and "does not hold", as in `claims`.
    """
    for pair, true, why in (
        (CLEAR, "holds", "Each seed is better: compare equal seeds, not the ranges."),
        (SPLIT, "undecided", "The mean is better, but one seed of three disagrees."),
        (CLEAR[::-1], "does not hold", "All three seeds are worse."),
        (EQUAL, "does not hold", "The scores are equal: no difference is above 0."),
    ):
        if (given := ask(answer, *torch.tensor(pair))) != true:
            raise Wrong(f"In one example you say {given!r}, and it is {true!r}. {why}")
    return "Paired differences take out what both rows share: the luck of a seed."


@exercise
def source(answer, teachers: Teachers) -> str:
    """Check `answer(n, size, draw)`, a source of photos and sketches as in `study.baselines`."""
    size, draw = teachers.size, torch.Generator(teachers.photo.proxies.device).manual_seed(0)
    first, second = (ask(answer, 64, size, draw) for _ in range(2))
    if any(map(torch.equal, first, second)):
        raise Wrong("It paints the same pictures each time. Draw new ones with every call.")
    if not all(map(torch.equal, first, ask(answer, 64, size, draw.manual_seed(0)))):
        raise Wrong("One seed gave two sets of pictures: take all randomness from `draw`.")
    noise = gaussian(64, size, draw)
    for name, images, dull in zip(("photo", "sketch"), first, noise, strict=True):
        if images.shape != dull.shape or images.min() < 0 or images.max() > 1:
            raise Wrong(f"The {name} pictures should be {tuple(dull.shape)}, from 0 to 1.")
        teacher = getattr(teachers, name)
        mine, theirs = (_spread(teacher.posteriors(some)) for some in (images, dull))
        if mine < MORE * theirs:
            raise Wrong(
                f"The {name} teacher's opinions of your pictures differ by {approx(mine)} nats, "
                f"those of noise by {approx(theirs)}. You want at least half as much again."
            )
    return "The teachers have opinions. That is not enough: only a student shows what they teach."


def _spread(posteriors: torch.Tensor) -> float:
    """Return the mean KL divergence of `posteriors` (N, C) from their mean, in nats."""
    return float(entr(posteriors.mean(0)).sum() - entr(posteriors).sum(1).mean())
