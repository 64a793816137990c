"""The embedding explorer does what its labels say, without a browser."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from dfsbir_lite import plots, widgets
from dfsbir_lite.widgets.explorer import fitted

LABELS, SKETCHES = torch.tensor([0, 1, 0, 1]), torch.tensor([False, False, True, True])
ABOUT = (LABELS, SKETCHES, ("ant", "bee"), torch.zeros(4, 3, 2, 2, dtype=torch.uint8))


def map_of(seed: int) -> np.ndarray:
    """Return four points."""
    return np.random.default_rng(seed).normal(size=(4, 2))


def sent(explorer) -> np.ndarray:
    return np.frombuffer(explorer.map.points, "<f4").reshape(-1, 4, 2)


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
