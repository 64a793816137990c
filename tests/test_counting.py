"""Ranks that are counted are those of a stable sort, whatever the distances look like."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dfsbir_lite import retrieval


def sorted_ranks(distances, relevant):
    order = np.argsort(distances, axis=1, kind="stable")
    return np.stack([np.flatnonzero(np.isin(row, relevant)) + 1 for row in order])


def test_ranks_by_hand():
    distances = np.array([[0.5, -1, 0.5, 0.2, 0.9], [0, 0, 0, 0, 0]], np.float32)
    # sorted: 1, 3, 0, 2, 4, and then in the order that they have
    assert retrieval.ranks(distances, np.array([2, 3])).tolist() == [[2, 4], [3, 4]]
    assert retrieval.ranks(distances, np.array([0])).tolist() == [[3], [1]]
    assert retrieval.ranks(distances, np.arange(5)).tolist() == [[1, 2, 3, 4, 5]] * 2


CASES = {
    "spread": lambda draw, shape: draw.uniform(-1, 1, shape),
    "in few places": lambda draw, shape: draw.integers(-3, 4, shape) / 4,
    "all in one bin but for one": lambda draw, shape: np.where(
        np.arange(shape[1]) == 5, 1, draw.uniform(-1e-6, 1e-6, shape)
    ),
    "all equal": lambda draw, shape: np.full(shape, -0.25),
    "two zeros": lambda draw, shape: draw.choice([0.0, -0.0, 1e-42, 1e-45], shape),
}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0.01, 0.5, 1])
def test_ranks_are_those_of_sorting(kind, dtype, share):
    draw = np.random.default_rng(0)
    distances = CASES[kind](draw, (6, 700)).astype(dtype)
    relevant = np.sort(draw.choice(700, int(700 * share), replace=False))
    found = retrieval.ranks(distances, relevant)
    np.testing.assert_array_equal(found, sorted_ranks(distances, relevant))


@given(
    arrays.arrays(
        np.float32, st.tuples(st.just(2), st.integers(2, 30)), elements=st.floats(-1, 1, width=32)
    ),
    st.data(),
)
def test_ranks_of_any_distances(distances, data):
    places = st.integers(0, distances.shape[1] - 1)
    relevant = np.array(sorted(data.draw(st.sets(places, min_size=1))))
    found = retrieval.ranks(distances, relevant)
    np.testing.assert_array_equal(found, sorted_ranks(distances, relevant))
