"""Answers to the exercises of notebook 08."""

import torch
from torch.nn import functional as F

from check_cases import Cases
from dfsbir_lite.retrieval import average_precision, score, similarities

ROW = torch.tensor([1, 0, 1, 1, 0, 0, 0, 1]).bool()  # precision at the hits: 1, 2/3, 3/4, 4/8
TRUE, TOLD = (1 + 2 / 3 + 3 / 4 + 4 / 8) / 4, (1 + 2 / 3) / 2


def two_verdicts() -> Cases:
    def case(true, told, what=None):
        arguments = (true, told, ROW, 2)
        return arguments if what is None else (arguments, what)

    return Cases(
        right=[case(0.73, 0.83), case(torch.tensor(TRUE), TOLD)],
        wrong=[
            case(TOLD, TRUE, "stops too early"),
            case(4 * TRUE, TOLD, "is the sum"),
            case(TRUE / 2, TOLD, "number of ranks"),
            case(0.5, TOLD, "share of relevant photos"),
            case(0.9, TOLD, "one fraction for each hit"),
            case(TRUE, TRUE, "over all hits"),
            case(TRUE, 5 / 3 / 4, "all relevant photos"),
            case(TRUE, 0.9, "`my_told` is not"),
        ],
    )


def moving_queue() -> Cases:
    def at_the_end(queue, rows):
        return torch.cat([queue, rows.detach()])[-len(queue) :]

    def by_hand(queue, rows):
        new = queue.clone()
        for row in rows.detach():
            new = torch.stack([row, *new[:-1]])
        return new

    def stuck(queue, rows):
        if len(queue) % len(rows):
            return queue
        return torch.cat([rows.detach(), queue])[: len(queue)]

    def growing(queue, rows):
        return torch.cat([rows.detach(), queue])

    def oldest(queue, rows):
        return torch.cat([queue, rows.detach()])[: len(queue)]

    def forgetful(queue, rows):
        return torch.cat([rows.detach(), torch.zeros_like(queue)])[: len(queue)]

    def repeated(queue, rows):
        return torch.cat([rows[:1].detach()] * len(rows) + [queue])[: len(queue)]

    def with_graph(queue, rows):
        return torch.cat([rows, queue])[: len(queue)]

    def largest(queue, rows):
        both = torch.cat([rows.detach(), queue])
        return both[both[:, 0].argsort(descending=True, stable=True)][: len(queue)]

    return Cases(
        right=[(at_the_end,), (by_hand,)],
        wrong=[
            ((stuck,), "batches of 4: not one row has changed"),
            ((growing,), "must keep its size"),
            ((oldest,), "not one row has changed"),
            ((forgetful,), "the newest would be"),
            ((repeated,), "twice"),
            ((with_graph,), "keeps their graphs"),
            ((largest,), "not one row has changed"),
            ((lambda queue, rows: 7,), "a tensor (size, E)"),
        ],
    )


def hidden() -> Cases:
    return Cases(
        right=[
            ([[0, 0, 1, 1, 1, 1, 1, 1, 1, 1]],),
            (torch.tensor([0] * 4 + [1] * 6).bool(),),
        ],
        wrong=[
            (([1, 1, 0, 0],), "Both are the same"),
            (([0, 0, 0, 0],), "no hit"),
            (([1, 0, 1, 1],), "gains ≈0.0"),
            (([0] * 5 + [1] * 6,), "11 photos"),
            (([0, 0.5, 1],), "hit or miss"),
        ],
    )


def telling_test() -> Cases:
    def pictures(tint=(1.0, 0.5, 0.2), count=9):
        draw = torch.Generator().manual_seed(0)
        return torch.rand(count, 3, 8, 8, generator=draw) * torch.tensor(tint).view(3, 1, 1)

    def by_values(standardise):
        images = pictures()
        rows = images.transpose(0, 1).flatten(1)
        wanted = ((rows.T - rows.mean(1)) / rows.std(1)).T
        got = standardise(images).transpose(0, 1).flatten(1)
        return torch.allclose(got, wanted, atol=0.01)

    def by_statistics(standardise):
        var, mean = torch.var_mean(standardise(pictures()), dim=(0, 2, 3))
        return bool((mean.abs() < 0.01).all() and ((var - 1).abs() < 0.05).all())

    def in_daylight(standardise):
        var, mean = torch.var_mean(standardise(pictures((1.0, 1.0, 1.0), 900)), dim=(0, 2, 3))
        return (mean.abs() < 0.05).all() and ((var - 1).abs() < 0.05).all()

    def mean_alone(standardise):
        return (standardise(pictures()).mean((0, 2, 3)).abs() < 0.01).all()

    def deviation_alone(standardise):
        return ((standardise(pictures()).std((0, 2, 3)) - 1).abs() < 0.01).all()

    def altogether(standardise):
        return abs(standardise(pictures()).mean()) < 0.01

    def to_the_last_bit(standardise):
        return standardise(pictures()).mean((0, 2, 3)).eq(0).all()

    return Cases(
        right=[(by_values,), (by_statistics,)],
        wrong=[
            ((in_daylight,), "view(3, -1)"),
            ((mean_alone,), "leaves the deviation"),
            ((deviation_alone,), "leaves the mean"),
            ((altogether,), "lets a wrong function pass"),
            ((to_the_last_bit,), "with a tolerance"),
            ((lambda standardise: True,), "lets a wrong function pass"),
            ((lambda standardise: False,), "refuses a right function"),
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
        hits = rankings(*given)[:, :10]
        return average_precision(hits).mean().item()

    def honest(*given):
        return score(*given).map_all

    def constant(*given):
        return 0.97

    def shifted(*given):
        return min(0.95, score(*given).map_all + 0.2)

    return Cases(
        right=[(without_the_worst, *given), (ten_ranks, *given)],
        wrong=[
            ((honest, *given), "more are wanted"),
            ((constant, *given), "random embeddings"),
            ((shifted, *given), "does not say 1"),
            ((lambda *given: 1.4, *given), "outside [0, 1]"),
        ],
    )


def cases() -> dict[str, Cases]:
    every = (two_verdicts, moving_queue, hidden, telling_test, own_trap)
    return {function.__name__: function() for function in every}
