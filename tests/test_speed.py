"""What `bench speed` compares is what it says; and its arithmetic."""

from functools import partial

import numpy as np
import pytest

from dfsbir_lite.recipes import recipe
from dfsbir_lite.retrieval import score
from dfsbir_lite.runtime import profile
from dfsbir_lite.study import speed


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "recipe", partial(recipe, batch=16, encoder_steps=1))
        yield


def test_tasks_take_turns():
    done = []
    tasks = {"a": lambda: done.append("a"), "b": lambda: done.append("b")}
    seconds = speed.interleave(tasks, rounds=3, times=4)
    assert done == [*"aaaaaabbbbbb"] * 3  # two that do not count, then four
    assert {name: s.shape for name, s in seconds.items()} == {"a": (3,), "b": (3,)}
    assert speed.ratio(np.array([2, 30, 2.2]), np.array([1, 10, 1])) == 2.2  # of the same rounds


def test_scoring_in_tiny():
    few, gallery = speed.embeddings(12, 3, seed=1), speed.embeddings(80, 3, seed=2)
    assert speed.sklearn_loop(*few, *gallery) == pytest.approx(score(*few, *gallery).map_all)
    found = {m.name: m for m in speed.time_scoring(200, 400, looped=5)}
    assert found["mAP@all, away from scikit-learn's"].value < 1e-6


def test_both_steps_have_their_floor():
    measures = speed.time_steps(profile("laptop"), rounds=1)
    assert all((m.most > 0) == (m.unit == "×") and m.value > 0 for m in measures)
    assert [m.most for m in measures if m.unit == "×"] == [1.15, 1.15]
