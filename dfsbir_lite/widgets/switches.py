"""Switches: tick what goes wrong, and see what the score says then."""

from collections.abc import Callable, Iterable

import ipywidgets

from dfsbir_lite import plots
from dfsbir_lite.runtime import approx
from dfsbir_lite.widgets.accessible import LabelledBox

RIGHT = "nothing switched on"
KEPT = 6  # combinations shown, besides the one with nothing switched on


class Switches(LabelledBox):
    """A checkbox for each trap, and a bar for each combination that was tried.

    Args:
        names: what can be switched on.
        measure: takes the set of names that are on and returns the score, 0 to 1. Called once for
            each combination. `measure({"a"})` in a plain cell says the same as ticking a.
        title: what the score is.

    Measured at the beginning: nothing switched on, then everything. All checkboxes start ticked.

    Attributes:
        boxes: name → checkbox.
        tried: names that were on → score, the newest last.
    """

    def __init__(self, names: Iterable[str], measure: Callable[[set[str]], float], title="mAP@all"):
        self.measure, self.title, self.tried = measure, title, {}
        wide = {"width": "auto"}
        self.boxes = {
            name: ipywidgets.Checkbox(True, description=name, indent=False, layout=wide)
            for name in names
        }
        self.picture = ipywidgets.Image(layout={"max_width": "100%", "align_self": "flex-start"})
        wrapped = {"flex_flow": "row wrap", "grid_gap": "0 18px"}
        row = ipywidgets.Box([*self.boxes.values()], layout=wrapped)
        super().__init__([row, self.picture])
        self._score(())
        self.update()
        for box in self.boxes.values():
            box.observe(self.update, "value")

    def __repr__(self) -> str:
        shown = dict.fromkeys(((), self.on))
        scores = (f"{self.named(on)} {approx(self.tried[on])}" for on in shown)
        return f"Switches({self.title}: {', '.join(scores)})"

    def still(self) -> tuple[bytes, str]:
        """Return the bars and their description."""
        return self.picture.value, self.descriptions.alts[0]

    @property
    def on(self) -> tuple[str, ...]:
        """The names that are switched on, in the order of the boxes."""
        return tuple(name for name, box in self.boxes.items() if box.value)

    @property
    def score(self) -> float:
        """What is measured with the present switches."""
        return self.tried[self.on]

    def named(self, on: tuple[str, ...]) -> str:
        """Return a combination in words."""
        if len(on) == len(self.boxes) > 1:
            return "everything on"
        return " + ".join(on) or RIGHT

    def tick(self, *names: str) -> None:
        """Switch on these and no others, and measure that one combination."""
        for name, box in self.boxes.items():
            box.unobserve(self.update, "value")
            box.value = name in names
            box.observe(self.update, "value")
        self.update()

    def update(self, change: dict | None = None) -> None:
        """Measure the present combination, and draw it below the others."""
        self._score(self.on)
        newest = [on for on in self.tried if on][-KEPT:]
        bars = {self.named(on): self.tried[on] for on in ((), *newest)}
        figure = plots.switched(bars, self.named(self.on), self.title)
        self.picture.value, self.descriptions.alts = plots.png(figure, dpi=100), [figure.alt]

    def _score(self, on: tuple[str, ...]) -> None:
        known = self.tried.pop(on, None)
        self.tried[on] = float(self.measure(set(on))) if known is None else known
