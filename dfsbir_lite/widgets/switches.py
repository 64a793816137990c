"""Switches: tick what goes wrong, and see what the score says then."""

from collections.abc import Callable, Iterable

import ipywidgets

from dfsbir_lite import plots
from dfsbir_lite.runtime import approx
from dfsbir_lite.widgets.names import give_names
from dfsbir_lite.widgets.still import with_still

RIGHT = "nothing switched on"
KEPT = 6  # combinations shown, besides the one with nothing switched on


class Switches(ipywidgets.VBox):
    """A checkbox for each trap, and a bar for each combination that was tried.

    Args:
        names: what can be switched on.
        measure: gives the score, 0 to 1, with the set of names that are on. Called once for each
            combination. `measure({"a"})` in a plain cell says the same as ticking a.
        title: what the score is.

    Measured at the beginning: nothing switched on, then everything. All checkboxes start ticked.

    Attributes:
        boxes: name → checkbox.
        tried: names that were on → score, the newest last.
    """

    def __init__(self, names: Iterable[str], measure: Callable[[set[str]], float], title="mAP@all"):
        self.measure, self.title, self.tried, self._waiting = measure, title, {}, False
        wide = ipywidgets.Layout(width="auto")
        self.boxes = {
            name: ipywidgets.Checkbox(True, description=name, indent=False, layout=wide)
            for name in names
        }
        own = ipywidgets.Layout(max_width="100%", align_self="flex-start")  # else it is stretched
        self.picture = ipywidgets.Image(format="png", layout=own)
        row = ipywidgets.HBox([*self.boxes.values()])
        row.layout = ipywidgets.Layout(flex_flow="row wrap", grid_gap="0 18px")
        super().__init__([row, self.picture])
        give_names(self)
        self._score(())
        self.update()
        for box in self.boxes.values():
            box.observe(lambda change: self._waiting or self.update(), "value")

    def __repr__(self) -> str:
        shown = dict.fromkeys(((), self.on))
        told = (f"{self.named(on)} {approx(self.tried[on])}" for on in shown)
        return f"Switches({self.title}: {', '.join(told)})"

    def _repr_mimebundle_(self, **options):
        """Also a still picture, for places that show notebooks without running widgets."""
        # ipywidgets would cut the text short, perhaps within a number
        shown = {**super()._repr_mimebundle_(**options), "text/plain": repr(self)}
        return with_still(shown, self.picture.value, *self.words.alts)

    @property
    def on(self) -> tuple[str, ...]:
        """The names that are switched on, in the order of the boxes."""
        return tuple(name for name, box in self.boxes.items() if box.value)

    @property
    def score(self) -> float:
        """What is measured with the present switches."""
        return self.tried[self.on]

    def named(self, on: tuple[str, ...]) -> str:
        """A combination in words."""
        if len(on) == len(self.boxes) > 1:
            return "everything on"
        return " + ".join(on) or RIGHT

    def tick(self, *names: str) -> None:
        """Switches on these and no others, and measures that one combination."""
        self._waiting = True
        for name, box in self.boxes.items():
            box.value = name in names
        self._waiting = False
        self.update()

    def update(self) -> None:
        """Measures the present combination, and draws it below the others."""
        self._score(self.on)
        newest = [on for on in self.tried if on][-KEPT:]
        bars = {self.named(on): self.tried[on] for on in ((), *newest)}
        figure = plots.switched(bars, self.named(self.on), self.title)
        self.picture.value, self.words.alts = plots.png(figure, dpi=100), [figure.alt]

    def _score(self, on: tuple[str, ...]) -> None:
        known = self.tried.pop(on, None)
        self.tried[on] = float(self.measure(set(on))) if known is None else known
