"""Answers for notebook 00."""

import torch

from check_cases import Cases
from dfsbir_lite import retrieval

HITS = [False, True, True, False, True]
SIZES = [20, 40, 60, 80]
LABELS = torch.arange(16).repeat_interleave(3)


def batched(cosines, right):
    """The package's own function, for one ranking."""
    order = torch.sort(cosines, descending=True).indices
    return retrieval.average_precision(right[order][None])


def by_loop(cosines, right):
    """Rank by rank, without tensors."""
    ranked = [hit for _, hit in sorted(zip(-cosines, right.tolist(), strict=True))]
    shares = [sum(ranked[: n + 1]) / (n + 1) for n, hit in enumerate(ranked) if hit]
    return sum(shares) / len(shares)


def shares(cosines, right):
    """Hits, and the share of them up to each rank."""
    ranked = right[cosines.argsort(descending=True)].float()
    return ranked, ranked.cumsum(0) / torch.arange(1, len(ranked) + 1)


def over_gallery(cosines, right):
    ranked, precision = shares(cosines, right)
    return (ranked * precision).sum() / len(ranked)


def over_ranks(cosines, right):
    return shares(cosines, right)[1].mean()


def not_averaged(cosines, right):
    ranked, precision = shares(cosines, right)
    return (ranked * precision).sum()


def ranks_from_zero(cosines, right):
    ranked, _ = shares(cosines, right)
    precision = ranked.cumsum(0) / torch.arange(len(ranked)).clamp(min=1)
    return (ranked * precision).sum() / ranked.sum()


def divided_by_zero(cosines, right):
    ranked, _ = shares(cosines, right)
    return (ranked * ranked.cumsum(0) / torch.arange(len(ranked))).sum() / ranked.sum()


def found(*rows):
    """Hits of 48 sketches, eight ranks each: those of `rows` find nothing."""
    hits = torch.zeros(len(LABELS), 8, dtype=torch.bool)
    hits[:, 7] = True
    hits[list(rows)] = False
    return hits


def ranking(*ranks):
    return [rank in ranks for rank in range(1, 9)]


def cases() -> dict[str, Cases]:
    nothing = found(0, 1, 2, 3, 4, 6, 40)
    return {
        "ap_by_hand": Cases(
            right=[(0.59, HITS), ((1 / 2 + 2 / 3 + 3 / 5) / 3, HITS), (torch.tensor(0.589), HITS)],
            wrong=[
                ((1 / 2 + 2 / 3 + 3 / 5, HITS), "Take the mean"),
                (((1 / 2 + 2 / 3 + 3 / 5) / 5, HITS), "length of the ranking"),
                ((0.6, HITS), "whole ranking"),
                (((1 / 2 + 1 / 3 + 1 / 5) / 3, HITS), "1 / rank"),
                (((0 + 1 / 2 + 2 / 3 + 2 / 4 + 3 / 5) / 5, HITS), "all ranks"),
                ((0.5, HITS), "first right photo"),
                ((0.9, HITS), "At each right photo"),
                (("half", HITS), "One number"),
            ],
        ),
        "same_precision": Cases(
            right=[
                (ranking(1, 2, 5), ranking(3, 4, 8), 4, 0.4),
                (torch.tensor(ranking(1, 2, 6)), ranking(3, 4, 8), 4, 0.4),
                (ranking(1, 2, 5), [0, 0, 1, 1, 0, 0, 0, 1], 4, 0.4),
            ],
            wrong=[
                ((ranking(3, 4, 8), ranking(1, 2, 5), 4, 0.4), "swap"),
                ((ranking(1, 2, 3), ranking(6, 7, 8), 4, 0.4), "Prec@4 differs"),
                ((ranking(1, 2, 3), ranking(2, 3, 4), 4, 0.4), "another number of hits"),
                ((ranking(1, 2), ranking(3, 4, 8), 4, 0.4), "three of them"),
            ],
        ),
        "chance": Cases(
            right=[(0.3, SIZES), (torch.tensor(0.3), SIZES), (0.32, SIZES), (0.25, [50] * 4)],
            wrong=[
                ((0.25, SIZES), "equally often"),
                ((0.4, SIZES), "largest class"),
                ((0.1, SIZES), "smallest class"),
                ((0.005, SIZES), "one photo"),
                ((30, SIZES), "A share"),
                ((0.7, SIZES), "mean over all sketches"),
            ],
        ),
        "average_precision": Cases(
            right=[(batched,), (by_loop,)],
            wrong=[
                ((lambda cosines, right: batched(-cosines, right),), "worst photo comes first"),
                (
                    (lambda cosines, right: batched(-torch.arange(len(right)), right),),
                    "the gallery",
                ),
                ((lambda cosines, right: right.float().mean(),), "whatever their order"),
                ((over_gallery,), "whole gallery"),
                ((over_ranks,), "all ranks"),
                ((not_averaged,), "summed"),
                ((ranks_from_zero,), "begins with 1"),
                ((divided_by_zero,), "begin with 1"),
                ((lambda cosines, right: 0.83,), "print what each line makes"),
                ((lambda cosines, right: right,), "not a Tensor"),
                ((0.83,), "a function"),
            ],
        ),
        "failures": Cases(
            right=[
                ([0, 1, 3, 4, 6], nothing, LABELS),
                (torch.tensor([6, 4, 0, 1, 2]), nothing, LABELS),
            ],
            wrong=[
                (([0, 1, 3, 4], nothing, LABELS), "Five different"),
                (([0, 1, 3, 4, 4], nothing, LABELS), "Five different"),
                (([0, 1, 3, 4, 99], nothing, LABELS), "from 0 to 47"),
                (([0, 1, 3, 6, 40], nothing, LABELS), "never taught"),
                (([0, 1, 3, 4, 7], nothing, LABELS), "Sketch 7 finds"),
                (([0, 1, 2, 3, 4], nothing, LABELS), "three classes"),
            ],
        ),
    }
