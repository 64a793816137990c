"""Controls do what their labels say, without a browser: traits are set as a browser would."""

import threading
import time
from dataclasses import dataclass
from itertools import count, islice

import pytest
from matplotlib.figure import Figure

from dfsbir_lite import widgets
from dfsbir_lite.losses import Weights

PNG = b"\x89PNG\r\n"


@dataclass
class Step:
    index: int
    terms: dict[str, float]


def endless():
    """A loop like `synthesize`: one term, falling."""
    for index in count():
        time.sleep(0.001)
        yield Step(index, {"bn": 1 / (index + 1)})


def failing():
    """A loop that breaks at its third step."""
    yield from islice(endless(), 2)
    raise ValueError("no more noise")


def draw(step) -> Figure:
    figure = Figure(figsize=(1, 1))
    figure.subplots().set_title(str(step.index))
    return figure


def panel(loop, picture=draw) -> widgets.LivePanel:
    return widgets.LivePanel(loop, Weights(bn=1.0), ("bn",), picture, redraw_seconds=0.01)


def wait_for(condition) -> None:
    """Waits until `condition()` holds, and fails if it has not within ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def press(live: widgets.LivePanel, name: str) -> None:
    next(button for button in live.buttons if button.description == name).click()


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


def settled(value, quiet=0.3):
    """`value()` as soon as it has not changed for `quiet` seconds, however busy the machine is."""
    seen = value()
    while time.sleep(quiet) or value() != seen:
        seen = value()
    return seen


def test_start_pause_start_stop():
    live = panel(endless())
    press(live, "Start")
    wait_for(lambda: len(live.history["bn"]) > 3 and live.picture.value)
    press(live, "Pause")
    paused = settled(lambda: len(live.history["bn"]))  # after the step that was under way
    time.sleep(0.1)
    assert len(live.history["bn"]) == paused and live.status.value.startswith("paused")
    press(live, "Start")
    wait_for(lambda: len(live.history["bn"]) > paused)
    press(live, "Stop")
    assert not [t for t in threading.enumerate() if t.name == "dfsbir-panel"]
    assert live.status.value == f"stopped {live.last.index}"
    assert bytes(live.picture.value).startswith(PNG)


def test_start_twice_runs_one_thread():
    live = panel(endless())
    live.start()
    live.start()
    assert sum(t.name == "dfsbir-panel" for t in threading.enumerate()) == 1
    live.stop()


def test_a_stopped_panel_goes_on_where_it_was():
    live = panel(endless())
    live.run(3)
    live.start()
    wait_for(lambda: len(live.history["bn"]) > 5)
    live.stop()
    assert live.history["bn"][:4] == [1, 1 / 2, 1 / 3, 1 / 4]


def test_step_takes_one_step_and_draws_it():
    live = panel(endless())
    press(live, "Step")
    assert live.status.value == "step 0" and dict(live.history) == {"bn": [1.0]}
    assert bytes(live.picture.value).startswith(PNG)


def test_run_does_the_same_in_the_foreground():
    live = panel(endless())
    live.run(5)
    assert live.last.index == 4 and live.status.value == "step 4"


def test_the_end_of_a_loop_is_told():
    live = panel(islice(endless(), 2))
    live.start()
    wait_for(lambda: live.status.value == "finished 1")
    live.stop()
    other = panel(islice(endless(), 2))
    other.run(5)
    assert other.status.value == "finished 1" and bytes(other.picture.value).startswith(PNG)


@pytest.mark.parametrize("how", ["background", "foreground"])
def test_a_failure_is_shown_in_the_status(how):
    live = panel(failing())
    live.start() if how == "background" else live.run(5)
    wait_for(lambda: live.error)
    live.stop()
    assert isinstance(live.error, ValueError)
    assert live.status.value == "stopped by ValueError: no more noise"
    assert len(live.history["bn"]) == 2


def test_a_picture_that_fails_stops_the_loop_and_is_shown():
    live = panel(endless(), picture=lambda step: step.nothing)
    live.start()
    wait_for(lambda: live.error)
    live.stop()
    assert live.status.value.startswith("stopped by AttributeError")


def test_a_panel_prints_as_its_weights_and_carries_a_still_picture():
    live = panel(endless())
    assert repr(live) == "LivePanel(weights: bn 1)"
    assert "image/png" not in live._repr_mimebundle_()
    live.step()
    bundle = live._repr_mimebundle_()
    assert bundle["text/plain"] == "LivePanel(weights: bn 1)"
    assert bundle["image/png"].startswith("iVBOR")
