"""What `bench speed` compares is what it says; and its arithmetic."""

from functools import partial

import numpy as np
import pytest
import torch

from dfsbir_lite import zoo
from dfsbir_lite.recipes import recipe
from dfsbir_lite.retrieval import score
from dfsbir_lite.runtime import profile
from dfsbir_lite.study import speed


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "recipe", partial(recipe, batch=16, encoder_steps=1))
        yield


@pytest.fixture(scope="module")
def loops(small):
    teachers, sizes = zoo.load_teachers("laptop"), profile("laptop")
    return speed.running(teachers, sizes), speed.released_way(teachers, sizes)


def test_tasks_take_turns():
    done = []
    tasks = {"a": lambda: done.append("a"), "b": lambda: done.append("b")}
    seconds = speed.interleave(tasks, rounds=3, times=4)
    assert done == [*"aaaaaabbbbbb"] * 3  # two that do not count, then four
    assert {name: s.shape for name, s in seconds.items()} == {"a": (3,), "b": (3,)}
    assert speed.ratio(np.array([2, 30, 2.2]), np.array([1, 10, 1])) == 2.2  # of the same rounds


def test_the_released_way_computes_the_same_losses(loops):
    """So that what differs is how, not what."""
    ours, released = loops
    for loop in loops:
        loop.synthesis.estimators.load_state_dict(ours.synthesis.estimators.state_dict())
        loop.learner.encoders.load_state_dict(ours.learner.encoders.state_dict())
        loop.learner.averaged.load_state_dict(ours.learner.averaged.state_dict())
        loop.synthesis.draw.manual_seed(3)
    mine, theirs = next(ours.synthesis).terms, next(released.synthesis).terms
    assert mine.keys() == theirs.keys() >= {"one_hot", "bn", "align", "modal", "adv", "diversity"}
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-3, atol=1e-4)
    # it also builds gradients that nobody needs
    assert released.synthesis.teachers.photo.network.stem.weight.grad is not None
    assert ours.synthesis.teachers.photo.network.stem.weight.grad is None


def test_retrieval_in_tiny():
    few, gallery = speed.embeddings(12, 3, seed=1), speed.embeddings(80, 3, seed=2)
    assert speed.sklearn_loop(*few, *gallery) == pytest.approx(score(*few, *gallery).map_all)
    found = {m.name: m for m in speed.time_retrieval(200, 400, looped=5, searched=1000)}
    assert found["mAP@all, away from scikit-learn's"].value < 1e-6
    assert found["1 query in 1,000 items"].most == 50 and found["1 query in 1,000 items"].value > 0


def test_every_ratio_of_steps_and_iterations_has_its_bar():
    sizes = profile("laptop")
    measures = speed.time_steps(sizes, rounds=1) + speed.time_load(sizes, rounds=1, times=1)
    assert all((m.most > 0) == (m.unit == "×") and m.value > 0 for m in measures)
    assert [m.most for m in measures if m.unit == "×"] == [1.15, 0.77, 1.15, 0.77, 2.2, 4.5]
