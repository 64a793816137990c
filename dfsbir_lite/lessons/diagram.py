"""The data-free loop as a drawing: who makes pictures, who judges them, and what stays outside."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from dfsbir_lite.plots import GREY, PHOTO, SKETCH, Figure

# Each part of the drawing: the middle of its box, and what it is.
LOOP = {
    "noise": (0.55, 3.0, "given"),
    "photo estimator": (2.7, 4.0, "photo"),
    "sketch estimator": (2.7, 2.0, "sketch"),
    "painted photos": (5.1, 4.0, "given"),
    "painted sketches": (5.1, 2.0, "given"),
    "random lines": (5.1, 0.9, "given"),
    "photo encoder": (7.8, 5.1, "photo"),
    "photo teacher": (7.8, 4.0, "frozen"),
    "guidance network": (7.8, 3.0, "frozen"),
    "sketch teacher": (7.8, 2.0, "frozen"),
    "sketch encoder": (7.8, 0.9, "sketch"),
    "training photos": (11.0, 4.0, "away"),
    "training sketches": (11.0, 2.0, "away"),
}
SHOWN_TO = {
    "noise": ("photo estimator", "sketch estimator"),
    "photo estimator": ("painted photos",),
    "sketch estimator": ("painted sketches",),
    "painted photos": ("photo encoder", "photo teacher", "guidance network"),
    "painted sketches": ("sketch encoder", "sketch teacher", "guidance network"),
    "random lines": ("sketch encoder",),
}
# What is learnt from: the words, their place, and the corners of the way from judge to learner.
LESSONS = (
    ("what the photo encoder gets wrong", (2.85, 5.33), [(6.85, 5.23), (2.7, 5.23), (2.7, 4.3)]),
    ("how sure teachers and guidance network are", (2.85, 3.1), [(6.85, 3), (2.7, 3), (2.7, 3.7)]),
    ("", (0, 0), [(2.8, 3), (2.7, 3), (2.7, 2.3)]),
    (
        "what the sketch encoder gets wrong",
        (2.85, 0.2),
        [(7.8, 0.6), (7.8, 0.1), (2.7, 0.1), (2.7, 1.7)],
    ),
    ("answers", (7.9, 4.47), [(7.8, 4.3), (7.8, 4.8)]),
    ("answers", (7.9, 1.37), [(7.8, 1.7), (7.8, 1.2)]),
)
DASHED = {"color": "#5a5a5a", "linestyle": "--", "linewidth": 1.3}
BOXES = {  # what is told without colour as well
    "given": {"facecolor": "white", "edgecolor": "black"},
    "photo": {"facecolor": "#f6d3bf", "edgecolor": PHOTO, "linewidth": 2},
    "sketch": {"facecolor": "#c3d6ef", "edgecolor": SKETCH, "linewidth": 2},
    "frozen": {"facecolor": "#e2e2e2", "edgecolor": "#5a5a5a", "linestyle": "-"},
    "away": {"facecolor": "white", "edgecolor": GREY, "linestyle": ":"},
}
MEANINGS = {"photo": "learns, photo side", "sketch": "learns, sketch side", "frozen": "frozen"}


def data_free_loop() -> Figure:
    """How a student learns without data: who makes pictures, who judges, and what stays outside."""
    figure = Figure(figsize=(9.6, 4.7), layout="constrained")
    axis = figure.subplots()
    axis.set(xlim=(-0.1, 12.4), ylim=(-0.1, 5.6))
    axis.axis("off")
    axis.axvspan(9.6, 12.4, color="0.93", linewidth=0)
    axis.axvline(9.6, color="black", linewidth=5)
    axis.text(11, 5.15, "stays outside", ha="center", va="center", fontsize=10, weight="bold")
    told = "what the teachers and\nthe guidance network\nwere trained on, once"
    axis.text(11, 3, told, ha="center", va="center", fontsize=8.5)
    for start, ends in SHOWN_TO.items():
        for end in ends:
            (x, y, _), (to_x, to_y, _) = LOOP[start], LOOP[end]
            aside = 0.14 * np.sign(y - to_y)  # arrows from two sides should not meet
            _arrow(axis, (x + _wide(start) / 2, y), (to_x - _wide(end) / 2, to_y + aside))
    for words, place, way in LESSONS:
        axis.plot(*zip(*way[:-1], strict=True), **DASHED)
        _arrow(axis, *way[-2:], **DASHED)
        axis.text(*place, words, fontsize=8.5, style="italic")
    axis.plot((8.75, 9.1, 9.1, 8.75), (5.1, 5.1, 0.9, 0.9), color="black", linewidth=1.1)
    told = "the student: both encoders, one space"
    axis.text(9.24, 3, told, rotation=90, ha="center", va="center", fontsize=8.5)
    for name, (x, y, kind) in LOOP.items():
        corner = (x - _wide(name) / 2, y - 0.28)
        axis.add_patch(Rectangle(corner, _wide(name), 0.56, zorder=2, **BOXES[kind]))
        axis.text(x, y, name, ha="center", va="center", fontsize=9.5, zorder=3)
    keys = [Rectangle((0, 0), 1, 1, label=MEANINGS[k], **BOXES[k]) for k in MEANINGS]
    keys += [Line2D([], [], color="black", label="makes, or is shown to")]
    keys += [Line2D([], [], label="teaches", **DASHED)]
    figure.legend(handles=keys, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    ways = [f"{start} to {' and '.join(ends)}" for start, ends in SHOWN_TO.items()]
    away = " and ".join(name for name, (_, _, kind) in LOOP.items() if kind == "away")
    figure.words = f"A drawing. What is made goes from {'; '.join(ways)}. The teachers' answers "
    figure.words += "teach the encoders; what teachers and encoders make of the painted pictures "
    figure.words += f"teaches the estimators. Behind a wall: {away}."
    return figure


def _wide(name: str) -> float:
    """Width of a box of the drawing."""
    return 1.1 if name == "noise" else 1.9


def _arrow(axis, start, end, **style) -> None:
    """An arrow that touches both of its ends."""
    style = {"color": "black", "linewidth": 1.1, **style}
    head = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 11}
    axis.annotate("", xytext=start, xy=end, arrowprops={**head, **style})
