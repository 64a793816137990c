"""Sliders for the loss weights, and a panel that drives a running loop."""

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from itertools import islice
from math import nan
from weakref import WeakSet

import ipywidgets

from dfsbir_lite import health, plots
from dfsbir_lite.losses import Weights, weighted
from dfsbir_lite.recipes import PRESETS, Recipe, preset
from dfsbir_lite.runtime import progress
from dfsbir_lite.teachers import Teachers
from dfsbir_lite.widgets.names import give_names
from dfsbir_lite.widgets.still import with_still

OWN = "your own"  # what the list of presets shows once a slider has been moved
RUN, COMPARISON = "dfsbir-panel", "dfsbir-comparison"  # names of threads
MEND = "Nothing was learnt from that step. Lower the weight and press Start, or press Reset."
GONE = "gone"  # a panel that is not to be written to any more
LOOK_EVERY = 4  # steps between two looks of the teachers at the samples
HIGHEST = 2
LOWEST = -3  # the slider's left end, 10 ** LOWEST, means off: a log scale has no zero


def weight_sliders(weights: Weights, names: tuple[str, ...] | None = None) -> ipywidgets.VBox:
    """Log-scale sliders, one a loss term, that write into `weights`; far left is 0.

    Args:
        names: the terms to show; by default all.
    """
    return Sliders(weights, names or tuple(weights.snapshot()))


class Sliders(ipywidgets.VBox):
    """A column of sliders; prints as the weights that it shows."""

    def __init__(self, weights: Weights, names: tuple[str, ...]):
        self.weights = weights
        super().__init__([_weight_slider(weights, name) for name in names])

    def follow(self) -> None:
        """Moves the sliders to the weights, which code may have changed; leaves those alone."""
        for slider in self.children:
            weight = getattr(self.weights, slider.description)
            if _weight(slider.value) != weight:
                slider.value = max(weight, 10**LOWEST)
                setattr(self.weights, slider.description, weight)  # unrounded, or off the scale

    def __repr__(self) -> str:
        shown = ", ".join(f"{s.description} {_weight(s.value):g}" for s in self.children)
        return f"weights: {shown}"


def _weight(value: float) -> float:
    """What a slider's position stands for, with the digits that it shows.

    The page moves a slider to its nearest step, 0.3 to 0.302, which must not change the weight.
    """
    return 0.0 if value <= 1.001 * 10**LOWEST else float(f"{value:.2g}")


def _weight_slider(weights: Weights, name: str) -> ipywidgets.FloatLogSlider:
    slider = ipywidgets.FloatLogSlider(
        value=max(getattr(weights, name), 10**LOWEST),
        min=LOWEST,
        max=HIGHEST,
        step=0.01,
        description=name,
        readout_format=".2g",
        layout=ipywidgets.Layout(width="21em"),
        style={"description_width": "6em"},
        tooltip=f"weight of {name}; far left is off",
    )
    slider.observe(lambda change: setattr(weights, name, _weight(change["new"])), "value")
    return slider


PANELS: WeakSet["LivePanel"] = WeakSet()


@atexit.register
def _end_threads() -> None:
    """At the end of the process a thread that is still inside torch would crash it."""
    for panel in list(PANELS):
        panel.quit()


class LivePanel(ipywidgets.VBox):
    """Start, pause, step, stop and reset a loop while its sliders steer it.

    The loop runs in one daemon thread, so the page stays alive. `run` does the same in the
    foreground for a number of steps, as a cell that waits for its result wants it. A new panel,
    and one that starts, stops all others.

    `start` after a pause or a stop goes on from there; `reset` starts over with the weights as
    the sliders have them now, from the same random weights and noise. Choose a preset to have
    its weights back.

    Args:
        begin: makes the loop from a recipe, the same loop at each call: `synthesize` or
            `distill` with a fixed seed and, for `distill`, new encoders.
        settings: the recipe; the sliders write into `settings.weights`.
        teachers: those of the loop: they say what the samples show.
        names: the weights to show; by default all.
        redraw_seconds: rest between two pictures.

    Attributes:
        loop: the running one, as `begin` made it.
        last: its last step.
        history: each term's values, step by step; nan where a step left the term out.
        looks: what the teachers saw, every few steps.
        alarms: what is wrong with the run, in words; empty if all is well.
        error: what stopped the loop, if anything did.
        compared: the step of the last comparison, with the same noise as the run's step.
    """

    def __init__(
        self,
        begin: Callable[[Recipe], Iterator],
        settings: Recipe,
        teachers: Teachers,
        names: tuple[str, ...] | None = None,
        redraw_seconds: float = 0.4,
    ):
        self.begin, self.settings, self.teachers = begin, settings, teachers
        self.names = names or tuple(settings.weights.snapshot())
        self.redraw_seconds = redraw_seconds
        self._thread: threading.Thread | None = None
        self._end = threading.Event()  # tells the thread to end
        self._state = "stopped"  # what to call it when it has
        super().__init__(self._controls())
        give_names(self)
        self._alts: dict[str, str] = {}
        PANELS.add(self)
        self.reset()

    # --- what it looks like ---------------------------------------------------------------

    def _controls(self) -> list[ipywidgets.Widget]:
        actions = (
            ("Start", self.start, "play", "run in the background, or go on"),
            ("Pause", self.pause, "pause", "halt after this step; Start goes on"),
            ("Step", self.step, "step-forward", "take one step"),
            ("Stop", self.stop, "stop", "end the background run, so that other cells can work"),
            ("Reset", self.reset, "undo", "start over, with the weights as they are now"),
        )
        self.buttons = [_button(*action) for action in actions]
        self.status, self.caption = ipywidgets.Label(), ipywidgets.Label()
        roomy = ipywidgets.Layout(min_height="58px")  # two alarms, or the picture would jump
        self.bell = ipywidgets.HTML(layout=roomy)
        self.sliders = weight_sliders(self.settings.weights, self.names)
        for slider in self.sliders.children:
            slider.observe(lambda change: self._name_weights(), "value")
        self.preset = _choice("preset", (*PRESETS, OWN), "sets every weight at once")
        self.preset.observe(lambda change: self._use(change["new"]), "value")
        self.rival = _choice("against", tuple(PRESETS), "the preset to compare with")
        self.rival.value = "no BN"
        compare = "as many steps from the same start with this preset's weights"
        self.comparer = _button(
            "Compare", lambda: self.compare(self.rival.value), "columns", compare
        )
        self.comparer.layout.width, self.comparer.layout.margin = "9em", "2px 2px 2px 6em"
        narrow = ipywidgets.Layout(flex="0 0 auto", width="22em", overflow="hidden")
        left = [self.preset, self.sliders, self.rival, self.comparer]
        self.picture, self.strip = _picture(), _picture()
        wide = ipywidgets.Layout(flex="1 1 0", min_width="0", overflow="hidden")
        right = ipywidgets.VBox([self.picture, self.caption, self.strip], layout=wide)
        row = ipywidgets.HBox([*self.buttons, self.status])
        return [row, self.bell, ipywidgets.HBox([ipywidgets.VBox(left, layout=narrow), right])]

    def __repr__(self) -> str:
        return f"LivePanel({repr(self.sliders) if hasattr(self, 'sliders') else ''})"

    def _repr_mimebundle_(self, **options):
        """Also a still picture, for places that show notebooks without running widgets."""
        bundle = super()._repr_mimebundle_(**options)
        if bundle and self.picture.value:
            still = plots.fewer_colours(self.picture.value)
            return with_still(bundle, still, self.words.alts[0])
        return bundle

    # --- what its buttons do --------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether a thread is at work."""
        return bool(self._thread and self._thread.is_alive())

    def start(self) -> None:
        """Runs in the background, or goes on after a pause, a stop, or a failure mended."""
        if self.running and not self._end.is_set() and self._thread.name == RUN:
            return
        self._take_over()
        self._launch(RUN, self._work)

    def pause(self) -> None:
        """Halts after the step that is under way, without waiting for it; `start` goes on."""
        self._state = "paused"
        self._end.set()
        if not self.running and not self.error:
            self._tell("paused")

    def stop(self) -> None:
        """Ends the background run and waits for its thread, so that the models can be used."""
        self._state = "stopped"
        self._join()
        if not self.error:
            self._tell("stopped")

    def step(self) -> None:
        """One step, here and now, with a new picture."""
        self._take_over()
        if self._advance():
            self._tell("step")
        self._redraw()

    def run(self, steps: int) -> None:
        """`steps` steps in the foreground, with a progress bar."""
        self._take_over()
        for _ in progress(range(steps), desc="steps"):
            if not self._advance():
                break
            self._tell("step")
        self._redraw()

    def reset(self) -> None:
        """Starts over: a new loop, with the weights as they are now."""
        self._take_over()
        self.loop = self.begin(self.settings)
        self.last, self.compared = None, None
        self.history: dict[str, list[float]] = {name: [] for name in self.names}
        self.looks: list[health.Look] = []
        self._put(self.picture), self._put(self.strip)
        self.caption.value = ""
        self._ring()
        self._tell("ready")

    def compare(self, name: str) -> None:
        """Runs the preset `name` from the same start, in the background, and shows both.

        It takes as many steps as this run has taken, pausing it meanwhile, and sees the same
        noise; only the weights differ. Any other button ends it.
        """
        self._take_over()
        if self.last is None:
            return self._tell("nothing to compare with yet: Start first")
        rival = self.begin(replace(self.settings, weights=preset(name)))
        self._launch(COMPARISON, self._work_compare, rival, name)

    def quit(self) -> None:
        """Ends the thread without another word or picture."""
        self._state = GONE
        self._join()

    def close(self) -> None:
        """Ends the run, and takes the panel and all its parts off the page and out of memory."""
        self.quit()
        PANELS.discard(self)
        self.loop = self.last = self.compared = None
        _close_parts(self)
        super().close()

    # --- threads --------------------------------------------------------------------------

    def _take_over(self) -> None:
        """Ends whatever is at work, here or in another panel; an old failure is forgotten.

        One loop at a time: two would share two cores, and the teachers, which keep what they
        have read last.
        """
        for panel in list(PANELS):
            if panel is not self and panel.running:
                panel.stop()
        self._join()
        self.error: Exception | None = None
        self.sliders.follow()
        self._name_weights()

    def _launch(self, name: str, work: Callable, *args) -> None:
        self._end.clear()
        self._state = "stopped"
        self._thread = threading.Thread(target=work, args=args, daemon=True, name=name)
        self._thread.start()

    def _join(self) -> None:
        self._end.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        drawn = time.monotonic()
        while not self._end.wait(0.002):  # lets the page's messages through, between steps
            if not self._advance():
                break
            self._tell("step")
            if time.monotonic() - drawn > self.redraw_seconds:
                self._redraw()
                drawn = time.monotonic()
        if self._state != GONE:
            self._redraw()
            if self._end.is_set() and not self.error:
                self._tell(self._state)

    def _work_compare(self, loop: Iterator, name: str) -> None:
        steps = self.last.index + 1
        try:
            for step in islice(loop, steps):
                if self._end.wait(0.002):
                    return self._tell(self._state)
                self.status.value = f"{name}: step {step.index + 1} of {steps}"
            self.compared = step
            self._put(self.strip, self._side_by_side(name))
        except Exception as reason:
            return self._fail(reason)
        self.caption.value = f"After {steps} steps from the same start, with the same noise:"
        self.status.value = f"compared with {name} after {steps} steps"

    # --- one step, one picture ------------------------------------------------------------

    def _advance(self) -> bool:
        """Takes one step; False once the loop has ended or failed."""
        try:
            step = next(self.loop)
            weighted(step.terms, self.settings.weights.snapshot())
            if step.index % LOOK_EVERY == 0:
                self.looks.append(health.look(self.teachers, step))
        except StopIteration:
            self._tell("finished")
            return False
        except Exception as reason:
            self._fail(reason)
            return False
        self.last = step
        taken = max(map(len, self.history.values()))
        for name in {*self.history, *step.terms}:
            self.history.setdefault(name, [nan] * taken).append(float(step.terms.get(name, nan)))
        return True

    def _redraw(self) -> None:
        """A new picture of the last step, and the alarms with it."""
        if self.last is None:
            return
        try:
            if not self.looks or self.looks[-1].index != self.last.index:
                self.looks.append(health.look(self.teachers, self.last))
            self._put(self.picture, self._glance())
        except Exception as reason:
            return self._fail(reason)
        self._ring()

    def _put(self, image: ipywidgets.Image, figure: plots.Figure | None = None) -> None:
        """`figure` and its description into `image`; without one, no broken link is to be seen."""
        image.value = plots.png(figure, dpi=90) if figure else b""
        image.layout.display = None if figure else "none"
        self._alts[image.model_id] = figure.alt if figure else ""
        both = (self.picture, self.strip)  # as they stand below each other
        self.words.alts = [self._alts.get(each.model_id, "") for each in both]

    def _glance(self):
        weights, made = self.settings.weights.snapshot(), health.samples(self.last)
        classes = self.teachers.classes
        pairs = {
            name: health.one_of_each(images, made.labels, len(classes))
            for name, images in (("photo", made.photos), ("sketch", made.sketches))
        }
        off = [name for name in self.history if not weights[name]]
        return plots.live(pairs, self.looks[-1].counts, classes, self.history, off)

    def _side_by_side(self, name: str):
        mine, theirs = map(health.samples, (self.last, self.compared))
        classes = self.teachers.classes[: plots.LIVE_COLUMNS]
        rows = {
            f"{kind}, {whose}": health.one_of_each(images, mine.labels, len(classes))
            for kind, *both in (
                ("photo", mine.photos, theirs.photos),
                ("sketch", mine.sketches, theirs.sketches),
            )
            for whose, images in zip(("yours", name), both)
        }
        return plots.image_rows(rows, classes, size=0.6)

    def _ring(self) -> None:
        """Tells what is wrong, for as long as it is."""
        weights, classes = self.settings.weights.snapshot(), self.teachers.classes
        self.alarms = health.alarms(self.looks, self.history, weights, classes)
        if isinstance(self.error, FloatingPointError):
            self.alarms.insert(0, f"Divergence: {self.error}. {MEND}")
        lines = "".join(f"<div>⚠ <b>Alarm</b> {escape(told)}</div>" for told in self.alarms)
        style = "border-left: 4px solid #c06000; padding-left: 8px" if lines else ""
        self.bell.value = f'<div role="status" style="{style}">{lines or "✓ no alarm"}</div>'

    def _fail(self, reason: Exception) -> None:
        """Raised in a thread, an error would be lost: shows it where one looks, and stops."""
        self.error = reason
        self._end.set()
        self.status.value = f"stopped by {type(reason).__name__}: {reason}"
        self._ring()

    def _tell(self, state: str) -> None:
        self.status.value = state if self.last is None else f"{state} {self.last.index}"

    # --- weights --------------------------------------------------------------------------

    def _use(self, name: str) -> None:
        """Sets all weights to those of the preset `name`, shown or not."""
        if name != OWN:
            for term, weight in preset(name).snapshot().items():
                setattr(self.settings.weights, term, weight)
            self.sliders.follow()

    def _name_weights(self) -> None:
        """Shows which preset the weights are, if they are one."""
        weights = self.settings.weights
        self.preset.value = next((name for name in PRESETS if preset(name) == weights), OWN)


def _button(name: str, action: Callable[[], None], icon: str, tooltip: str) -> ipywidgets.Button:
    layout = ipywidgets.Layout(width="7em")
    button = ipywidgets.Button(description=name, icon=icon, tooltip=tooltip, layout=layout)
    button.on_click(lambda _: action())
    return button


def _choice(name: str, options: tuple[str, ...], tooltip: str) -> ipywidgets.Dropdown:
    looks = {"layout": {"width": "21em"}, "style": {"description_width": "5.5em"}}
    return ipywidgets.Dropdown(options=options, description=name, tooltip=tooltip, **looks)


def _picture() -> ipywidgets.Image:
    whole = ipywidgets.Layout(max_width="100%", object_fit="contain")
    return ipywidgets.Image(format="png", layout=whole)


def _close_parts(widget) -> None:
    """Closes what a widget holds: ipywidgets itself leaves all of it in its register."""
    for child in getattr(widget, "children", ()):
        _close_parts(child)
        child.close()
    for part in (widget.layout, getattr(widget, "style", None)):
        if part is not None:
            part.close()
