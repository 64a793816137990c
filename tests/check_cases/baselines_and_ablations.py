"""Answers to the exercises of notebook 06."""

import torch

from check_cases import Cases
from dfsbir_lite import zoo
from dfsbir_lite.data import toybox_set
from dfsbir_lite.runtime import profile
from dfsbir_lite.study import claims
from dfsbir_lite.study.baselines import textures
from dfsbir_lite.study.claims import Claim
from dfsbir_lite.study.rows import OURS
from dfsbir_lite.views import clouds

TEXTURES = "textures instead of synthesis"


def by_intervals(ours, other):
    """Another right way: the package's own."""
    low, high = claims.interval(ours - other)
    return "holds" if low > 0 else "does not hold" if high <= 0 else "undecided"


def by_means(ours, other):
    return "holds" if ours.mean() > other.mean() else "does not hold"


def by_ranges(ours, other):
    if ours.min() > other.max():
        return "holds"
    return "does not hold" if ours.max() <= other.min() else "undecided"


def open_at_zero(ours, other):
    difference = ours - other
    if difference.min() > 0:
        return "holds"
    return "does not hold" if difference.max() < 0 else "undecided"


def tinted(n, size, draw):
    """Clouds, and their grey versions: right in form, and it tells the teachers things."""
    photos = clouds(n, size, draw)
    return photos, textures(n, size, draw)[1]


def shifted(n, size, draw):
    return tuple(2 * x - 1 for x in textures(n, size, draw))


def one_channel(n, size, draw):
    photos, sketches = textures(n, size, draw)
    return photos, sketches[:, :1]


def own_dice(n, size, draw):
    return torch.rand(n, 3, size, size), torch.rand(n, 3, size, size)


def always_the_same(n, size, draw):
    return textures(n, size, torch.Generator().manual_seed(1))


def flat(n, size, draw):
    """One colour a picture, which no teacher has much of an opinion about."""
    grey = 0.5 + 0.001 * torch.rand(n, 1, 1, 1, generator=draw).expand(-1, 3, size, size)
    return grey, grey.clone()


def even_noise(n, size, draw):
    """Noise again, from another distribution."""
    return tuple(torch.rand(n, 3, size, size, generator=draw) for _ in range(2))


def real(n, size, draw):
    parts = (
        toybox_set(m, "val", profile("laptop"), per_class=n // 12 + 1) for m in ("photo", "sketch")
    )
    return tuple(part.images[:n].float() / 255 for part in parts)


def cases() -> dict[str, Cases]:
    frame = claims.stored()
    ours, unseen = claims.summary(frame), claims.summary(frame, "unseen")
    means, rivals = ours["mean"], list(claims.BASELINES.values())
    best = means[OURS] - means[rivals].max()
    teachers = zoo.load_teachers("laptop")
    claim = Claim("enough", TEXTURES, OURS, "unseen", 0.8)
    return {
        "lead": Cases(
            right=[(best, ours), (torch.tensor(best), ours), (round(best, 2), ours)],
            wrong=[
                ((-best, ours), "sign"),
                ((means[OURS], ours), "the student's score"),
                ((means[OURS] - means[rivals].mean(), ours), "the mean of the six"),
                ((means[OURS] - means[rivals].min(), ours), "the weakest"),
                ((means[OURS] / means[rivals].max(), ours), "ratio"),
                ((means[OURS] - means["teacher posteriors"], ours), "Posteriors are none"),
                ((means[OURS] - means[TEXTURES], ours), "the textures"),
                ((best - 0.1, ours), "is taken off"),
                ((100 * best, ours), "per cent"),
                ((unseen["mean"][OURS] - unseen["mean"][rivals].max(), ours), "on seen classes"),
            ],
        ),
        "own_claim": Cases(
            right=[(claim, frame), (Claim("", TEXTURES, (OURS,), "unseen", share=0.8), frame)],
            wrong=[
                (("textures are enough", frame), "A claims.Claim"),
                ((Claim("", OURS, TEXTURES, "unseen", 0.8), frame), "`ours` is the row"),
                ((Claim("", "textures", OURS, "unseen", 0.8), frame), "by their names"),
                ((Claim("", TEXTURES, OURS, share=0.8), frame), "unseen classes"),
                ((Claim("", TEXTURES, OURS, "unseen"), frame), "*better than the student*"),
                ((Claim("", TEXTURES, OURS, "unseen", margin=-0.2), frame), "`share`"),
                ((Claim("", TEXTURES, OURS, "unseen", 1.25), frame), "without a `margin`"),
            ],
        ),
        "seeds": Cases(
            right=[(5,), (5.0,), (torch.tensor(5),)],
            wrong=[
                ((4,), "one time in 16"),
                ((3,), "one time in 8"),
                ((6,), "the fewest"),
                ((4.3,), "whole number"),
            ],
        ),
        "verdict": Cases(
            right=[(by_intervals,), (lambda a, b: by_intervals(a.numpy(), b.numpy()),)],
            wrong=[
                ((by_means,), "one seed of three disagrees"),
                ((by_ranges,), "Equal seeds belong together"),
                ((open_at_zero,), "equal scores"),
                ((lambda a, b: by_intervals(b, a),), "every seed is better with ours"),
                ((lambda a, b: True,), "one of 'holds'"),
                ((lambda a, b: "holds",), "one seed of three disagrees"),
            ],
        ),
        "source": Cases(
            right=[(textures, teachers), (tinted, teachers)],
            wrong=[
                ((real, teachers), "not data-free"),
                ((shifted, teachers), "range 0 to 1"),
                ((one_channel, teachers), "(128, 1, 32, 32)"),
                ((own_dice, teachers), "take all randomness from `draw`"),
                ((always_the_same, teachers), "Draw new ones"),
                ((flat, teachers), "too much alike"),
                ((even_noise, teachers), "half as much again"),
                ((lambda n, size, draw: textures(n, size, draw)[0], teachers), "two tensors"),
                ((lambda n, size, draw: textures(64, size, draw), teachers), "(64, 3, 32, 32)"),
            ],
        ),
    }
