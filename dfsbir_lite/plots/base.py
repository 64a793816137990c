"""What every figure needs: colours, a description in words, sheets of pictures."""

from collections.abc import Iterable
from io import BytesIO
from itertools import zip_longest

import numpy as np
import seaborn as sns
from matplotlib import figure as matplotlib_figure
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

# Distinct with every kind of colour vision; tests/test_colours.py looks at them through each.
PHOTO, SKETCH, GOOD, BAD, GREY = "#d1652b", "#3a73c2", "#0072b2", "#d55e00", "#8a8a8a"
MARKS = {GOOD: ("✓", "-"), BAD: ("✗", (0, (2, 1)))}  # and right and wrong not by colour alone
# colour, mark and line of each series of a plot
SERIES = ((PHOTO, "o", "-"), (SKETCH, "s", "--"), ("#333333", "^", ":"), (GREY, "D", "-."))


# Of the same name as matplotlib's, because the name is what a notebook prints.
class Figure(matplotlib_figure.Figure):
    """A figure that says in words what is on it, for those who cannot see it.

    Notebooks store `alt` with the picture, as its metadata.

    Attributes:
        words: the description, by the function that drew it.
    """

    words = ""

    @property
    def alt(self) -> str:
        """The description as one paragraph."""
        return " ".join(self.words.split())

    def _repr_mimebundle_(self, **options) -> tuple[dict, dict]:
        return {}, {kind: {"alt": self.alt} for kind in ("image/jpeg", "image/png")}


def listed(values: dict, form: str = ".2f") -> str:
    """Return names and numbers as words."""
    return ", ".join(f"{' '.join(str(k).split())} {v:{form}}" for k, v in values.items())


def from_to(curves: dict[str, np.ndarray]) -> str:
    """Return first and last value of each curve that has any, as words."""
    known = {name: values[np.isfinite(values)] for name, values in curves.items()}
    parts = [f"{k} from {v[0]:.3g} to {v[-1]:.3g}" for k, v in known.items() if len(v)]
    return "; ".join(parts) + "."


def as_array(values) -> np.ndarray:
    """Return a tensor, a list or an array as an array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def as_pixels(images) -> np.ndarray:
    """Return (N, 3, H, W), bytes or floats in [0, 1], as (N, H, W, 3) for matplotlib."""
    return np.moveaxis(as_array(images), 1, -1)


def panels(titles, size: tuple[float, float], **options) -> tuple[Figure, np.ndarray]:
    """Return a figure of `size` inches, and its axes side by side, one for each title."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(titles), squeeze=False, **options)[0]
    for axis, title in zip(axes, titles):
        axis.set_title(title, fontsize=10)
        axis.tick_params(labelsize=9)
    return figure, axes


def name_rows(axis: Axes, names) -> None:
    """Name the rows of a plot that has one at each whole number, the first on top."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    sns.despine(ax=axis)


def new_figure(
    rows: float, columns: float, size: float, labels=(), titles=()
) -> tuple[Figure, Axes]:
    """Return a figure with one axis for rows × columns pictures, `size` inches each.

    One axis for them all, because a figure with a hundred axes takes minutes to lay out.

    Args:
        labels: a name for each row. titles: a name for each column.
    """
    lines = [line for name in labels for line in str(name).splitlines()]
    margin = 0.08 * max(map(len, lines), default=0) + 0.1
    above = 0.25 + 0.16 * max((str(title).count("\n") for title in titles), default=0)
    figure = Figure(figsize=(columns * size + margin, rows * size + above), layout="constrained")
    axis = figure.subplots()
    axis.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal")
    axis.set_xticks(np.arange(len(titles)) + 0.5, titles)
    axis.set_yticks(np.arange(len(labels)) + 0.5, labels)
    names_on_top(axis)
    return figure, axis


def names_on_top(axis: Axes) -> None:
    """Write the names of columns above an axis without lines or ticks."""
    axis.tick_params(length=0, top=False, labeltop=True, labelbottom=False, labelsize=9)
    sns.despine(ax=axis, left=True, bottom=True)


def put_photos(axis: Axes, sketch, photos, row: float, frames: Iterable[str | None] = ()) -> None:
    """Put a sketch (3, H, W), and after a gap its photos (k, 3, H, W), in a row of a sheet."""
    put(axis, as_pixels(sketch[None])[0], row, 0)
    for n, (pixels, frame) in enumerate(zip_longest(as_pixels(photos), frames)):
        put(axis, pixels, row, n + 1.2, frame)


def put(
    axis: Axes, pixels: np.ndarray, row: float, column: float, frame: str | None = None
) -> None:
    """Put one picture (H, W, 3) in its place on a sheet, in a coloured `frame` or a thin one."""
    gap = 0.06 if frame else 0.03
    left, right, top, bottom = column + gap, column + 1 - gap, row + gap, row + 1 - gap
    axis.imshow(pixels, extent=(left, right, bottom, top), interpolation="nearest")
    mark, line = MARKS.get(frame, ("", "-"))
    style = {"linewidth": 2.5 if frame else 0.6, "edgecolor": frame or "0.8"}  # blank paper's too
    edges = Rectangle((left, top), right - left, bottom - top, fill=False, linestyle=line, **style)
    axis.add_patch(edges)
    if frame:
        box = {"facecolor": frame, "edgecolor": "none", "pad": 0.8}
        text = {"color": "white", "fontsize": 9, "va": "top", "bbox": box, "in_layout": False}
        axis.text(left, top, mark, **text)


def png(figure: Figure, dpi: int = 80) -> bytes:
    """Return `figure` as a PNG file with 256 colours, a third of the size for a notebook."""
    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    Image.open(drawn).convert("RGB").quantize(256).save(small, "png", optimize=True)
    return small.getvalue()
