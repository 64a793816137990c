"""Scores where cosines are equal: the mean over all orders of what is tied; rows must be finite."""

from itertools import pairwise, permutations

import numpy as np
import pytest
import torch

from dfsbir_lite.retrieval import average_precision, score, search
from dfsbir_lite.runtime import UserError, count


def near(value):
    return pytest.approx(value, abs=1e-6)


def metrics(hits):
    """Return average precision, the same at 3, and precision at 3, of one ranking, by loops."""
    at = [(rank, sum(hits[:rank]) / rank) for rank, hit in enumerate(hits, 1) if hit]
    whole, first = (sum(p for rank, p in at if rank <= k) for k in (len(hits), 3))
    return [whole / max(1, sum(hits)), first / min(3, max(1, sum(hits))), sum(hits[:3]) / 3]


def mean_over_orders(hits, cosines):
    """Return the mean of `metrics` over every ranking of which the cosines never rise."""
    orders = permutations(range(len(hits)))
    falling = [o for o in orders if all(cosines[a] >= cosines[b] for a, b in pairwise(o))]
    return np.mean([metrics([hits[i] for i in order]) for order in falling], axis=0).tolist()


TIED = [
    ([1, 0, 1, 0, 0, 1], [0.5] * 6),
    ([0, 1, 1, 0, 1, 0, 0], [0.9, 0.9, 0.4, 0.4, 0.4, 0.4, -0.2]),
    ([0, 0, 1, 1, 1, 1], [1.0, 0, 0, 0, -1, -1]),
    ([1, 1, 0, 1], [0.8, 0.6, 0.6, 0.0]),
    ([0, 0, 0], [0.1, 0.1, 0.1]),
]


@pytest.mark.parametrize("hits, cosines", TIED)
def test_average_precision_is_the_mean_over_every_order_of_ties(hits, cosines):
    relevant, similar = torch.tensor([hits]).bool(), torch.tensor([cosines])
    whole, at_3, _ = mean_over_orders(hits, cosines)
    assert average_precision(relevant, cosines=similar).item() == near(whole)
    assert average_precision(relevant, 3, similar).item() == near(at_3)


@pytest.mark.parametrize("hits, cosines", TIED[:-1])
def test_scores_are_the_mean_over_every_order_of_ties(hits, cosines):
    ones, similar = torch.ones(len(hits)), torch.tensor(cosines)
    gallery = torch.stack([similar, (1 - similar**2).sqrt()], 1)
    for order in (torch.arange(len(hits)), torch.randperm(len(hits))):
        found = score(torch.eye(2)[:1], ones[:1], gallery[order], torch.tensor(hits)[order])
        assert found.map_all == near(mean_over_orders(hits, cosines)[0])


def test_ties_across_rank_200_count_by_their_share():
    # 150 ahead, half of them relevant; 100 tied at ranks 151 to 250, ten of them relevant
    gallery = torch.tensor([[1.0, 0]] * 75 + [[2.0, 0]] * 75 + [[0, 1.0]] * 100 + [[-1.0, 0]])
    labels = torch.tensor([1, 0] * 75 + [1] * 10 + [0] * 91)
    scores = score(torch.tensor([[1.0, 0]]), torch.tensor([1]), gallery, labels)
    assert scores.prec_100 == near(0.5)
    assert scores.prec_200 == near((75 + 50 * 10 / 100) / 200)


@pytest.mark.parametrize("dim", [1, 2, 5, 64, 100])  # of which products round some equal rows apart
@pytest.mark.parametrize("each", [1, 5, 50])
def test_constant_embeddings_score_what_a_random_ranking_can_expect(dim, each):
    labels = torch.arange(12).repeat_interleave(each)  # sorted by class, as folders are
    row = torch.randn(1, dim, generator=torch.Generator().manual_seed(0))
    scores = score(-row.expand(12, dim), torch.arange(12), row.expand(12 * each, dim), labels)
    size, share = 12 * each, (each - 1) / (12 * each - 1)
    by_hand = share + (1 - share) / size * sum(1 / rank for rank in range(1, size + 1))
    assert scores.map_all == pytest.approx(by_hand, abs=1e-12)
    assert scores.prec_100 == scores.prec_200 == pytest.approx(scores.chance, abs=1e-12)


@pytest.mark.parametrize("values", [np.linspace(-1, 1, 40), [-0.5, 0.0, -0.0, 1e-42, 0.25]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_are_those_of_comparing_each_with_each(values, dtype):
    distances = np.random.default_rng(0).choice(values, (6, 70)).astype(dtype)
    ends = np.sort(distances[:, ::2], axis=1)
    for row, mine, found in zip(distances, ends, count(distances, ends).swapaxes(0, 1)):
        by_hand = [
            (kind(among[:, None], mine)).sum(0)
            for among in (row, mine)
            for kind in (np.less, np.equal)
        ]
        np.testing.assert_array_equal(found, by_hand)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_rows_that_are_not_finite_are_refused_by_name(value):
    good, bad, labels = torch.ones(5, 2), torch.ones(5, 2), torch.zeros(5)
    bad[3, 1] = value
    for call in (lambda: score(good, labels, bad, labels), lambda: search(good, bad)):
        with pytest.raises(UserError, match="gallery row 3 of 5 is not finite"):
            call()
    for call in (lambda: score(bad, labels, good, labels), lambda: search(bad, good)):
        with pytest.raises(UserError, match="query 3 of 5 is not finite"):
            call()
