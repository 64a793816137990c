"""The data-free loop as a drawing: who makes pictures, who judges them, and what stays outside."""

from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from dfsbir_lite.plots import GREY, PHOTO, SKETCH, Figure

# Each part of the drawing: the middle of its box, and what it is.
LOOP = {
    "noise": (0.55, 3.0, "plain"),
    "photo estimator": (2.7, 4.0, "photo"),
    "sketch estimator": (2.7, 2.0, "sketch"),
    "painted photos": (5.1, 4.0, "plain"),
    "painted sketches": (5.1, 2.0, "plain"),
    "random lines": (5.1, 0.9, "plain"),
    "photo encoder": (7.8, 5.1, "photo"),
    "photo teacher": (7.8, 4.0, "frozen"),
    "guidance network": (7.8, 3.0, "frozen"),
    "sketch teacher": (7.8, 2.0, "frozen"),
    "sketch encoder": (7.8, 0.9, "sketch"),
    "training photos": (11.0, 4.0, "away"),
    "training sketches": (11.0, 2.0, "away"),
}
WIDTHS = {name: 1.1 if name == "noise" else 1.9 for name in LOOP}
SHOWN_TO = {
    "noise": ("photo estimator", "sketch estimator"),
    "photo estimator": ("painted photos",),
    "sketch estimator": ("painted sketches",),
    "painted photos": ("photo encoder", "photo teacher", "guidance network"),
    "painted sketches": ("sketch encoder", "sketch teacher", "guidance network"),
    "random lines": ("sketch encoder",),
}
# Who learns from what: the words, their place, and the corners of the way from judge to learner.
LESSONS = (
    ("photo encoder's mistakes", (2.85, 5.33), [(6.85, 5.23), (2.7, 5.23), (2.7, 4.3)]),
    ("how sure teachers and guidance network are", (2.85, 3.1), [(6.85, 3), (2.7, 3), (2.7, 3.7)]),
    ("", (0, 0), [(2.8, 3), (2.7, 3), (2.7, 2.3)]),
    ("sketch encoder's mistakes", (2.85, 0.2), [(7.8, 0.6), (7.8, 0.1), (2.7, 0.1), (2.7, 1.7)]),
    ("answers", (7.9, 4.47), [(7.8, 4.3), (7.8, 4.8)]),
    ("answers", (7.9, 1.37), [(7.8, 1.7), (7.8, 1.2)]),
)
SOLID = {"color": "black", "linewidth": 1.1}
DASHED = {"color": "#5a5a5a", "linestyle": "--", "linewidth": 1.3}
BOXES = {  # they differ without colour as well
    "plain": {"fc": "white", "ec": "black"},
    "photo": {"fc": "#f6d3bf", "ec": PHOTO, "lw": 2, "label": "learns, photo side"},
    "sketch": {"fc": "#c3d6ef", "ec": SKETCH, "lw": 2, "label": "learns, sketch side"},
    "frozen": {"fc": "#e2e2e2", "ec": "#5a5a5a", "label": "frozen"},
    "away": {"fc": "white", "ec": GREY, "ls": ":"},
}


def data_free_loop() -> Figure:
    """Draw how a student learns: who makes pictures, who judges them, and what stays outside."""
    figure = Figure(figsize=(9.6, 4.7), layout="constrained")
    axis = figure.subplots()
    axis.set(xlim=(-0.1, 12.4), ylim=(-0.1, 5.6))
    axis.axis("off")
    axis.axvspan(9.6, 12.4, color="0.93", linewidth=0)
    axis.axvline(9.6, color="black", linewidth=5)
    outside = "stays outside: what\nteachers and guidance network\nwere trained on, once"
    axis.text(11, 3, outside, ha="center", va="center", fontsize=9)
    for start, ends in SHOWN_TO.items():
        for end in ends:
            (x, y, _), (to_x, to_y, _) = LOOP[start], LOOP[end]
            _arrow(axis, (x + WIDTHS[start] / 2, y), (to_x - WIDTHS[end] / 2, to_y), **SOLID)
    for words, place, way in LESSONS:
        axis.plot(*zip(*way[:-1], strict=True), **DASHED)
        _arrow(axis, *way[-2:], **DASHED)
        axis.text(*place, words, fontsize=8.5, style="italic")
    axis.plot((8.75, 9.1, 9.1, 8.75), (5.1, 5.1, 0.9, 0.9), **SOLID)
    student = "the student: both encoders, one space"
    axis.text(9.24, 3, student, rotation=90, ha="center", va="center", fontsize=8.5)
    for name, (x, y, kind) in LOOP.items():
        corner = (x - WIDTHS[name] / 2, y - 0.28)
        axis.add_patch(Rectangle(corner, WIDTHS[name], 0.56, zorder=2, **BOXES[kind]))
        axis.text(x, y, name, ha="center", va="center", fontsize=9.5, zorder=3)
    keys = [Rectangle((0, 0), 1, 1, **BOXES[k]) for k in ("photo", "sketch", "frozen")]
    keys += [Line2D([], [], label="makes, or goes to", **SOLID)]
    keys += [Line2D([], [], label="teaches", **DASHED)]
    figure.legend(handles=keys, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    ways = "; ".join(f"{start} to {' and '.join(ends)}" for start, ends in SHOWN_TO.items())
    figure.words = f"A drawing. Pictures go from {ways}. Behind a wall: "
    figure.words += "training photos and training sketches."
    return figure


def _arrow(axis, start, end, **style) -> None:
    arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 11, **style}
    axis.annotate("", xytext=start, xy=end, arrowprops=arrow)
