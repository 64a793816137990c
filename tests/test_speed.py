"""What the speed bench compares is what it says; and its arithmetic."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from dfsbir_lite import runtime, zoo
from dfsbir_lite.__main__ import main
from dfsbir_lite.runtime import autocast, full_precision, has_bfloat16, profile
from dfsbir_lite.students import new_encoders
from dfsbir_lite.study.speed import compiled, figure, scaling, startup, steps
from dfsbir_lite.study.speed.measures import Measure, interleave, ratio, table


@pytest.fixture(scope="module")
def loops():
    teachers, sizes = zoo.load_teachers("laptop"), profile("laptop")
    return steps.running(teachers, sizes), steps.released_way(teachers, sizes)


def test_a_bar_is_met_or_not_or_there_is_none():
    for value, bounds, met in (
        (1.2, {}, None),
        (1.2, {"most": 1.2}, True),
        (1.3, {"most": 1.2}, False),
        (2, {"least": 2}, True),
        (1.9, {"least": 2}, False),
        (3, {"least": 2, "most": 4}, True),
        (5, {"least": 2, "most": 4}, False),
        (1, {"least": 2, "most": 4}, False),
    ):
        assert Measure("part", "name", value, "×", **bounds).met is met


def test_the_table_says_what_was_to_be_reached():
    measures = [
        Measure("import", "all", 0.0423, "s", most=0.3),
        Measure("search", "exact / faiss", 4.9, "×", least=5),
        Measure("ToyBox", "images", 1234.5, "a second"),
    ]
    assert table(measures).to_numpy().tolist() == [
        ["import", "all", "0.0423 s", "≤ 0.3", "✓"],
        ["search", "exact / faiss", "4.9 ×", "≥ 5", "✗"],
        ["ToyBox", "images", "1,234 a second", "", ""],
    ]


def test_tasks_take_turns_and_the_first_rounds_do_not_count(monkeypatch):
    done, clock = [], iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    tasks = {"a": lambda: done.append("a"), "b": lambda: [done.append("b"), next(clock)]}
    seconds = interleave(tasks, rounds=3, warm=2)
    assert done == ["a", "b"] * 5
    assert seconds["a"].tolist() == [1, 1, 1] and seconds["b"].tolist() == [2, 2, 2]


def test_a_ratio_is_that_of_the_same_rounds():
    mine, other = np.array([2.0, 30.0, 2.2]), np.array([1.0, 10.0, 1.0])
    assert ratio(mine, other) == pytest.approx(2.2)


def test_full_precision_switches_autocast_off_and_on_again(monkeypatch):
    monkeypatch.setattr(runtime, "has_bfloat16", lambda device: True)

    def inside() -> bool:
        with autocast("cpu"):
            return torch.is_autocast_enabled("cpu")

    assert inside()
    with full_precision():
        assert not inside()
    assert inside()


def test_the_released_way_computes_the_same_losses(loops):
    """So that what differs is how, not what."""
    ours, released = loops
    for loop in loops:
        loop.synthesis.estimators.load_state_dict(loops[0].synthesis.estimators.state_dict())
        loop.learner.encoders.load_state_dict(loops[0].learner.encoders.state_dict())
        loop.learner.averaged.load_state_dict(loops[0].learner.averaged.state_dict())
        loop.synthesis.draw.manual_seed(3)
    with full_precision():
        mine, theirs = next(ours.synthesis).terms, next(released.synthesis).terms
    assert mine.keys() == theirs.keys() >= {"one_hot", "bn", "align", "modal", "adv", "diversity"}
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-3, atol=1e-4)


def passes(loop, step) -> dict[str, int]:
    """How often `step` runs each network that an image can go through."""
    made, learner = loop.synthesis, loop.learner
    judges, kinds = made.judges, ("photo", "sketch", "guidance")
    networks = {
        **{kind: getattr(loop.teachers, kind).network for kind in kinds},
        **{f"folded {kind}": getattr(judges, kind).network for kind in kinds},
        "photo estimator": made.estimators["photo"],
        "photo averaged": learner.averaged.photo.fc,
        "photo encoder": learner.encoders.photo.fc,
    }
    counts = dict.fromkeys(networks, 0)

    def count(name):
        def hook(*_):
            counts[name] += 1

        return hook

    hooks = [net.register_forward_hook(count(name)) for name, net in networks.items()]
    step()
    for hook in hooks:
        hook.remove()
    return counts


def test_floors_and_steps_run_the_same_networks_and_the_released_way_the_teachers_twice(loops):
    ours, released = loops
    synthesis = passes(ours, ours.synthesis.__next__)
    assert passes(ours, steps.synthesis_floor(ours)) == synthesis
    assert list(synthesis.values()) == [1, 1, 0, 0, 0, 1, 1, 1, 0]
    learning = passes(ours, ours.learn)
    assert passes(ours, steps.encoder_floor(ours)) == learning
    assert list(learning.values()) == [0, 0, 0, 1, 1, 0, 0, 0, 1]
    # the released way has no folded copies: each of its teachers runs twice
    slow = passes(released, released.synthesis.__next__)
    assert [slow[kind] for kind in ("photo", "sketch", "guidance")] == [2, 2, 2]
    slow = passes(released, steps.released_encoder_step(released))
    assert [slow[kind] for kind in ("photo", "sketch", "guidance")] == [2, 2, 0]


def test_the_released_way_builds_gradients_that_nobody_needs(loops):
    ours, released = loops
    next(released.synthesis)
    next(ours.synthesis)
    assert released.teachers.photo.network.stem.weight.grad is not None
    assert ours.teachers.photo.network.stem.weight.grad is None


@pytest.mark.slow
def test_every_ratio_has_its_bar():
    table = steps.measure(profile("laptop"), rounds=1)
    assert {m.part for m in table} == {"synthesis step", "encoder step"}
    assert all((m.met is not None) == (m.unit == "×") and m.value > 0 for m in table)
    precisions = 2 if has_bfloat16(torch.device("cpu")) else 1
    assert sum(m.met is not None for m in table) == 2 * 2 * precisions


@pytest.mark.slow
def test_an_import_adds_little_to_that_of_torch():
    assert all(m.value >= 0 and m.most == 0.3 for m in startup.measure_imports(times=1))


def test_what_compiling_brings_is_told_where_it_can_be_done(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network: network)
    first, second, *pays = compiled.measure(profile("laptop"), rounds=3)
    assert first.unit == "s" and second.unit == "×" and 0.3 < second.value < 3
    assert len(pays) <= 1 and all(m.value > 0 for m in pays)

    def nothing(network):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", nothing)
    assert compiled.measure(profile("laptop")) == []


@pytest.mark.slow
def test_an_encoder_can_be_compiled_and_reads_the_same():
    network = new_encoders(profile("laptop"), classes=12).photo.eval()
    images = torch.rand(4, 3, 32, 32)
    try:
        read = torch.compile(network)(images)
    except RuntimeError:
        pytest.skip("no C++ compiler")
    torch.testing.assert_close(read, network(images), rtol=1e-4, atol=1e-4)


RANGES = {"batch": (8, 16), "resolution": (32,), "classes": (12,), "gallery": (50, 100)}


@pytest.mark.slow
def test_costs_are_measured_along_every_axis_and_drawn():
    costs = scaling.measure(RANGES)
    assert [(c.axis, c.value) for c in costs] == [(a, v) for a in RANGES for v in RANGES[a]]
    assert all(c.seconds > 0 for c in costs)
    assert all(c.memory is None or c.memory > 1e6 for c in costs if c.axis != "gallery")
    drawn = figure.draw([Measure("search", "ours", 2.0, "ms")], costs)
    seen = [axis for axis in drawn.axes if axis.get_visible()]
    assert seen[0].patches[0].get_width() == 2
    batch = seen[1].lines[1]
    assert list(batch.get_xdata()) == [8, 16]
    assert list(batch.get_ydata()) == [c.seconds for c in costs[:2]]


def test_the_bench_stores_every_part_and_its_figure(monkeypatch, tmp_path, capsys):
    made = [Measure("part", "ours / floor", 1.1, "×", most=1.15)]
    parts = ("steps.measure", "ranking.measure_evaluation", "ranking.measure_search")
    parts += ("startup.measure_toybox", "startup.measure_imports", "compiled.measure")
    for name in parts:
        monkeypatch.setattr(f"dfsbir_lite.study.speed.{name}", lambda *a: made)
    cost = scaling.Cost("batch", 8, 0.5, None)
    monkeypatch.setattr(scaling, "measure", lambda **_: [cost])
    assert main(["bench", "speed", "--out", str(tmp_path)]) == 0
    stored = json.loads((tmp_path / "speed-laptop.json").read_text())
    assert stored["measures"] == 6 * [{**asdict(made[0]), "met": True}]
    assert stored["costs"] == [asdict(cost)] and stored["machine"]["cores"] > 0
    assert (tmp_path / "speed-laptop.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.count("≤ 1.15") == 6
