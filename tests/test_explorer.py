"""The embedding explorer does what its labels say, without a browser."""

from io import BytesIO
from unittest.mock import Mock, call

import numpy as np
import pytest
import torch
from PIL import Image

from dfsbir_lite import plots, widgets
from dfsbir_lite.widgets.explorer import fitted

LABELS, SKETCHES = torch.tensor([0, 1, 0, 1]), torch.tensor([False, False, True, True])
ABOUT = (LABELS, SKETCHES, ("ant", "bee"), torch.zeros(4, 3, 2, 2, dtype=torch.uint8))


def map_of(*asked) -> np.ndarray:
    """Return four points that depend on the settings."""
    return np.random.default_rng(int(10 * sum(asked))).normal(size=(4, 2))


def sent(explorer) -> np.ndarray:
    return np.frombuffer(explorer.map.points, "<f4").reshape(-1, 4, 2)


def distances(points: np.ndarray) -> np.ndarray:
    """Return all distances in a map, in shares of the longest: how it lies does not matter."""
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    return apart / apart.max()


def test_each_map_fills_the_page_and_keeps_its_shape():
    points = np.array([[[0.0, 0], [4, 2]], [[10.0, 10], [10, 12]]])
    assert fitted(points).tolist() == [[[-1, -0.5], [1, 0.5]], [[0, -1], [0, 1]]]


def test_a_scatter_sends_its_maps_and_says_what_they_are():
    frames = np.stack([map_of(1), map_of(2), map_of(3)])
    scatter = widgets.EmbeddingScatter(frames, *ABOUT, ("a\nmAP@all 0.00", "b", "c"))
    assert np.array_equal(sent(scatter), fitted(frames))
    assert scatter.map.about["labels"] == [0, 1, 0, 1]
    assert scatter.map.about["sketches"] == [0, 0, 1, 1]
    assert repr(scatter) == "EmbeddingScatter(4 points, 3 maps)"
    bundle, metadata = scatter._repr_mimebundle_()
    assert bundle["text/plain"] == repr(scatter) and bundle["image/png"].startswith("iVBOR")
    assert "a mAP@all 0.00; b; c" in metadata["image/png"]["alt"]


@pytest.mark.parametrize("kind", ("png", "gif"))
def test_a_time_lapse_is_a_film_coloured_by_modality(kind):
    scatter = widgets.EmbeddingScatter(np.stack([map_of(1), map_of(2)]), *ABOUT, "ab")
    assert scatter.map.about["colours"][2:] == [plots.PHOTO, plots.SKETCH]
    assert "coloured by modality" in scatter.still().alt
    film = Image.open(BytesIO(scatter.film(kind)))
    times = []
    for n in range(film.n_frames):
        film.seek(n)
        times.append(film.info["duration"])
    assert times == [1500, 120, 120, 1500]


def test_names_are_written_over_the_middle_of_each_class():
    points = np.array([[0, 0], [9, 9], [0, 2], [9, 7]], float)  # photos, then sketches
    scatter = widgets.EmbeddingScatter(points, *ABOUT)
    # the classes are [-1, -1] and [1, 1] and, two ninths away, their sketches
    assert scatter.map.names == [
        [(0, -1, -1), (0, -1, pytest.approx(-5 / 9)), (1, 1, 1), (1, 1, pytest.approx(5 / 9))]
    ]


def test_a_slider_asks_for_a_map_and_a_map_is_kept():
    umap = Mock(side_effect=map_of)
    explorer = widgets.EmbeddingExplorer(umap, *ABOUT)
    explorer.neighbours.value = 60
    first = sent(explorer)
    assert np.allclose(distances(first[0]), distances(map_of(60, 0.3)), atol=1e-5)
    explorer.spread.value = 0.5
    explorer.spread.value = 0.3
    assert np.array_equal(sent(explorer), first) and explorer.status.value == ""
    assert umap.mock_calls == [call(15, 0.3), call(60, 0.3), call(60, 0.5)]
    assert repr(explorer) == "EmbeddingExplorer(4 points, 60 neighbours, minimum distance 0.3)"
    metadata = explorer._repr_mimebundle_()[1]
    assert "2 photos (circles) and 2 sketches (crosses)" in metadata["image/png"]["alt"]


def test_a_new_map_is_turned_to_lie_as_the_first():
    turned = np.array([[0, 1], [-1, 0]])
    explorer = widgets.EmbeddingExplorer(
        lambda neighbours, spread: map_of(1) @ (turned if neighbours == 60 else np.eye(2)), *ABOUT
    )
    first = sent(explorer)
    explorer.neighbours.value = 60
    assert np.allclose(sent(explorer), first, atol=1e-5)
