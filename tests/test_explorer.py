"""The embedding explorer does what its labels say, without a browser."""

import threading

import numpy as np
import pytest
import torch

from dfsbir_lite import widgets
from dfsbir_lite.widgets.explorer import fitted

LABELS, SKETCHES = torch.tensor([0, 1, 0, 1]), torch.tensor([False, False, True, True])
ABOUT = (LABELS, SKETCHES, ("ant", "bee"), torch.zeros(4, 3, 2, 2, dtype=torch.uint8))


def map_of(*asked) -> np.ndarray:
    """Four points that depend on what was asked."""
    return np.random.default_rng(int(10 * sum(asked))).normal(size=(4, 2))


@pytest.fixture
def umap(monkeypatch):
    """A UMAP that tells what it was asked, and waits for `gate` before it answers."""
    asked, gate = [], threading.Event()
    gate.set()

    def flatten(rows, neighbours, spread):
        asked.append((neighbours, spread))
        gate.wait(10)
        if neighbours == 120:
            raise ValueError("too many")
        return map_of(neighbours, spread)

    monkeypatch.setattr("dfsbir_lite.lessons.projections.flatten", flatten)
    monkeypatch.setattr("dfsbir_lite.lessons.projections.aligned", lambda points, to: points)
    return asked, gate


def sent(explorer) -> np.ndarray:
    return np.frombuffer(explorer.scatter.points, "<f4").reshape(1, 4, 2)


def workers() -> int:
    return sum(t.name == "dfsbir-explorer" for t in threading.enumerate())


def test_each_map_fills_the_page_and_keeps_its_shape():
    points = np.array([[[0.0, 0], [4, 2]], [[10.0, 10], [10, 12]]])
    assert fitted(points).tolist() == [[[-1, -0.5], [1, 0.5]], [[0, -1], [0, 1]]]


def test_a_scatter_sends_its_maps_and_its_pictures():
    frames = np.stack([map_of(1), map_of(2), map_of(3)])
    readings = {"mAP@all": torch.tensor([0.0, 0.5, 1.0])}
    scatter = widgets.EmbeddingScatter(frames, *ABOUT, ("a", "b", "c"), readings)
    assert np.array_equal(np.frombuffer(scatter.points, "<f4").reshape(3, 4, 2), fitted(frames))
    assert scatter.labels == [0, 1, 0, 1] and scatter.sketches == [False, False, True, True]
    assert scatter.readings == {"mAP@all": [0.0, 0.5, 1.0]}
    assert repr(scatter) == "EmbeddingScatter(4 points, 3 maps)"
    titles = [axis.get_title() for axis in scatter.still().axes]
    assert titles == ["a\nmAP@all 0.00", "b\nmAP@all 0.50", "c\nmAP@all 1.00"]
    bundle, metadata = scatter._repr_mimebundle_()
    assert bundle["text/plain"] == repr(scatter) and bundle["image/png"].startswith("iVBOR")
    assert "a mAP@all 0.00; b mAP@all 0.50" in metadata["image/png"]["alt"]


def test_a_slider_asks_for_a_map_and_a_map_is_kept(umap):
    explorer = widgets.EmbeddingExplorer(torch.eye(4), *ABOUT)
    explorer.neighbours.value = 60
    explorer.wait()
    assert np.array_equal(sent(explorer), fitted(map_of(60, 0.3)[None]))
    explorer.spread.value = 0.5
    explorer.wait()
    explorer.spread.value = 0.3
    assert np.array_equal(sent(explorer), fitted(map_of(60, 0.3)[None]))
    assert umap[0] == [(15, 0.3), (60, 0.3), (60, 0.5)]
    assert explorer.status.value == ""
    assert repr(explorer) == "EmbeddingExplorer(4 points, 60 neighbours, minimum distance 0.3)"
    bundle, metadata = explorer._repr_mimebundle_()
    assert bundle["text/plain"] == repr(explorer) and bundle["image/png"].startswith("iVBOR")
    assert "2 photos (circles) and 2 sketches (crosses)" in metadata["image/png"]["alt"]


def test_a_newer_wish_overtakes_older_ones_in_one_thread(umap):
    asked, gate = umap
    explorer = widgets.EmbeddingExplorer(torch.eye(4), *ABOUT)
    gate.clear()
    for neighbours in (3, 5, 10):
        explorer.neighbours.value = neighbours
    assert explorer.status.value == "computing…" and workers() == 1
    gate.set()
    explorer.wait()
    assert asked[0] == (15, 0.3) and asked[-1] == (10, 0.3) and len(asked) <= 3
    assert np.array_equal(sent(explorer), fitted(map_of(10, 0.3)[None]))
    assert workers() == 0


def test_back_to_a_known_map_while_another_is_computed(umap):
    explorer = widgets.EmbeddingExplorer(torch.eye(4), *ABOUT)
    umap[1].clear()
    explorer.neighbours.value = 60
    explorer.neighbours.value = 15
    assert explorer.status.value == ""
    umap[1].set()
    explorer.wait()
    assert np.array_equal(sent(explorer), fitted(map_of(15, 0.3)[None]))


def test_a_failure_is_shown_and_the_next_wish_is_heard(umap):
    explorer = widgets.EmbeddingExplorer(torch.eye(4), *ABOUT)
    explorer.neighbours.value = 120
    explorer.wait()
    assert explorer.status.value == "stopped by ValueError: too many"
    explorer.neighbours.value = 60
    explorer.wait()
    assert explorer.status.value == ""


def test_closing_leaves_no_thread(umap):
    explorer = widgets.EmbeddingExplorer(torch.eye(4), *ABOUT)
    umap[1].clear()
    explorer.neighbours.value = 60
    threading.Timer(0.1, umap[1].set).start()
    explorer.close()
    assert workers() == 0
