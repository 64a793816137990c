"""The live panel does what its labels say, without a browser: traits are set as one would."""

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
from dfsbir_lite.data import ImageSet
from dfsbir_lite.losses import Weights
from dfsbir_lite.recipes import Recipe, recipe
from dfsbir_lite.widgets.panel import LOOK, LOWEST, OWN, PRESETS, counted, one_of_each

PNG = b"\x89PNG\r\n"


@dataclass
class Step:
    """A synthesis step with pictures of its weight of `bn`."""

    index: int
    terms: dict[str, torch.Tensor]
    photos: torch.Tensor
    sketches: torch.Tensor
    labels: torch.Tensor


def endless(settings):
    """Yield steps with one term, falling; each step reads the weights when it begins."""
    for index in count():
        time.sleep(0.001)
        images = torch.full((3, 3, 16, 16), min(settings.weights.bn, 1.0))
        yield Step(index, {"bn": torch.tensor(1 / (index + 1))}, images, images, torch.arange(3))


class Bursting:
    """A loop whose third step fails, as `synthesize` does for a term that is nan; then goes on."""

    def __init__(self, settings):
        self.steps, self.calls = endless(settings), 0

    def __next__(self):
        self.calls += 1
        if self.calls == 3:
            raise FloatingPointError("bn is nan")
        return next(self.steps)


class Turning:
    """A distillation whose encoders tell left from right, and from the fifth step mix them up."""

    device = "cpu"

    def __init__(self, settings):
        self.steps, self.encoders, self.calls = endless(settings), self, 0

    def __next__(self):
        self.calls += 1
        return next(self.steps)

    def embed(self, images, modality):
        rows = images[:, 0, 0, :2]
        return rows.flip(1) if modality == "sketch" and self.calls >= 5 else rows


def image_set(modality: str, *labels: int) -> ImageSet:
    """Return images that show their label by where they are white: left for 0, right for 1."""
    images = torch.zeros(len(labels), 3, 1, 2, dtype=torch.uint8)
    images[range(len(labels)), :, 0, labels] = 255
    return ImageSet(images, torch.tensor(labels), ("left", "right"), modality)


@pytest.fixture
def panel(teachers):
    """`panel(begin)`: a panel for such a loop; closed at the end."""
    built = []

    def build(begin=endless, names=("bn",), validation=(), **weights):
        settings = Recipe(weights=Weights(**{"bn": 1.0, **weights}))
        built.append(widgets.LivePanel(begin, settings, teachers, names, validation))
        return built[-1]

    yield build
    for live in built:
        live.stop()
    assert not at_work()


def at_work() -> int:
    """Count the panels' threads."""
    return sum(t.name == "dfsbir-panel" for t in threading.enumerate())


def wait_for(condition) -> None:
    """Wait until `condition()` holds; fail if it has not within ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


# --- weights ------------------------------------------------------------------------------------


def test_a_slider_writes_its_weight_and_far_left_is_off(panel):
    live = panel(names=("bn", "align"))
    live.sliders["align"].value = 10.0
    live.sliders["bn"].value = 10**LOWEST
    assert (live.settings.weights.bn, live.settings.weights.align) == (0, 10)
    assert repr(live) == "LivePanel(weights: bn 0, align 10)"


def test_a_panel_shows_all_weights_as_they_are(teachers):
    live = widgets.LivePanel(endless, recipe("kit", adv=0), teachers)
    assert live.settings.weights == recipe("kit", adv=0).weights
    shown = {name: slider.value for name, slider in live.sliders.items()}
    weights = live.settings.weights.snapshot()
    assert shown == {name: max(weight, 10**LOWEST) for name, weight in weights.items()}


def test_a_preset_sets_every_weight_shown_or_not_and_is_named_after_them(panel):
    live = panel()
    assert live.preset.value == OWN and live.preset.options == (*PRESETS, OWN)
    live.preset.value = "paper-proxies"
    assert live.settings.weights == recipe("paper-proxies").weights
    assert live.settings.weights is not PRESETS["paper-proxies"]
    live.preset.value = "kit"
    live.sliders["bn"].value = 0.001
    assert live.preset.value == "no BN"
    live.sliders["bn"].value = 7
    assert live.preset.value == OWN and live.settings.weights.bn == 7


def test_the_steps_of_the_page_do_not_change_a_weight(panel):
    """A browser moves a slider at 0.3 to the nearest of its steps, 10 ** -0.52."""
    live = panel(names=("adv",), **recipe("kit").weights.snapshot())
    live.sliders["adv"].value = 10**-0.52
    assert live.settings.weights.adv == 0.3 and live.preset.value == "kit"


def test_sliders_follow_weights_that_code_has_changed(panel):
    live = panel()
    live.settings.weights.bn = 250.0  # beyond the slider's end
    live.run()
    assert live.sliders["bn"].value == 100 and live.settings.weights.bn == 250


# --- runs ---------------------------------------------------------------------------------------


def test_start_stop_start_stop(panel):
    live = panel()
    live.buttons["Start"].click()
    live.start()  # once more is no second thread
    assert at_work() == 1
    wait_for(lambda: len(live.history["bn"]) > 3 and live.picture.value)
    live.buttons["Stop"].click()
    assert not at_work() and live.status.value == f"stopped {live.last.index}"
    stopped = len(live.history["bn"])
    live.start()
    wait_for(lambda: len(live.history["bn"]) > stopped)
    live.stop()
    assert live.history["bn"] == pytest.approx([1 / (i + 1) for i in range(live.last.index + 1)])
    assert bytes(live.picture.value).startswith(PNG)


def test_another_panel_stops_the_first(panel):
    first = panel()
    first.start()
    second = panel()
    assert not at_work()
    second.start()
    first.run()
    assert not at_work() and second.status.value.startswith("stopped")


def test_step_takes_one_step_and_draws_it_and_run_takes_many(panel):
    live = panel()
    live.buttons["Step"].click()
    assert live.status.value == "step 0" and live.history == {"bn": [1.0]}
    assert bytes(live.picture.value).startswith(PNG) and live.picture.layout.display is None
    live.run(5)
    assert live.last.index == 5 and live.status.value == "step 5"


def test_reset_starts_over_with_the_weights_as_they_are(panel):
    live = panel()
    live.sliders["bn"].value = 0.25
    live.run(3)
    live.start()
    live.buttons["Reset"].click()
    assert not at_work() and live.status.value == "ready"
    assert live.history == {"bn": []} and not live.picture.value
    live.run()
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


def test_the_end_of_a_loop_is_reported(panel):
    live = panel(lambda settings: islice(endless(settings), 2))
    live.start()
    wait_for(lambda: live.status.value == "finished 1" and not at_work())
    assert bytes(live.picture.value).startswith(PNG)


@pytest.mark.parametrize("how", ["start", "run"])
def test_a_failure_is_shown_and_the_run_goes_on(panel, how):
    live = panel(Bursting)
    live.start() if how == "start" else live.run(5)
    wait_for(lambda: live.error and not at_work())
    assert live.status.value == "stopped by FloatingPointError: bn is nan"
    assert live.history["bn"] == pytest.approx([1, 1 / 2])
    assert bytes(live.picture.value).startswith(PNG)
    live.run(1)
    assert live.error is None
    assert live.history["bn"] == pytest.approx([1, 1 / 2, 1 / 3])


def test_a_panel_stores_its_whole_text_and_a_picture(panel):
    live = panel()
    assert "image/png" not in live._repr_mimebundle_()[0]
    live.run()
    bundle, metadata = live._repr_mimebundle_()
    assert bundle["text/plain"] == repr(live) == "LivePanel(weights: bn 1)"
    assert bundle["image/png"].startswith("iVBOR")
    assert "Terms: bn " in metadata["image/png"]["alt"]
    assert live.descriptions.alts == [metadata["image/png"]["alt"]]


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


# --- validation ---------------------------------------------------------------------------------


def test_a_distillation_is_validated_now_and_then_and_its_sketch_finds_photos(panel):
    """Right: both photos of a sketch's class come first. Mixed up: last of six.

    The first sketch has two photos, ranks 5 and 6: (1/5 + 2/6) / 2 = 4/15. The second has four,
    ranks 3 to 6: (1/3 + 2/4 + 3/5 + 4/6) / 4 = 21/40. Their mean is 19/48.
    """
    sets = image_set("photo", 0, 1, 1, 0, 1, 1), image_set("sketch", 0, 1), image_set("sketch", 0)
    live = panel(Turning, validation=sets)
    assert live.found[1].tolist() == [True] * 2 + [False] * 3
    live.run(2 * LOOK + 1)
    scores = {done: figures.map_all for done, figures in live.scores.items()}
    assert scores == pytest.approx({0: 1, LOOK: 19 / 48, 2 * LOOK: 19 / 48})
    assert live.found[1].tolist() == [False] * 4 + [True]
    assert torch.equal(live.found[0][0], sets[0].images[1])
    assert "Validation mAP@all 0.40 after 10 iterations; " in live.figure.alt
    assert "5 nearest photos: 1 right" in live.figure.alt
    live.reset()
    assert list(live.scores) == [0]


def test_a_validation_that_fails_is_shown(panel):
    class Broken(Turning):
        def embed(self, images, modality):
            return super().embed(images, modality) * (nan if self.calls else 1)

    live = panel(Broken, validation=(image_set("photo", 0, 1), *2 * [image_set("sketch", 0)]))
    live.run(LOOK)
    assert (
        live.status.value == "stopped by UserError: query 0 of 1 is not finite: it cannot be ranked"
    )


# --- what the picture shows ---------------------------------------------------------------------


def test_images_are_counted_by_what_the_teacher_takes_them_for(make_teacher):
    dark = torch.zeros(4, 3, 16, 16)
    teacher = make_teacher(("boat", "key", "mug"))
    seen = int(teacher.posteriors(dark)[0].argmax())
    assert counted(teacher, dark).tolist() == [4 * (c == seen) for c in range(3)]


def test_one_of_each_is_the_first_or_white():
    images = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 3, 2, 2) / 8
    found = one_of_each(images, torch.tensor([2, 0, 2, 0]), 3)
    assert found[:, 0, 0, 0].tolist() == [1 / 8, 1, 0]
