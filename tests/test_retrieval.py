"""Rankings and their scores: against scikit-learn, and against cases worked out by hand."""

from itertools import pairwise, permutations
from math import cos, sin

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from dfsbir_lite import retrieval
from dfsbir_lite.retrieval import (
    average_precision,
    embed,
    score,
    search,
    similarities,
)
from dfsbir_lite.runtime import UserError, count


@pytest.fixture
def random_case():
    """20 queries and 60 gallery rows of 4 classes, of different lengths, without ties."""
    draw = torch.Generator().manual_seed(0)
    queries, gallery = (torch.randn(n, 5, generator=draw) for n in (20, 60))
    labels, gallery_labels = (torch.randint(4, (n,), generator=draw) for n in (20, 60))
    return queries, labels, gallery, gallery_labels


def ranked(relevant: list[int]):
    """A query of class 1 and a gallery that it ranks in the given order; 1 is relevant."""
    angles = torch.linspace(0.01, 1.5, len(relevant)).tolist()
    gallery = torch.tensor([[cos(a), sin(a)] for a in angles])
    mixed = torch.randperm(len(relevant), generator=torch.Generator().manual_seed(0))
    return (
        torch.tensor([[1.0, 0]]),
        torch.tensor([1]),
        gallery[mixed],
        torch.tensor(relevant)[mixed],
    )


def near(value):
    return pytest.approx(value, abs=1e-6)


def test_average_precision_by_hand():
    hits = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]).bool()
    # (1/1 + 2/3) / 2, 1/5, and 0 where nothing is relevant
    assert average_precision(hits).tolist() == near([5 / 6, 1 / 5, 0])
    # within the first two ranks: 1 / min(2, 2); nothing; nothing
    assert average_precision(hits, 2).tolist() == near([1 / 2, 0, 0])
    # within four: the second query has one relevant item, out of reach
    assert average_precision(hits, 4).tolist() == near([5 / 6, 0, 0])


@pytest.mark.parametrize(
    "relevant, expected",
    [
        ([1] * 250 + [0] * 50, 1.0),  # 200 of 250 found: divided by 200
        ([0, 0, 0, 1] + [0] * 296, 1 / 4),  # one item: divided by 1
        ([0] * 199 + [1] + [0] * 100, 1 / 200),  # the last rank that counts
        ([1] + [0] * 199 + [1] * 2, 1 / 3),  # three items, two of them out of reach
    ],
)
def test_map_200_divides_by_200_or_by_the_relevant_items(relevant, expected):
    assert score(*ranked(relevant)).map_200 == near(expected)


def test_precision_at_100_and_200():
    scores = score(*ranked([1] * 30 + [0] * 100 + [1] * 120))
    assert scores.prec_100 == near(30 / 100)
    assert scores.prec_200 == near((30 + 70) / 200)
    assert scores.chance == near(150 / 250)


@pytest.mark.parametrize("held", [1, 600, 2000])  # cosines, 60 a query: chunks of 1 to 16
def test_chunks_change_nothing(random_case, held, monkeypatch):
    whole = score(*random_case)
    monkeypatch.setattr(retrieval, "HELD", held)
    parts = score(*random_case)
    assert list(vars(parts).values()) == pytest.approx(list(vars(whole).values()), abs=1e-9)


def test_the_layout_of_the_rows_in_memory_changes_nothing(random_case):
    queries, labels, gallery, gallery_labels = random_case
    turned = queries.T.contiguous().T, labels, gallery.T.contiguous().T, gallery_labels
    assert score(*turned) == score(*random_case)


def test_the_more_precise_side_decides():
    # cosines .6 and .6 + 8e-10, which single precision cannot tell apart
    query, gallery = torch.tensor([[0.6, 0.8]]).double(), torch.tensor([[1.0, 0], [1, 1e-9]])
    query[0, 1] = (1 - query[0, 0] ** 2).sqrt()
    case = torch.tensor([1]), gallery, torch.tensor([0, 1])
    assert score(query, *case).map_all == near(1)
    assert score(query.float(), *case).map_all == near(3 / 4)  # tied: 1 or 1/2


@pytest.mark.parametrize("queries, gallery", [(0, 3), (3, 0)])
def test_nothing_to_rank(queries, gallery):
    with pytest.raises(UserError, match="at least one query"):
        score(
            torch.zeros(queries, 2), torch.zeros(queries), torch.zeros(gallery, 2),
            torch.zeros(gallery),
        )  # fmt: skip


def test_search_gives_the_best_first_with_their_places_in_the_gallery():
    # cosines to (1, 0): 0, 1, -1, 0.6
    gallery = torch.tensor([[0.0, 2], [3, 0], [-1, 0], [3, 4]])
    cosines, indices = search(torch.tensor([[5.0, 0]]), gallery, k=3)
    assert indices.tolist() == [[1, 3, 0]]
    assert cosines.tolist()[0] == near([1, 0.6, 0])
    assert search(gallery, gallery, k=9)[1].shape == (4, 4)
    among = torch.tensor([True, False, True, True])
    cosines, indices = search(torch.tensor([[5.0, 0]]), gallery, k=9, among=among)
    assert indices.tolist() == [[3, 0, 2]]
    assert cosines.tolist()[0] == near([0.6, 0, -1])


def test_similarities_are_cosines():
    found = similarities(torch.tensor([[3.0, 4], [0, 2]]), torch.tensor([[5.0, 0]]))
    assert found.flatten().tolist() == near([0.6, 0])


def test_embed_feeds_images_in_0_1_batch_by_batch():
    images = torch.arange(0, 250, 50).byte().view(5, 1, 1, 1).expand(5, 3, 2, 2)
    sizes = []

    def readout(batch, modality):
        sizes.append((len(batch), modality))
        return batch.mean((2, 3))

    rows = embed(readout, images, "sketch", batch=2)
    assert sizes == [(2, "sketch"), (2, "sketch"), (1, "sketch")]
    assert rows.shape == (5, 3) and rows[:, 0].tolist() == near([i * 50 / 255 for i in range(5)])


# --- the fast path is the readable definition -------------------------------------------------


def drawn(queries, items, classes, seed=0, dim=8):
    """Queries and a gallery with labels; one class more among the queries than in the gallery."""
    draw = torch.Generator().manual_seed(seed)
    rows, gallery = (torch.randn(n, dim, generator=draw) for n in (queries, items))
    labels = torch.randint(classes + 1, (queries,), generator=draw)
    return rows, labels, gallery, torch.randint(classes, (items,), generator=draw)


def defined(queries, labels, gallery, gallery_labels):
    """All scores by sorting the items themselves, and `average_precision`."""
    order = similarities(queries, gallery).argsort(dim=1, descending=True, stable=True)
    hits = gallery_labels[order] == labels[:, None]
    figures = [
        average_precision(hits),
        average_precision(hits, 200),
        *(hits[:, :k].float().mean(1) for k in (100, 200, len(gallery))),
    ]
    return near([float(figure.mean()) for figure in figures])


@pytest.mark.parametrize(
    "queries, items, classes", [(1, 1, 1), (7, 1, 1), (5, 2, 1), (65, 300, 3), (130, 1000, 200)]
)
def test_scores_are_those_of_sorting_the_items(queries, items, classes):
    case = drawn(queries, items, classes)
    assert [*vars(score(*case)).values()] == defined(*case)


@pytest.mark.parametrize("queries, items, classes", [(20, 3, 2), (30, 400, 5), (10, 3000, 20)])
def test_every_average_precision_is_that_of_scikit_learn(queries, items, classes):
    rows, labels, gallery, gallery_labels = drawn(queries, items, classes, seed=1)
    for row, label in zip(rows, labels):
        relevant = (gallery_labels == label).numpy()
        ours = score(row[None], label[None], gallery, gallery_labels).map_all
        cosines = torch.nn.functional.cosine_similarity(row[None], gallery)
        assert ours == near(average_precision_score(relevant, cosines) if relevant.any() else 0)


def test_a_class_without_items_scores_0():
    query, label, gallery, labels = ranked([1, 0, 1])
    both = score(query.expand(2, 2), torch.tensor([1, 7]), gallery, labels)
    one = score(query, label, gallery, labels)
    assert [*vars(both).values()] == near([v / 2 for v in vars(one).values()])
    assert [*vars(score(query, torch.tensor([7]), gallery, labels)).values()] == [0] * 5


# --- search -----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 9, 10, 11, 60, 100])
def test_a_search_finds_what_sorting_everything_finds(random_case, k):
    queries, _, gallery, _ = random_case
    gallery[10:20] = gallery[10].clone()  # ties, for some queries at the last place found
    best = similarities(queries, gallery).sort(dim=1, descending=True, stable=True)
    cosines, places = search(queries, gallery, k)
    assert torch.equal(places, best.indices[:, :k])
    assert torch.allclose(cosines, best.values[:, :k], atol=1e-6)


def test_a_search_may_find_nothing():
    gallery = torch.eye(3)
    cosines, places = search(gallery[:2], gallery, among=torch.zeros(3).bool())
    assert cosines.shape == places.shape == (2, 0)
    assert search(gallery[:0], gallery, 2)[1].shape == (0, 2)


def test_rows_in_half_precision_are_scored_and_found():
    draw = torch.Generator().manual_seed(0)
    gallery, labels = torch.randn(40, 8, generator=draw), torch.arange(40) % 4
    half = gallery.bfloat16()
    assert score(half, labels, half, labels) == score(half.float(), labels, half.float(), labels)
    assert search(half[:3], half, k=1)[1].flatten().tolist() == [0, 1, 2]


# --- where cosines are equal: the mean over all orders of what is tied --------------------------


def metrics(hits):
    """Return average precision, and the same at 3, of one ranking, by loops."""
    at = [(rank, sum(hits[:rank]) / rank) for rank, hit in enumerate(hits, 1) if hit]
    whole, first = (sum(p for rank, p in at if rank <= k) for k in (len(hits), 3))
    return [whole / max(1, sum(hits)), first / min(3, max(1, sum(hits)))]


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
def test_scores_are_the_mean_over_every_order_of_ties(hits, cosines):
    relevant, similar = torch.tensor(hits), torch.tensor(cosines)
    whole, at_3 = mean_over_orders(hits, cosines)
    assert average_precision(relevant[None].bool(), cosines=similar[None]).item() == near(whole)
    assert average_precision(relevant[None].bool(), 3, similar[None]).item() == near(at_3)
    gallery = torch.stack([similar, (1 - similar**2).sqrt()], 1)
    for order in (torch.arange(len(hits)), torch.randperm(len(hits))):
        found = score(torch.eye(2)[:1], torch.ones(1), gallery[order], relevant[order])
        assert found.map_all == near(whole)


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
    for queries, gallery, name in ((good, bad, "gallery row"), (bad, good, "query")):
        with pytest.raises(UserError, match=f"{name} 3 of 5 is not finite"):
            score(queries, labels, gallery, labels)
        with pytest.raises(UserError, match=f"{name} 3 of 5 is not finite"):
            search(queries, gallery)
