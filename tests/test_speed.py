"""What `bench speed` compares is what it says; and its arithmetic."""

import subprocess
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


def passes(loop, step) -> list[int]:
    """How often `step` runs each network that an image can go through."""
    made, learner = loop.synthesis, loop.learner
    kinds = ("photo", "sketch", "guidance")
    networks = [getattr(made.teachers, kind).network for kind in kinds]
    networks += [getattr(made.judges, kind).network for kind in kinds]
    networks += [made.estimators["photo"], loop.encoders.photo.fc, learner.encoders.photo.fc]
    counts = [0] * len(networks)

    def count(place):
        def hook(*_):
            counts[place] += 1

        return hook

    hooks = [net.register_forward_hook(count(n)) for n, net in enumerate(networks)]
    step()
    for hook in hooks:
        hook.remove()
    return counts


def test_floors_and_steps_run_the_same_networks_and_the_released_way_the_teachers_twice(loops):
    ours, released = loops
    estimators, encoders = speed.floors(ours)
    synthesis = [1, 1, 0, 0, 0, 1, 1, 1, 0]  # teachers, folded guidance, estimator, averaged
    assert passes(ours, ours.synthesis.__next__) == passes(ours, estimators) == synthesis
    learning = [0, 0, 0, 1, 1, 0, 0, 0, 1]  # folded teachers, encoder
    assert passes(ours, ours.learn) == passes(ours, encoders) == learning
    # the released way has no folded copies: each of its teachers runs twice
    assert passes(released, released.synthesis.__next__)[:3] == [2, 2, 2]
    assert passes(released, speed.released_encoder_step(released))[:3] == [2, 2, 0]


def test_other_processes_are_busy_until_the_block_is_left(monkeypatch):
    begun = []

    class Noted(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            begun.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    with pytest.raises(KeyboardInterrupt), speed.busy(2):
        assert [process.poll() for process in begun] == [None, None]
        raise KeyboardInterrupt
    assert len(begun) == 2 and None not in [process.poll() for process in begun]


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
