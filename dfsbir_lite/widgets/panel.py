"""Sliders for the loss weights, and a panel that drives a running loop."""

import threading
import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator

import ipywidgets
from matplotlib.figure import Figure

from dfsbir_lite import plots
from dfsbir_lite.losses import Weights
from dfsbir_lite.runtime import progress

LOWEST = -3  # the slider's left end, 10 ** LOWEST, means off: a log scale has no zero


def weight_sliders(weights: Weights, names: tuple[str, ...] | None = None) -> ipywidgets.VBox:
    """Log-scale sliders, one a loss term, that write into `weights`; far left is 0.

    Args:
        names: the terms to show; by default all.
    """
    sliders = [_weight_slider(weights, name) for name in names or weights.snapshot()]
    # beside a picture the column must not shrink, or its numbers are cut off
    return Sliders(sliders, layout=ipywidgets.Layout(flex="0 0 auto", width="25em"))


class Sliders(ipywidgets.VBox):
    """A column of sliders; prints as the weights that it shows."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{s.description} {_weight(s.value):g}" for s in self.children)
        return f"weights: {shown}"


def _weight(value: float) -> float:
    """What a slider's position stands for."""
    return 0.0 if value <= 1.001 * 10**LOWEST else float(f"{value:.3g}")


def _weight_slider(weights: Weights, name: str) -> ipywidgets.FloatLogSlider:
    slider = ipywidgets.FloatLogSlider(
        value=max(getattr(weights, name), 10**LOWEST),
        min=LOWEST,
        max=2,
        step=0.01,
        description=name,
        readout_format=".2g",
        layout=ipywidgets.Layout(width="24em"),
        tooltip=f"weight of {name}; far left is off",
    )
    slider.observe(lambda change: setattr(weights, name, _weight(change["new"])), "value")
    return slider


class LivePanel(ipywidgets.VBox):
    """Start, pause, step and stop a loop while its sliders steer it and its picture grows.

    The loop runs in one daemon thread, so the page stays alive. `run` does the same in the
    foreground for a number of steps, as a cell that waits for its result wants it.

    Args:
        loop: an iterator whose items have `index` and `terms`, such as `synthesize` or `distill`.
        weights: what the sliders change; the loop reads them at each step.
        names: the weights to show.
        draw: makes the picture from an item; called a few times a second at most.

    Attributes:
        history: each term's values, step by step.
        error: what stopped the loop, if anything did.
    """

    def __init__(
        self,
        loop: Iterator,
        weights: Weights,
        names: tuple[str, ...],
        draw: Callable[[object], Figure],
        redraw_seconds: float = 0.5,
    ):
        self.loop, self.draw, self.redraw_seconds = loop, draw, redraw_seconds
        self.history: dict[str, list[float]] = defaultdict(list)
        self.error: Exception | None = None
        self.last = None
        self._thread: threading.Thread | None = None
        self._one_at_a_time = threading.Lock()
        self._pause, self._stop = threading.Event(), threading.Event()
        self.status = ipywidgets.Label("ready")
        whole = ipywidgets.Layout(object_fit="contain", min_width="0")  # shrinks with the page
        self.picture = ipywidgets.Image(format="png", layout=whole)
        self.sliders = weight_sliders(weights, names)
        actions = {"Start": self.start, "Pause": self.pause, "Step": self.step, "Stop": self.stop}
        self.buttons = [ipywidgets.Button(description=name) for name in actions]
        for button, action in zip(self.buttons, actions.values(), strict=True):
            button.on_click(lambda _, action=action: action())
        row = ipywidgets.HBox([*self.buttons, self.status])
        beside = ipywidgets.Layout(align_items="flex-start")  # or the picture would be stretched
        super().__init__([row, ipywidgets.HBox([self.sliders, self.picture], layout=beside)])

    def __repr__(self) -> str:
        return f"LivePanel({repr(self.sliders) if hasattr(self, 'sliders') else ''})"

    def _repr_mimebundle_(self, **options):
        """Also a still picture, for places that show notebooks without running widgets."""
        bundle = super()._repr_mimebundle_(**options)
        if self.picture.value:
            bundle["image/png"] = b64encode(self.picture.value).decode()
        return bundle

    def start(self) -> None:
        """Runs in the background, or goes on after a pause."""
        self._pause.clear()
        if self._thread and self._thread.is_alive():
            return
        self._stop.clear()
        self._thread = threading.Thread(target=self._work, daemon=True, name="dfsbir-panel")
        self._thread.start()

    def pause(self) -> None:
        """Halts the background run after the step that it is in; `start` goes on."""
        self._pause.set()
        if not self.error:
            self.status.value = self._told("paused")

    def stop(self) -> None:
        """Ends the background run and waits for its thread, so that the models can be used."""
        self._stop.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join()
        if not self.error:
            self.status.value = self._told("stopped")

    def step(self) -> None:
        """One step, here and now, with a new picture."""
        if self._advance():
            self._redraw("step")

    def run(self, steps: int) -> None:
        """`steps` steps in the foreground, with a progress bar."""
        for _ in progress(range(steps), desc="steps"):
            if not self._advance():
                return self._redraw()
        self._redraw("step")

    def _work(self) -> None:
        drawn = 0.0
        while not self._stop.is_set():
            if self._pause.is_set():
                self._stop.wait(0.05)
                continue
            if not self._advance():
                break
            if time.monotonic() - drawn > self.redraw_seconds:
                self._redraw("paused" if self._pause.is_set() else "step")
                drawn = time.monotonic()
        self._redraw()

    def _advance(self) -> bool:
        """Takes one step; False once the loop has ended or failed."""
        try:
            with self._one_at_a_time:
                self.last = next(self.loop)
        except StopIteration:
            self.status.value = self._told("finished")
            return False
        except Exception as reason:
            self._fail(reason)
            return False
        for name, value in self.last.terms.items():
            self.history[name].append(float(value))
        return True

    def _redraw(self, state: str | None = None) -> None:
        """A new picture of the last step; tells `state`, or leaves what the status says."""
        if self.last is None or self.error:
            return
        try:
            self.picture.value = plots.png(self.draw(self.last))
        except Exception as reason:
            return self._fail(reason)
        if state:
            self.status.value = self._told(state)

    def _fail(self, reason: Exception) -> None:
        """Raised in a thread, an error would be lost: shows it where one looks, and stops."""
        self.error = reason
        self.status.value = f"stopped by {type(reason).__name__}: {reason}"
        self._stop.set()

    def _told(self, state: str) -> str:
        return f"{state} {self.last.index}" if self.last is not None else state
