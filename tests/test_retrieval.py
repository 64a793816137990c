"""Rankings and their scores: against scikit-learn, and against cases worked out by hand."""

from math import cos, sin

import pytest
import torch
from sklearn.metrics import average_precision_score

from dfsbir_lite.retrieval import average_precision, embed, occlusion, score, search, similarities
from dfsbir_lite.runtime import UserError


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


def test_map_is_that_of_scikit_learn(random_case):
    queries, labels, gallery, gallery_labels = random_case
    cosines = torch.nn.functional.cosine_similarity(queries[:, None], gallery[None], dim=2)
    theirs = [
        average_precision_score((gallery_labels == label).numpy(), row.numpy())
        for label, row in zip(labels, cosines)
    ]
    assert score(*random_case).map_all == near(sum(theirs) / len(theirs))


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


def test_precision_in_a_small_gallery_is_over_the_whole_gallery():
    scores = score(*ranked([1, 0, 0, 1, 0]))
    assert (scores.prec_100, scores.prec_200) == near((2 / 5, 2 / 5))
    assert score(*ranked([1] * 60 + [0] * 90)).prec_200 == near(60 / 150)


def test_a_mean_over_queries():
    query, _, gallery, gallery_labels = ranked([1, 0])
    scores = score(query.expand(2, 2), torch.tensor([1, 0]), gallery, gallery_labels)
    assert scores.map_all == near((1 + 1 / 2) / 2)  # found first, found second


def test_ties_keep_the_order_of_the_gallery():
    same = torch.tensor([[1.0, 0]]).expand(100, 2)
    assert search(same[:1], same, 100)[1].tolist() == [list(range(100))]
    # relevant at ranks 2 and 4: (1/2 + 2/4) / 2
    scores = score(same[:1], torch.tensor([1]), same[:4], torch.tensor([0, 1, 0, 1]))
    assert scores.map_all == near(1 / 2)


@pytest.mark.parametrize("chunk", [1, 3, 20])
def test_chunks_change_nothing(random_case, chunk):
    whole, parts = score(*random_case), score(*random_case, chunk=chunk)
    assert list(parts.as_dict().values()) == pytest.approx(list(whole.as_dict().values()), abs=1e-9)


def test_only_directions_count(random_case):
    queries, labels, gallery, gallery_labels = random_case
    longer = gallery * torch.linspace(0.1, 10, len(gallery))[:, None]
    assert score(queries * 7, labels, longer, gallery_labels).map_all == near(
        score(*random_case).map_all
    )


@pytest.mark.parametrize("queries, gallery", [(0, 3), (3, 0)])
def test_nothing_to_rank(queries, gallery):
    with pytest.raises(UserError, match="at least one query"):
        score(
            torch.zeros(queries, 2), torch.zeros(queries), torch.zeros(gallery, 2),
            torch.zeros(gallery),
        )  # fmt: skip


def test_search_gives_the_best_first():
    # cosines to (1, 0): 0, 1, -1, 0.6
    gallery = torch.tensor([[0.0, 2], [3, 0], [-1, 0], [3, 4]])
    cosines, indices = search(torch.tensor([[5.0, 0]]), gallery, k=3)
    assert indices.tolist() == [[1, 3, 0]]
    assert cosines.tolist()[0] == near([1, 0.6, 0])
    assert search(gallery, gallery, k=9)[1].shape == (4, 4)


def test_search_among_some_keeps_their_places_in_the_gallery():
    gallery = torch.tensor([[0.0, 2], [3, 0], [-1, 0], [3, 4]])
    among = torch.tensor([True, False, True, True])
    cosines, indices = search(torch.tensor([[5.0, 0]]), gallery, k=9, among=among)
    assert indices.tolist() == [[3, 0, 2]]
    assert cosines.tolist()[0] == near([0.6, 0, -1])


def test_occlusion_finds_the_one_spot_that_counts():
    """The read-out is (brightness of pixel (2, 5), 1): only patches over that pixel matter."""

    def readout(images, modality):
        spot = images[:, 0, 2, 5]
        return torch.stack([spot, torch.ones_like(spot)], 1)

    sketch = torch.full((3, 8, 8), 255, dtype=torch.uint8)
    sketch[:, 2, 5] = 0  # seen: (0, 1); hidden, it is white paper: (1, 1), 45 degrees away
    falls = occlusion(readout, sketch, "sketch", torch.tensor([0.0, 1]))
    cover = torch.zeros(8, 8)
    # patches of 2 × 2 at every place; four hold the spot, and all four cover only the spot
    for top in (1, 2):
        for left in (4, 5):
            cover[top : top + 2, left : left + 2] += 1
    assert torch.allclose(falls, cover / 4 * (1 - 0.5**0.5), atol=1e-6)
    rises = occlusion(readout, sketch, "sketch", torch.tensor([1.0, 1]))
    assert rises[2, 5] == near(0.5**0.5 - 1)


def test_occlusion_hides_photos_behind_their_mean_colour():
    seen = []

    def readout(images, modality):
        seen.append(images)
        return images.mean((2, 3)) + 1

    photo = torch.tensor([10, 20, 60]).byte().view(3, 1, 1).repeat(1, 8, 8)
    photo[:, :, 4:] = 100  # means 55, 60, 80
    occlusion(readout, photo, "photo", torch.ones(3))
    first = seen[0][1] * 255  # its upper left corner is hidden
    assert first[:, 0, 0].tolist() == near([55, 60, 80])
    assert first[:, 2, 2].tolist() == near([10, 20, 60])


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
