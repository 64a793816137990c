"""Controls do what their labels say, without a browser: traits are set as a browser would."""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from itertools import count, islice
from math import isnan, nan

import pytest
import torch

from dfsbir_lite import widgets
from dfsbir_lite.losses import Weights
from dfsbir_lite.recipes import PRESETS, Recipe, preset, recipe
from dfsbir_lite.widgets.panel import OWN

PNG = b"\x89PNG\r\n"
THREADS = ("dfsbir-panel", "dfsbir-comparison")


@dataclass
class Step:
    """A synthesis step with pictures of its weight of `bn`."""

    index: int
    terms: dict[str, torch.Tensor]
    photos: torch.Tensor
    sketches: torch.Tensor
    labels: torch.Tensor


def made(index: int, bn: float, weight: float = 1.0) -> Step:
    images = torch.full((3, 3, 16, 16), min(weight, 1.0))
    return Step(index, {"bn": torch.tensor(bn)}, images, images, torch.arange(3))


def endless(settings):
    """A loop like `synthesize`: one term, falling; each step reads the weights when it begins."""
    for index in count():
        time.sleep(0.001)
        yield made(index, 1 / (index + 1), settings.weights.bn)


def failing(settings):
    """A loop that breaks at its third step."""
    yield from islice(endless(settings), 2)
    raise ValueError("no more noise")


def bursting(settings):
    """A loop whose third step, and that alone, has a term that is nan."""
    for step in endless(settings):
        yield made(2, nan) if step.index == 2 else step


@pytest.fixture
def panel(teachers):
    """`panel(begin)`: a panel for such a loop; closed at the end."""
    made = []

    def make(begin=endless, names=("bn",), **weights):
        settings = Recipe(weights=Weights(**{"bn": 1.0, **weights}))
        live = widgets.LivePanel(begin, settings, teachers, names, redraw_seconds=0.01)
        made.append(live)
        return live

    yield make
    for live in made:
        live.close()
    assert not at_work()


def at_work() -> list[str]:
    """The names of the panels' threads."""
    return [t.name for t in threading.enumerate() if t.name in THREADS]


def wait_for(condition) -> None:
    """Waits until `condition()` holds, and fails if it has not within ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def press(live: widgets.LivePanel, name: str) -> None:
    next(b for b in (*live.buttons, live.comparer) if b.description == name).click()


# --- sliders ----------------------------------------------------------------------------------


def test_a_slider_writes_its_weight():
    weights = Weights(bn=1.0, align=0.5)
    sliders = widgets.weight_sliders(weights, ("bn", "align"))
    assert [s.description for s in sliders.children] == ["bn", "align"]
    sliders.children[0].value = 10.0
    assert (weights.bn, weights.align) == (10.0, 0.5)


def test_the_far_left_is_off():
    weights = Weights(bn=1.0)
    (slider,) = widgets.weight_sliders(weights, ("bn",)).children
    slider.value = 10**slider.min
    assert weights.bn == 0


def test_a_weight_of_zero_starts_at_the_far_left_and_stays_zero():
    weights = Weights()
    (slider,) = widgets.weight_sliders(weights, ("bn",)).children
    assert slider.value == 10**slider.min and weights.bn == 0


def test_sliders_for_all_weights_print_as_the_weights():
    weights = Weights(bn=2.0)
    assert len(widgets.weight_sliders(weights).children) == len(weights.snapshot())
    assert repr(widgets.weight_sliders(weights, ("bn", "align"))) == "weights: bn 2, align 0"


# --- the live panel ---------------------------------------------------------------------------


def test_start_pause_start_stop(panel):
    live = panel()
    press(live, "Start")
    wait_for(lambda: len(live.history["bn"]) > 3 and live.picture.value)
    press(live, "Pause")
    wait_for(lambda: live.status.value == f"paused {live.last.index}" and not live.running)
    paused = len(live.history["bn"])
    press(live, "Start")
    wait_for(lambda: len(live.history["bn"]) > paused)
    press(live, "Stop")
    assert not at_work()
    assert live.status.value == f"stopped {live.last.index}"
    assert live.history["bn"] == pytest.approx([1 / (i + 1) for i in range(live.last.index + 1)])
    assert bytes(live.picture.value).startswith(PNG)


def test_pause_before_start_and_stop_before_start(panel):
    live = panel()
    press(live, "Pause")
    assert live.status.value == "paused"
    press(live, "Stop")
    assert live.status.value == "stopped"


def test_start_twice_runs_one_thread(panel):
    live = panel()
    live.start()
    live.start()
    assert at_work() == ["dfsbir-panel"]


def test_another_panel_stops_the_first(panel):
    first = panel()
    first.start()
    second = panel()
    assert not at_work() and first.status.value.startswith("stopped")
    second.start()
    first.step()
    assert not at_work() and second.status.value.startswith("stopped")


def test_a_moved_slider_is_obeyed_by_the_next_but_one_step(panel):
    live, seen = panel(), []
    live.start()
    wait_for(lambda: live.last)
    live.sliders.children[0].value = 0.5
    moved = live.last.index
    wait_for(lambda: live.last.index >= moved + 2)
    live.stop()
    seen = live.last.photos
    assert seen.unique().item() == live.settings.weights.bn == 0.5


def test_step_takes_one_step_and_draws_it(panel):
    live = panel()
    press(live, "Step")
    assert live.status.value == "step 0" and live.history == {"bn": [1.0]}
    assert bytes(live.picture.value).startswith(PNG) and live.picture.layout.display is None
    assert [look.index for look in live.looks] == [0]


def test_run_does_the_same_in_the_foreground(panel):
    live = panel()
    live.run(6)
    assert live.last.index == 5 and live.status.value == "step 5"
    assert [look.index for look in live.looks] == [0, 4, 5]  # every fourth, and the one drawn


def test_reset_starts_over_with_the_weights_as_they_are(panel):
    live = panel()
    live.sliders.children[0].value = 0.25
    live.run(3)
    live.start()
    press(live, "Reset")
    assert not at_work() and live.status.value == "ready" and live.alarms == []
    assert live.history == {"bn": []} and live.looks == [] and not live.picture.value
    live.step()
    assert live.last.index == 0 and live.settings.weights.bn == 0.25


def test_terms_that_come_later_have_gaps_before(panel):
    def late(settings):
        for step in endless(settings):
            if step.index == 2:
                step.terms["modal"] = torch.tensor(5.0)
            yield step

    live = panel(late)
    live.run(4)
    assert [isnan(value) for value in live.history["modal"]] == [True, True, False, True]


def test_the_end_of_a_loop_is_told(panel):
    live = panel(lambda settings: islice(endless(settings), 2))
    live.start()
    wait_for(lambda: live.status.value == "finished 1" and not live.running)
    other = panel(lambda settings: islice(endless(settings), 2))
    other.run(5)
    assert other.status.value == "finished 1" and bytes(other.picture.value).startswith(PNG)


@pytest.mark.parametrize("how", ["start", "run"])
def test_a_failure_is_shown_in_the_status(panel, how):
    live = panel(failing)
    live.start() if how == "start" else live.run(5)
    wait_for(lambda: live.error and not live.running)
    live.stop()
    assert isinstance(live.error, ValueError)
    assert live.status.value == "stopped by ValueError: no more noise"
    assert len(live.history["bn"]) == 2


def test_nan_stops_the_run_names_its_term_and_loses_nothing(panel):
    live = panel(bursting)
    live.start()
    wait_for(lambda: live.error and not live.running)
    assert live.status.value == "stopped by FloatingPointError: bn is nan"
    assert live.alarms[0].startswith("Divergence: bn is nan.")
    assert "Alarm" in live.bell.value and "bn is nan" in live.bell.value
    assert live.history["bn"] == pytest.approx([1, 1 / 2]) and live.last.index == 1
    assert bytes(live.picture.value).startswith(PNG)
    live.run(1)  # goes on with the next step
    assert live.error is None and live.alarms == [] and "Alarm" not in live.bell.value
    assert live.history["bn"] == pytest.approx([1, 1 / 2, 1 / 4])


def test_a_picture_that_fails_stops_the_loop_and_is_shown(panel, monkeypatch):
    live = panel()
    monkeypatch.setattr("dfsbir_lite.plots.live", lambda *args: 1 / 0)
    live.start()
    wait_for(lambda: live.error and not live.running)
    assert live.status.value == "stopped by ZeroDivisionError: division by zero"


def test_collapse_rings_until_it_is_over(panel):
    """Black samples for 40 steps, which a teacher takes for one class, then varied ones."""

    def recovering(settings):
        for step in endless(settings):
            step.photos = step.sketches = torch.zeros(3, 3, 16, 16)
            if step.index > 40:
                step.photos = step.sketches = torch.eye(3)[:, :, None, None].expand(3, 3, 16, 16)
            yield step

    live = panel(recovering)
    live.run(40)
    assert any("samples alike: two photos differ by 0.00" in told for told in live.alarms)
    assert sum("classes missing" in told for told in live.alarms) == 2
    assert live.bell.value.count("<b>Alarm</b>") == len(live.alarms)
    live.run(40)
    assert not any("alike" in told for told in live.alarms)


def test_a_panel_prints_as_its_weights_and_carries_a_still_picture(panel):
    live = panel()
    assert repr(live) == "LivePanel(weights: bn 1)"
    assert "image/png" not in live._repr_mimebundle_()
    live.step()
    bundle, metadata = live._repr_mimebundle_()
    assert bundle["text/plain"] == "LivePanel(weights: bn 1)"
    assert bundle["image/png"].startswith("iVBOR")
    assert "Terms: bn " in metadata["image/png"]["alt"]
    assert live.words.alts == [metadata["image/png"]["alt"], ""]


# --- presets and comparisons ------------------------------------------------------------------


def test_a_preset_sets_every_weight_shown_or_not(panel):
    live = panel()
    assert live.preset.value == OWN
    live.preset.value = "paper"
    assert live.settings.weights == preset("paper")
    live.preset.value = "adversarial only"
    assert live.settings.weights == preset("adversarial only")
    assert live.sliders.children[0].value == 10 ** live.sliders.children[0].min


def test_the_preset_is_named_after_the_weights(panel):
    live = panel(names=("bn", "adv"), **{**recipe("kit").weights.snapshot()})
    assert live.preset.value == "kit"
    live.sliders.children[0].value = 0.001
    assert live.preset.value == "no BN"
    live.sliders.children[1].value = 7
    assert live.preset.value == OWN and live.settings.weights.adv == 7


def test_the_steps_of_the_page_do_not_change_a_weight(panel):
    """A browser moves a slider at 0.3 to the nearest of its steps, 10 ** -0.52."""
    live = panel(names=("adv",), **recipe("kit").weights.snapshot())
    live.sliders.children[0].value = 10**-0.52
    assert live.settings.weights.adv == 0.3 and live.preset.value == "kit"


def test_sliders_follow_weights_that_code_has_changed(panel):
    live = panel()
    live.settings.weights.bn = 250.0  # beyond the slider's end
    live.step()
    assert live.sliders.children[0].value == 100 and live.settings.weights.bn == 250


def test_a_comparison_takes_as_many_steps_with_the_presets_weights(panel):
    live = panel(**{**preset("kit").snapshot(), "bn": 0.25})
    live.run(4)
    live.rival.value = "no BN"
    press(live, "Compare")
    wait_for(lambda: not live.running)
    assert live.compared.index == 3 and live.compared.photos.unique().item() == 0
    assert live.last.photos.unique().item() == 0.25  # the run itself is as it was
    assert live.status.value == "compared with no BN after 4 steps"
    assert bytes(live.strip.value).startswith(PNG) and live.settings.weights.bn == 0.25
    live.reset()
    assert live.compared is None and not live.strip.value


def test_both_sides_of_a_comparison_see_the_same_noise(teachers, tiny_recipe):
    from dfsbir_lite.synthesis import synthesize

    settings = tiny_recipe()
    live = widgets.LivePanel(lambda s: synthesize(teachers, s, width=8, seed=3), settings, teachers)
    live.run(2)
    live.compare("no BN")
    wait_for(lambda: not live.running)
    assert torch.equal(live.last.noise, live.compared.noise)
    assert not torch.equal(live.last.photos, live.compared.photos)
    live.close()


def test_stop_ends_a_comparison(panel):
    live = panel()
    live.run(1)
    live.last.index = 1999
    live.compare("kit")
    wait_for(lambda: live.status.value.startswith("kit: step"))
    assert at_work() == ["dfsbir-comparison"]
    live.stop()
    assert not at_work() and live.compared is None
    assert live.status.value == "stopped 1999"


def test_there_is_nothing_to_compare_with_before_the_first_step(panel):
    live = panel()
    live.compare("kit")
    assert not at_work() and live.status.value.startswith("nothing to compare")


# --- nothing is left behind -------------------------------------------------------------------


def test_a_closed_panel_leaves_no_thread_and_no_widget(panel):
    from ipywidgets import widget

    before = set(widget._instances)
    live = panel()
    live.start()
    wait_for(lambda: live.last)
    live.close()
    assert not at_work() and live.loop is None
    assert set(widget._instances) <= before
    live.close()  # twice is no harm


@pytest.mark.slow
def test_a_process_that_ends_during_a_run_ends_quietly():
    code = """if True:
        import time
        from dfsbir_lite import widgets, zoo
        from dfsbir_lite.recipes import recipe
        from dfsbir_lite.synthesis import synthesize
        teachers = zoo.load_teachers()
        live = widgets.LivePanel(lambda s: synthesize(teachers, s), recipe("kit"), teachers)
        live.start()
        while live.last is None:
            time.sleep(0.01)
    """
    end = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (end.returncode, end.stdout, end.stderr) == (0, "", "")


def test_presets_are_all_on_offer(panel):
    live = panel()
    assert live.preset.options == (*PRESETS, OWN) and live.rival.options == tuple(PRESETS)
