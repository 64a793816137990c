"""Answers for notebook 08."""

import torch
from torch.nn import functional as F

from check_cases import Cases
from dfsbir_lite.retrieval import average_precision, score, similarities


def telling_test() -> Cases:
    def pictures(tint=(1.0, 0.5, 0.2), count=9):
        draw = torch.Generator().manual_seed(0)
        return torch.rand(count, 3, 8, 8, generator=draw) * torch.tensor(tint).view(3, 1, 1)

    def by_values(standardise):
        rows = pictures().transpose(0, 1).flatten(1)
        wanted = ((rows.T - rows.mean(1)) / rows.std(1)).T
        return torch.allclose(standardise(pictures()).transpose(0, 1).flatten(1), wanted, atol=0.01)

    def by_statistics(standardise, images=None):
        images = pictures() if images is None else images
        var, mean = torch.var_mean(standardise(images), dim=(0, 2, 3))
        return bool((mean.abs() < 0.05).all() and ((var - 1).abs() < 0.05).all())

    def in_daylight(standardise):
        return by_statistics(standardise, pictures((1.0, 1.0, 1.0), 900))

    def mean_alone(standardise):
        return (standardise(pictures()).mean((0, 2, 3)).abs() < 0.01).all()

    return Cases(
        right=[(by_values,), (by_statistics,)],
        wrong=[
            ((in_daylight,), "view(3, -1)"),
            ((mean_alone,), "leaves the deviation"),
            ((lambda standardise: True,), "lets a wrong function pass"),
        ],
    )


def own_trap() -> Cases:
    draw = torch.Generator().manual_seed(1)
    labels = torch.arange(4).repeat_interleave(20)
    rows = [F.one_hot(labels, 4) + 0.6 * torch.randn(80, 4, generator=draw) for _ in range(2)]
    given = (rows[0], labels, rows[1], labels)

    def rankings(sketches, sketch_labels, photos, photo_labels):
        order = similarities(sketches, photos).argsort(dim=1, descending=True, stable=True)
        return photo_labels[order] == sketch_labels[:, None]

    def without_the_worst(*given):
        values = average_precision(rankings(*given)).sort().values
        return values[len(values) // 3 :].mean()

    def ten_ranks(*given):
        return average_precision(rankings(*given)[:, :10]).mean().item()

    def honest(*given):
        return score(*given).map_all

    return Cases(
        right=[(without_the_worst, *given), (ten_ranks, *given)],
        wrong=[
            ((honest, *given), "add .05 or more"),
            ((lambda *given: 0.97, *given), "random embeddings"),
            ((lambda *given: min(0.95, honest(*given) + 0.2), *given), "perfect encoder"),
            ((lambda *given: 2 * honest(*given), *given), "perfect encoder"),
        ],
    )


def cases() -> dict[str, Cases]:
    return {function.__name__: function() for function in (telling_test, own_trap)}
