"""Answers for notebook 06."""

import torch

from check_cases import Cases
from dfsbir_lite import zoo
from dfsbir_lite.study import claims
from dfsbir_lite.study.baselines import clouds, textures


def by_intervals(ours, other):
    """Another right way: the package's own."""
    low, high = claims.interval(ours - other)
    return "holds" if low > 0 else "does not hold" if high <= 0 else "undecided"


def by_means(ours, other):
    return "holds" if ours.mean() > other.mean() else "does not hold"


def tinted(n, size, draw):
    """Clouds, and sketches of textures."""
    return clouds(n, size, draw), textures(n, size, draw)[1]


def own_dice(n, size, draw):
    return torch.rand(n, 3, size, size), torch.rand(n, 3, size, size)


def always_the_same(n, size, draw):
    return textures(n, size, torch.Generator().manual_seed(1))


def even_noise(n, size, draw):
    """Noise again, from another distribution."""
    return tuple(torch.rand(n, 3, size, size, generator=draw) for _ in range(2))


def cases() -> dict[str, Cases]:
    teachers = zoo.load_teachers("laptop")
    return {
        "verdict": Cases(
            right=[(by_intervals,), (lambda a, b: by_intervals(a.numpy(), b.numpy()),)],
            wrong=[
                ((by_means,), "one seed of three disagrees"),
                ((lambda a, b: by_intervals(b, a),), "Each seed is better"),
            ],
        ),
        "source": Cases(
            right=[(textures, teachers), (tinted, teachers)],
            wrong=[
                ((own_dice, teachers), "take all randomness from `draw`"),
                ((always_the_same, teachers), "Draw new ones"),
                ((even_noise, teachers), "half as much again"),
            ],
        ),
    }
