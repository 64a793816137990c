"""A panel that drives a running loop: sliders for the loss weights, and pictures."""

import threading
import time
from collections.abc import Callable, Iterable
from math import nan

import ipywidgets
import torch
from torch import Tensor

from dfsbir_lite import plots
from dfsbir_lite.losses import ESTIMATOR_TERMS
from dfsbir_lite.recipes import RECIPES, Recipe, recipe
from dfsbir_lite.retrieval import Scores, embed, score, search
from dfsbir_lite.teachers import Teacher, Teachers
from dfsbir_lite.widgets.accessible import LabelledBox

OWN = "your own"  # what the list of presets shows once a slider has been moved
LOWEST, HIGHEST = -3, 2  # the sliders' ends, 10 ** LOWEST means off: a log scale has no zero
REDRAW = 0.4  # seconds between two pictures
LOOK, NEAREST = 5, 5  # iterations between two validations, and photos that each shows
# loss weights to try, by name: those of the regimes, and the kit's with a change
PRESETS = {name: recipe(name).weights for name in RECIPES} | {
    "no alignment": recipe("kit", align=0).weights,
    "no guidance": recipe("kit", modal=0).weights,
    "no BN": recipe("kit", bn=0).weights,
    "adversarial only": recipe("kit", **{t: 0 for t in ESTIMATOR_TERMS} | {"adv": 1}).weights,
}


class LivePanel(LabelledBox):
    """Start, step, stop and reset a loop while its sliders steer it.

    The loop runs in a thread, so the page stays alive; `run` takes steps in the foreground. One
    panel works at a time. `start` after a stop goes on from there; `reset` starts over with the
    weights as they are now, from the same noise. Far left on a slider is a weight of 0.

    Args:
        begin: takes the recipe and returns the loop, the same at each call: `synthesize` or
            `distill` with a fixed seed.
        settings: the recipe; the sliders write into `settings.weights`.
        teachers: those of the loop: they say what the samples show.
        names: the terms to show, with slider and curve; by default all.
        validation: photos, sketches and one sketch to follow, each an `ImageSet`: at the start and
            every `LOOK` iterations, a distillation is scored with them. Nothing learns from them.

    Attributes:
        loop: the running one, as `begin` returned it. last: its last step.
        history: each term's values, step by step; nan where a step left the term out.
        scores: iterations done → those of the validation sketches.
        found: the `NEAREST` photos to the one sketch (k, 3, H, W), and which are right (k,).
        error: what stopped the loop, if anything did.
    """

    at_work: "LivePanel | None" = None  # the one that worked last, whichever cell built it

    def __init__(
        self, begin: Callable, settings: Recipe, teachers: Teachers, names=(), validation=()
    ):
        self.begin, self.settings, self.teachers = begin, settings, teachers
        self.names, self.validation = names or tuple(settings.weights.snapshot()), validation
        self._thread, self._end = threading.Thread(), threading.Event()
        super().__init__(self._controls())
        self.reset()

    def _controls(self) -> list[ipywidgets.Widget]:
        actions = {
            "Start": (self.start, "play"),
            "Step": (self.run, "step-forward"),
            "Stop": (self.stop, "stop"),
            "Reset": (self.reset, "undo"),
        }
        self.buttons = {}
        for name, (action, icon) in actions.items():
            button = ipywidgets.Button(description=name, icon=icon, tooltip=action.__doc__)
            button.layout.width = "7em"
            button.on_click(lambda _, action=action: action())
            self.buttons[name] = button
        self.status = ipywidgets.Label()
        self.preset = ipywidgets.Dropdown(options=(*PRESETS, OWN), description="preset")
        self.preset.observe(self._use, "value")
        note = ipywidgets.Label("It sets all weights, and no other settings.")
        scale = {"min": LOWEST, "max": HIGHEST, "step": 0.01, "readout_format": ".2g"}
        self.sliders = {n: ipywidgets.FloatLogSlider(description=n, **scale) for n in self.names}
        for slider in self.sliders.values():
            slider.observe(self._weigh, "value")
        self.picture = ipywidgets.Image(layout={"max_width": "100%", "object_fit": "contain"})
        fixed, rest = {"flex": "0 0 auto", "width": "25em"}, {"flex": "1 1 0", "min_width": "0"}
        left = ipywidgets.VBox([self.preset, note, *self.sliders.values()], layout=fixed)
        right = ipywidgets.VBox([self.picture], layout=rest)
        row = ipywidgets.HBox([*self.buttons.values(), self.status])
        return [row, ipywidgets.HBox([left, right])]

    def __repr__(self) -> str:
        weights = self.settings.weights.snapshot()
        shown = ", ".join(f"{name} {weights[name]:g}" for name in self.names)
        return f"LivePanel(weights: {shown})"

    def start(self) -> None:
        """Run in the background, or go on after a stop or an error."""
        if self._thread.is_alive():
            return
        self._take_over()
        self._end.clear()
        turns = iter(self._is_over, True)
        self._thread = threading.Thread(target=self._drive, args=[turns], name="dfsbir-panel")
        self._thread.start()

    def stop(self) -> None:
        """End the background run and wait for its thread, so that the models can be used."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        if not self.error:
            self._report("stopped")

    def run(self, steps: int = 1) -> None:
        """Take one step, or more, here and now."""
        self._take_over()
        self._drive(range(steps))

    def reset(self) -> None:
        """Start over, with the weights as they are now."""
        self.error: Exception | None = None
        self._take_over()
        self.loop, self.last, self.figure = self.begin(self.settings), None, None
        self.history: dict[str, list[float]] = {name: [] for name in self.names}
        self.scores: dict[int, Scores] = {}
        self._validate(0)
        self.picture.value, self.picture.layout.display = b"", "none"  # no broken link
        self._report("ready")

    def _take_over(self) -> None:
        """Stop whatever panel is at work, forget an old error, and show the weights as they are."""
        if LivePanel.at_work:
            LivePanel.at_work.stop()
        LivePanel.at_work, self.error = self, None
        self._follow()

    def _is_over(self) -> bool:
        """Let the page's messages through; return whether the thread has to end."""
        return self._end.wait(0.002) or not threading.main_thread().is_alive()

    def _drive(self, turns: Iterable) -> None:
        """Take a step at each turn, with a picture now and then, and of the last."""
        drawn = time.monotonic()
        for _ in turns:
            if not self._advance():
                break
            if time.monotonic() - drawn > REDRAW:
                self._redraw()
                drawn = time.monotonic()
        self._redraw()

    def _advance(self) -> bool:
        """Take one step; return False once the loop has ended or failed."""
        try:
            step = next(self.loop)
            if (step.index + 1) % LOOK == 0:
                self._validate(step.index + 1)
        except StopIteration:
            self._report("finished")
            return False
        except Exception as reason:  # in a thread it would be lost
            self.error = reason
            self.status.value = f"stopped by {type(reason).__name__}: {reason}"
            return False
        self.last, taken = step, max(map(len, self.history.values()))
        for name in {*self.history, *step.terms}:
            self.history.setdefault(name, [nan] * taken).append(float(step.terms.get(name, nan)))
        self._report("step")
        return True

    def _validate(self, done: int) -> None:
        """Score the encoders after `done` iterations, and let the one sketch find its photos."""
        if not self.validation:
            return
        photos, sketches, one = self.validation
        readout, device = self.loop.encoders.embed, self.loop.device
        gallery, queries, row = (
            embed(readout, x.images, x.modality, device=device) for x in self.validation
        )
        self.scores[done] = score(queries, sketches.labels, gallery, photos.labels)
        places = search(row, gallery, NEAREST)[1][0]
        self.found = photos.images[places], photos.labels[places] == one.labels

    def _redraw(self) -> None:
        if not self.last:
            return
        classes, samples = self.teachers.classes, getattr(self.last, "made", self.last)
        images = {"photo": samples.photos, "sketch": samples.sketches}
        pairs = {m: one_of_each(x, samples.labels, len(classes)) for m, x in images.items()}
        off = [name for name, x in self.settings.weights.snapshot().items() if not x]
        curves = {name: self.history[name] for name in self.names}
        if self.validation:
            scores = {done: figures.map_all for done, figures in self.scores.items()}
            sketch, chance = self.validation[2].images[0], self.scores[0].chance
            more = {"outcome": (scores, chance, sketch, *self.found)}
        else:
            more = {"counts": {m: counted(getattr(self.teachers, m), x) for m, x in images.items()}}
        self.figure = plots.live(pairs, classes, curves, off, **more)
        self.picture.value, self.descriptions.alts = plots.png(self.figure), [self.figure.alt]
        self.picture.layout.display = None

    def _report(self, state: str) -> None:
        self.status.value = state if self.last is None else f"{state} {self.last.index}"

    def _weigh(self, change: dict) -> None:
        setattr(self.settings.weights, change["owner"].description, _weight(change["new"]))
        self._name_weights()

    def _use(self, change: dict) -> None:
        """Set all weights to those of the chosen preset, shown or not."""
        if change["new"] != OWN:
            vars(self.settings.weights).update(PRESETS[change["new"]].snapshot())
            self._follow()

    def _follow(self) -> None:
        """Move the sliders to the weights, which code may have changed; leave the weights alone."""
        for name, slider in self.sliders.items():
            weight = getattr(self.settings.weights, name)
            if _weight(slider.value) != weight:
                slider.value = max(weight, 10**LOWEST)
                setattr(self.settings.weights, name, weight)  # unrounded, or off the scale
        self._name_weights()

    def _name_weights(self) -> None:
        """Show which preset the weights are, if they are one."""
        weights = self.settings.weights
        self.preset.value = next((n for n, x in PRESETS.items() if x == weights), OWN)


def _weight(value: float) -> float:
    """Return the weight at a slider's position, with the digits that the page shows.

    The page moves a slider to its nearest step, 0.3 to 0.302, which must not change the weight.
    """
    return 0.0 if value <= 1.001 * 10**LOWEST else float(f"{value:.2g}")


def counted(teacher: Teacher, images: Tensor) -> Tensor:
    """Return how many of the images (N, 3, H, W) the teacher takes for each class, (C,)."""
    guesses = teacher.posteriors(images).argmax(1)
    return guesses.bincount(minlength=len(teacher.classes)).cpu()


def one_of_each(images: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the first image (N, 3, H, W) with each label below `classes`; white if none."""
    found = [images[labels == c][:1] for c in range(classes)]
    return torch.cat([x if len(x) else torch.ones_like(images[:1]) for x in found])
