"""What every figure is made with: colours, a figure that can be read out, sheets of pictures."""

from io import BytesIO

import numpy as np
import seaborn as sns
from matplotlib import figure as matplotlib_figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

# Told apart with every kind of colour vision; tests/test_colours.py looks at them through each.
PHOTO, SKETCH, GOOD, BAD, GREY = "#d1652b", "#3a73c2", "#0072b2", "#d55e00", "#8a8a8a"
MARKS = {GOOD: ("✓", "-"), BAD: ("✗", (0, (2, 1)))}  # and right and wrong not by colour alone
# colour, mark and line of each series of a plot
SERIES = ((PHOTO, "o", "-"), (SKETCH, "s", "--"), ("#333333", "^", ":"), (GREY, "D", "-."))


# Of the same name as matplotlib's, because the name is what a notebook prints.
class Figure(matplotlib_figure.Figure):
    """A figure that says in words what is on it, for those who cannot see it.

    Whoever shows it in a notebook stores `alt` with the picture, as its metadata.

    Attributes:
        told: what the function that drew it has to say; without it, `alt` reads the axes.
    """

    told = ""

    @property
    def alt(self) -> str:
        """What the figure shows, in one paragraph."""
        words = self.told or " ".join(["A figure.", *map(_read_axis, self.axes)])
        return " ".join(words.split())

    def _repr_mimebundle_(self, **options) -> tuple[dict, dict]:
        return {}, {kind: {"alt": self.alt} for kind in ("image/jpeg", "image/png")}


def _read_axis(axis) -> str:
    """Whatever is written on an axis, in one sentence."""
    named = {"horizontal": axis.get_xlabel(), "vertical": axis.get_ylabel()}
    words = [axis.get_title() or axis.get_title(loc="left")]
    words += [f"{where}: {name}" for where, name in named.items() if name]
    words += [text.get_text() for text in axis.texts]
    return ", ".join(filter(None, words)) + "."


def listed(values: dict, form: str = ".2f") -> str:
    """Names and numbers as words."""
    return ", ".join(
        f"{' '.join(str(name).split())} {value:{form}}" for name, value in values.items()
    )


def from_to(curves: dict[str, np.ndarray]) -> str:
    """First and last value of each curve that has any."""
    parts = [f"{k} from {v[0]:.3g} to {v[-1]:.3g}" for k, v in curves.items() if len(v)]
    return "; ".join(parts) + "."


def as_array(values) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def as_pixels(images) -> np.ndarray:
    """(N, 3, H, W), bytes or floats in [0, 1], as (N, H, W, 3) for matplotlib."""
    return np.moveaxis(as_array(images), 1, -1)


def new_sheet(rows: int, columns: int, size: float, labels=(), titles=()):
    """A figure with one axis that has room for rows × columns pictures, `size` inches each.

    One axis for them all, because a figure with a hundred axes takes minutes to lay out.

    Args:
        labels: a name for each row. titles: a name for each column.
    """
    lines = [line for name in labels for line in str(name).splitlines()]
    margin = 0.08 * max(map(len, lines), default=0) + 0.1
    figure = Figure(figsize=(columns * size + margin, rows * size + 0.25), layout="constrained")
    axis = figure.subplots()
    axis.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal")
    axis.set_xticks(np.arange(len(titles)) + 0.5, titles, fontsize=9)
    axis.set_yticks(np.arange(len(labels)) + 0.5, labels, fontsize=9)
    axis.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    sns.despine(ax=axis, left=True, bottom=True)
    return figure, axis


def put(axis, pixels: np.ndarray, row: int, column: float, frame: str | None = None) -> None:
    """Puts one picture (H, W, 3) in its place on a sheet, in a coloured `frame` if wanted."""
    gap = 0.06 if frame else 0.03
    left, right, top, bottom = column + gap, column + 1 - gap, row + gap, row + 1 - gap
    axis.imshow(pixels, extent=(left, right, bottom, top), interpolation="nearest")
    if frame:
        mark, line = MARKS.get(frame, ("", "-"))
        style = {"fill": False, "edgecolor": frame, "linewidth": 2.5, "linestyle": line}
        axis.add_patch(Rectangle((left, top), right - left, bottom - top, **style))
        box = {"facecolor": frame, "edgecolor": "none", "pad": 0.8}
        axis.text(
            left, top, mark, color="white", fontsize=8, va="top", bbox=box, in_layout=False
        )  # fmt: skip


def png(figure: Figure, dpi: int = 80) -> bytes:
    """`figure` as a PNG file, for an ipywidgets Image."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def fewer_colours(picture: bytes) -> bytes:
    """The same PNG picture with 256 colours, a third of the size, to be stored in a notebook."""
    buffer = BytesIO()
    Image.open(BytesIO(picture)).convert("RGB").quantize(256).save(buffer, "png", optimize=True)
    return buffer.getvalue()
