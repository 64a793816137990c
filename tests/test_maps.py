"""The gap between modalities, on spaces whose gap is known by hand."""

import warnings

import numpy as np
import pytest
import torch

from dfsbir_lite.lessons import projections

EAST, NORTH, WEST = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)


def test_centroid_gap_of_known_directions():
    east, north, west = (torch.tensor([v, v]) for v in (EAST, NORTH, WEST))
    assert projections.centroid_gap(east, east) == pytest.approx(0, abs=1e-6)
    assert projections.centroid_gap(east, north) == pytest.approx(2**0.5, rel=1e-5)
    assert projections.centroid_gap(east, west) == pytest.approx(2, rel=1e-5)


def test_centroid_gap_compares_directions_only():
    assert projections.centroid_gap(torch.tensor([EAST]), 7 * torch.tensor([EAST])) < 1e-6


def test_neighbour_mix_is_zero_for_modalities_that_live_apart():
    draw = torch.Generator().manual_seed(0)
    photos = torch.tensor([10.0, 0, 0]) + torch.randn(20, 3, generator=draw)
    sketches = torch.tensor([0.0, 10, 0]) + torch.randn(20, 3, generator=draw)
    assert projections.neighbour_mix(photos, sketches) == 0


def test_neighbour_mix_is_one_where_each_sketch_lies_on_its_photo():
    photos = torch.eye(5)
    assert projections.neighbour_mix(photos, photos + 0.01) == 1


def test_pair_cosines_sorts_pairs_by_class():
    sketches, photos = torch.tensor([EAST, NORTH]), torch.tensor([EAST, NORTH, WEST])
    same, different = projections.pair_cosines(
        sketches, torch.tensor([0, 1]), photos, torch.tensor([0, 1, 1])
    )
    assert sorted(same.tolist()) == [0, 1, 1]  # north-west, east-east, north-north
    assert sorted(different.tolist()) == [-1, 0, 0]


def test_centred_rows_have_no_common_direction():
    rows = projections.centred(torch.rand(10, 4, generator=torch.Generator().manual_seed(0)))
    assert rows.mean(0).abs().max() < 1e-6


def test_joint_says_which_rows_are_sketches():
    rows, sketches = projections.joint(2 * torch.eye(2), 3 * torch.eye(2)[:1])
    assert torch.equal(rows, torch.eye(2)[[0, 1, 0]])
    assert sketches.tolist() == [False, False, True]


def test_aligned_undoes_what_means_nothing():
    points = np.random.default_rng(0).normal(size=(9, 2))
    turned = np.array([[0.0, 1], [1, 0]])  # a mirror
    assert np.allclose(projections.aligned(3 * points @ turned + 5, points), points, atol=1e-5)


def test_aligned_does_not_bend():
    square, kite = (
        np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]),
        np.array([[0.0, 0], [2, 0], [1, 1], [0, 2]]),
    )
    moved = projections.aligned(kite, square)
    ratio = np.linalg.norm(moved[1] - moved[0]) / np.linalg.norm(moved[2] - moved[0])
    assert ratio == pytest.approx(2**0.5, rel=1e-5)


def test_a_course_is_laid_from_its_end(monkeypatch):
    starts = []

    def flatten(rows, start=None, seed=0):
        starts.append(None if start is None else start.tolist())
        return rows.numpy() * 2 if start is not None else rows.numpy()

    monkeypatch.setattr("dfsbir_lite.lessons.projections.flatten", flatten)
    last = torch.tensor([[0.0, 0], [1, 0], [0, 1]])
    frames = projections.flatten_course([last, last])
    assert starts == [None, last.tolist()]
    assert np.allclose(frames, np.stack([last, last]), atol=1e-6)


@pytest.mark.slow
def test_flatten_keeps_two_far_clusters_apart_and_is_silent():
    draw = torch.Generator().manual_seed(0)
    rows = torch.cat([axis * 10 + torch.randn(20, 5, generator=draw) for axis in torch.eye(5)[:2]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = projections.flatten(rows, neighbours=5)
        assert np.array_equal(points, projections.flatten(rows, neighbours=5))
    a, b = points[:20], points[20:]
    apart = np.linalg.norm(a.mean(0) - b.mean(0))
    assert points.shape == (40, 2) and apart > 2 * max(a.std(0).max(), b.std(0).max())
    assert projections.flatten(rows, neighbours=500).shape == (40, 2)  # more than there are points
