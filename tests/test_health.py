"""What is told of a run, from counts and histories written by hand."""

from math import nan

import pytest
import torch

from dfsbir_lite import health
from dfsbir_lite.health import Look
from dfsbir_lite.synthesis import SynthesisStep

CLASSES = ("boat", "key", "mug")
FULL = {"photo": torch.tensor([2, 1, 1]), "sketch": torch.tensor([1, 1, 2])}
VARIED = {"photo": 0.2, "sketch": 0.1}


def looks(n=5, first=20, spread=VARIED, **counts):
    counts = {**FULL, **{k: torch.tensor(v) for k, v in counts.items()}}
    return [Look(first + 4 * i, counts, dict(spread)) for i in range(n)]


def told(seen=(), history=None, **weights):
    return health.alarms(list(seen), history or {}, weights, CLASSES)


def test_a_look_counts_what_each_teacher_sees(teachers):
    photos, sketches = torch.zeros(4, 3, 16, 16), torch.zeros(4, 3, 16, 16)
    photos[::2] = 0.5  # every neighbour is 0.5 away
    step = SynthesisStep(7, {}, photos, sketches, torch.zeros(4).long(), torch.zeros(4, 3))
    seen = health.look(teachers, step)
    assert seen.index == 7 and seen.spread == {"photo": 0.5, "sketch": 0.0}
    dark = int(teachers.sketch.posteriors(sketches)[0].argmax())
    assert seen.counts["sketch"].tolist() == [4 * (c == dark) for c in range(3)]
    assert seen.counts["photo"].sum() == 4


def test_samples_of_a_distillation_step_are_those_it_made():
    class Distilled:
        made = "a synthesis step"

    assert health.samples(Distilled()) == "a synthesis step"
    assert health.samples("a synthesis step") == "a synthesis step"


def test_one_of_each_is_the_first_or_white():
    images = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 3, 2, 2) / 8
    found = health.one_of_each(images, torch.tensor([2, 0, 2, 0]), 3)
    assert found[:, 0, 0, 0].tolist() == [1 / 8, 1, 0]


def test_a_healthy_run_has_no_alarm():
    assert told(looks(9), {"bn": [9.0] * 60}, bn=1) == []


def test_a_class_missing_from_five_looks_is_named():
    (alarm,) = told(looks(photo=[0, 4, 0]))
    assert "no photo was taken for: boat, mug" in alarm
    (alarm,) = told(looks(sketch=[0, 2, 2]))
    assert "no sketch was taken for: boat." in alarm


def test_a_class_missing_from_four_looks_may_be_chance():
    assert told([*looks(1, first=20), *looks(4, first=24, photo=[0, 4, 0])]) == []
    assert told([*looks(1, first=20), *looks(5, first=24, photo=[0, 4, 0])]) != []


def test_looks_at_a_young_run_do_not_count():
    assert told(looks(5, first=0, photo=[0, 4, 0])) == []


def test_an_alarm_goes_when_its_reason_is_gone():
    bad = looks(6, photo=[0, 4, 0])
    assert told(bad) and told([*bad, *looks(1, first=60)]) == []


def test_samples_alike():
    (alarm,) = told(looks(spread={"photo": 0.2, "sketch": 0.02}))
    assert "two sketches differ by 0.02" in alarm
    # above the floor, but less than a third of what it was
    (alarm,) = told([*looks(1), *looks(5, first=24, spread={"photo": 0.2, "sketch": 0.033})])
    assert "two sketches differ by 0.03 a pixel, at their best by 0.10" in alarm
    assert told([*looks(1), *looks(5, first=24, spread={"photo": 0.2, "sketch": 0.035})]) == []


def test_a_loss_many_times_its_median_is_divergence():
    (alarm,) = told(history={"bn": [2.0] * 50 + [13.0] * 5}, bn=1)
    assert "the loss is 13, after a median of 2" in alarm
    assert told(history={"bn": [2.0] * 50 + [11.0] * 5}, bn=1) == []  # not more than 5 times more
    assert told(history={"bn": [2.0] * 50 + [2.0] * 3 + [13.0] * 2}, bn=1) == []  # two spikes
    assert told(history={"bn": [2.0] * 4 + [13.0] * 5}, bn=1) == []  # too young


def test_a_negative_loss_that_grows_is_divergence():
    history = {"entropy": [-2.0] * 50 + [9.0] * 5}
    assert told(history=history, entropy=1) and not told(history=history, entropy=0)


def test_a_moved_slider_is_no_divergence():
    history = {"bn": [2.0] * 55, "align": [1.0] * 55}
    assert told(history=history, bn=100, align=1) == []  # as if it had been 100 all the time


@pytest.mark.parametrize("absent", [[nan] * 55, [nan] * 50 + [1.0] * 5])
def test_a_term_that_was_left_out_hides_nothing_and_raises_no_alarm(absent):
    history = {"bn": [2.0] * 55, "adv": absent}
    assert told(history=history, bn=1, adv=100) == []
    history["bn"] = [2.0] * 50 + [13.0] * 5
    assert len(told(history=history, bn=1, adv=1)) == (absent[-1] != 1.0)
