"""Switches: tick what goes wrong, and see what the score says then."""

import re
from collections.abc import Callable, Sequence

import ipywidgets

from dfsbir_lite import plots
from dfsbir_lite.widgets.accessible import LabelledBox


class Switches(LabelledBox):
    """A checkbox for each trap, and a bar for each combination that was tried.

    Args:
        names: what can be switched on; all of it is on at the start.
        measure: takes the set of names that are on and returns the score, 0 to 1.
        title: what the score is.
        also: combinations to try at the start, besides none and all.

    Attributes:
        boxes: name → checkbox. tried: the names that were on, in words → score.
    """

    def __init__(self, names: Sequence[str], measure: Callable, title="mAP@all", also=()):
        self.measure, self.title = measure, title
        self.tried = {"nothing on": float(measure(set()))}
        self.tried |= {" + ".join(on): float(measure(set(on))) for on in also}
        self.boxes = {n: ipywidgets.Checkbox(True, description=n, indent=False) for n in names}
        self.picture = ipywidgets.Image(layout={"max_width": "100%", "align_self": "flex-start"})
        super().__init__([*self.boxes.values(), self.picture])
        self.update()
        for box in self.boxes.values():
            box.observe(self.update, "value")

    def __repr__(self) -> str:
        # scores differ a little between machines: the mark says so, to readers and to nbval
        measured = re.sub(r"\d+[.]\d+", r"≈\g<0>", self.figure.alt)
        return f"Switches({measured})"

    def update(self, change: dict | None = None) -> None:
        """Measure what is ticked, unless it was tried before, and draw all that was tried."""
        on = [name for name, box in self.boxes.items() if box.value]
        now = "everything on" if len(on) == len(self.boxes) > 1 else " + ".join(on) or "nothing on"
        if now not in self.tried:
            self.tried[now] = float(self.measure(set(on)))
        self.figure = plots.bars(self.tried, f"{self.title}\nnow: {now}")
        self.picture.value, self.descriptions.alts = plots.png(self.figure), [self.figure.alt]
