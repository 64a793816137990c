"""Embedding maps, and measures of the modality gap on spaces whose gap is known by hand."""

import threading
import warnings

import numpy as np
import pytest
import torch

from dfsbir_lite.lessons import projections

pytestmark = pytest.mark.xdist_group("umap")  # which every process compiles anew

EAST, NORTH, WEST = (torch.tensor([v, v]) for v in ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)))


def two_clusters() -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.cat([axis * 10 + torch.randn(20, 5, generator=draw) for axis in torch.eye(5)[:2]])


def test_centroid_gap_of_known_directions():
    assert projections.centroid_gap(EAST, 7 * EAST) == pytest.approx(0, abs=1e-6)
    assert projections.centroid_gap(EAST, NORTH) == pytest.approx(2**0.5, rel=1e-5)
    assert projections.centroid_gap(EAST, WEST) == pytest.approx(2, rel=1e-5)


def test_neighbour_mix_is_zero_for_modalities_that_live_apart():
    photos, sketches = two_clusters().split(20)
    assert projections.neighbour_mix(photos, sketches) == 0


def test_neighbour_mix_is_one_where_each_sketch_lies_on_its_photo():
    photos = torch.eye(5)
    assert projections.neighbour_mix(photos, photos + 0.01) == 1


@pytest.mark.slow
def test_flatten_keeps_two_far_clusters_apart_and_is_silent():
    rows = two_clusters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = projections.flatten(rows, neighbours=5)
        assert np.array_equal(points, projections.flatten(rows, neighbours=5))
    a, b = points[:20], points[20:]
    apart = np.linalg.norm(a.mean(0) - b.mean(0))
    assert points.shape == (40, 2) and apart > 2 * max(a.std(0).max(), b.std(0).max())
    assert projections.flatten(rows, neighbours=500).shape == (40, 2)  # more than there are points
    assert torch.get_num_threads() == 1  # as conftest has it


@pytest.mark.slow
def test_two_threads_may_draw_maps():
    rows, maps = two_clusters(), []
    other = threading.Thread(target=lambda: maps.append(projections.flatten(rows)))
    other.start()
    maps.append(projections.flatten(rows))
    other.join()
    assert np.array_equal(*maps)


@pytest.mark.slow
def test_a_time_lapse_does_not_turn_what_stays():
    """The same rows three times: a point moves less between maps than a map is wide."""
    maps = projections.time_lapse([two_clusters()] * 3)
    moved = np.linalg.norm(np.diff(maps, axis=0), axis=2).mean()
    assert maps.shape == (3, 40, 2) and moved < np.ptp(maps, axis=(0, 1)).max() / 10
