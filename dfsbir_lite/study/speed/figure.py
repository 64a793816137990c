"""The speed bench as a picture: what is compared as bars, and costs as they grow."""

import re
from collections.abc import Sequence

from dfsbir_lite.plots import GOOD, GREY, PHOTO, SKETCH, Figure
from dfsbir_lite.study.speed.measures import Measure
from dfsbir_lite.study.speed.scaling import QUERIES, Cost

COLOURS = {"ours": GOOD, "exact": GOOD, "floor": GREY, "bare": GREY}
WORK = {1: "number", 2: "square"}
POWER = {"resolution": 2}  # pixels grow with the square of a side
AXES = {
    "batch": "images of each modality in a step",
    "resolution": "pixels a side",
    "classes": "classes",
    "gallery": "items in the gallery",
}


def draw(measures: Sequence[Measure], costs: Sequence[Cost]) -> Figure:
    """Bars of the times of every part that has a ratio; below, seconds and bytes a value."""
    parts = list(dict.fromkeys(m.part for m in measures if m.unit == "ms"))
    axes = list(dict.fromkeys(cost.axis for cost in costs))
    columns = max(len(parts), len(axes), 1)
    figure = Figure(figsize=(3.6 * columns, 8), layout="constrained")
    grid = figure.subplots(3, columns, squeeze=False)
    for axis in grid.flat:
        axis.set_visible(False)
    for axis, part in zip(grid[0], parts):
        _bars(axis, part, [m for m in measures if m.part == part and m.unit == "ms"])
    for above, below, name in zip(grid[1], grid[2], axes):
        own = [cost for cost in costs if cost.axis == name]
        _curve(above, own, [cost.seconds for cost in own], PHOTO)
        above.set_title(f"{QUERIES} sketches scored" if name == "gallery" else "one iteration")
        above.set_ylabel("seconds")
        if all(cost.memory for cost in own):
            _curve(below, own, [cost.memory / 1e6 for cost in own], SKETCH)
            below.set_ylabel("extra memory, MB")
        for axis in (above, below):
            axis.set_xlabel(AXES[name])
    return figure


def _bars(axis, part: str, measures: list[Measure]) -> None:
    """Milliseconds of each way to do one thing, in the order of the table."""
    axis.set_visible(True)
    colours = [COLOURS.get(re.split("[ ,:]", m.name)[0], PHOTO) for m in measures]
    drawn = axis.barh([m.name for m in measures], [m.value for m in measures], color=colours)
    axis.bar_label(drawn, fmt="{:.3g}", padding=2, fontsize=8)
    axis.margins(x=0.2)
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=8)
    axis.set(title=part, xlabel="milliseconds")
    axis.spines[["top", "right"]].set_visible(False)


def _curve(axis, costs: list[Cost], heights: list[float], colour: str) -> None:
    """On double logarithmic axes, beside what grows as the work does."""
    axis.set_visible(True)
    values, power = [cost.value for cost in costs], POWER.get(costs[0].axis, 1)
    straight = [heights[-1] * (value / values[-1]) ** power for value in values]
    axis.loglog(values, straight, "--", color=GREY, label="as their " + WORK[power])
    axis.loglog(values, heights, "o-", color=colour)
    for value, height in zip(values, heights):
        text = f"{height:,.0f}" if height >= 100 else f"{height:.2g}"
        axis.annotate(text, (value, height), (0, 5), textcoords="offset points", fontsize=8)
    axis.set_xticks(values, [f"{value:,}" for value in values])
    axis.minorticks_off()
    axis.set_yticks([])
    axis.margins(x=0.15, y=0.15)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    axis.spines[["top", "right"]].set_visible(False)
