"""Figures: every function takes arrays or tensors and returns a matplotlib Figure.

Nothing here touches pyplot's global state, so figures can be drawn from any thread.
"""

from io import BytesIO

import cv2
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib import figure as matplotlib_figure
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator
from PIL import Image
from torch import Tensor

# Told apart with every kind of colour vision; tests/test_colours.py looks at them through each.
PHOTO, SKETCH, GOOD, BAD, GREY = "#d1652b", "#3a73c2", "#0072b2", "#d55e00", "#8a8a8a"
MARKS = {GOOD: ("✓", "-"), BAD: ("✗", (0, (2, 1)))}  # and right and wrong not by colour alone
# colour, mark and line of each series of a plot
SERIES = ((PHOTO, "o", "-"), (SKETCH, "s", "--"), ("#333333", "^", ":"), (GREY, "D", "-."))
LIVE_COLUMNS = 16  # more samples side by side would be too small to see


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


def _listed(values: dict, form: str = ".2f") -> str:
    """Names and numbers as words."""
    return ", ".join(
        f"{' '.join(str(name).split())} {value:{form}}" for name, value in values.items()
    )


def _pixels(images) -> np.ndarray:
    """(N, 3, H, W), bytes or floats in [0, 1], as (N, H, W, 3) for matplotlib."""
    array = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    return np.moveaxis(array, 1, -1)


def _array(values) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _sheet(rows: int, columns: int, size: float, labels=(), titles=()):
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


def _place(axis, pixels: np.ndarray, row: int, column: float, frame: str | None = None) -> None:
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


def image_rows(rows: dict[str, Tensor], titles=None, size: float = 0.9) -> Figure:
    """One labelled row of images for each entry of `rows`.

    Args:
        rows: name → images (N, 3, H, W), bytes or floats in [0, 1]; at most as many columns as
            the longest row has.
        titles: one above each column.
    """
    columns = max(len(images) for images in rows.values())
    figure, axis = _sheet(len(rows), columns, size, list(rows), () if titles is None else titles)
    for row, images in enumerate(rows.values()):
        for column, pixels in enumerate(_pixels(images)):
            _place(axis, pixels, row, column)
    figure.told = f"Rows of pictures: {_listed({k: len(v) for k, v in rows.items()}, 'd')}."
    if titles is not None:
        figure.told += f" Columns: {', '.join(map(str, titles))}."
    return figure


def class_sheet(images, labels, classes, per_class: int = 6, size: float = 0.8) -> Figure:
    """`per_class` images of each class, a row a class, in two columns of rows."""
    pixels, labels = _pixels(images), _array(labels)
    half = -(-len(classes) // 2)
    second = per_class + 1.4  # where the right-hand rows begin: their names need room
    figure, axis = _sheet(half, second + per_class, size, classes[:half])
    for i, name in enumerate(classes):
        row, start = i % half, second * (i // half)
        if start:
            axis.text(start - 0.06, row + 0.5, name, ha="right", va="center", fontsize=9)
        for n, picture in enumerate(pixels[labels == i][:per_class]):
            _place(axis, picture, row, start + n)
    figure.told = f"Up to {per_class} pictures of each of {len(classes)} classes: "
    figure.told += f"{', '.join(classes)}."
    return figure


def curves(history: dict[str, list[float]], columns: int = 4, xlabel: str = "step") -> Figure:
    """One small line plot for each entry of `history`."""
    columns = min(columns, len(history))
    rows = -(-len(history) // columns)
    figure = Figure(figsize=(2.6 * columns, 1.8 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[len(history) :]:
        axis.axis("off")
    for axis, (name, values) in zip(axes, history.items(), strict=False):
        axis.plot(_array(values), color=SKETCH, linewidth=1.2)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.set_xlabel(xlabel, fontsize=7)
        sns.despine(ax=axis)
    known = {name: _array(values)[np.isfinite(_array(values))] for name, values in history.items()}
    figure.told = f"Curves over {xlabel}: " + _from_to(known)
    return figure


def _from_to(curves: dict[str, np.ndarray]) -> str:
    """First and last value of each curve that has any."""
    parts = [f"{k} from {v[0]:.3g} to {v[-1]:.3g}" for k, v in curves.items() if len(v)]
    return "; ".join(parts) + "."


def live(
    pairs: dict[str, Tensor], counts: dict[str, Tensor], classes, history: dict, off=()
) -> Figure:
    """A run at a glance: samples, below them what the teachers call them all, and every term.

    Drawn several times a second, so its axes have fixed places and few artists.

    Args:
        pairs: "photo" and "sketch" → one image of each class, (C, 3, H, W), floats in [0, 1].
        counts: the same → (C,), how many images were taken for each class.
        history: term → its values (nan is a gap). off: the terms without a weight: dimmed.
    """
    shown, columns = min(len(classes), LIVE_COLUMNS), 4
    width, margin, bars, curve = 8.0, 0.75, 0.7, 0.95  # inches
    cell = (width - margin - 0.1) / shown
    below = 0.25 + 2 * cell  # the samples
    height = below + bars + 0.3 + -(-len(history) // columns) * curve
    figure = Figure(figsize=(width, height))

    def axis_at(left, top, wide, high):
        bottom = height - top - high
        return figure.add_axes((left / width, bottom / height, wide / width, high / height))

    _pairs(axis_at(margin, 0.25, cell * shown, 2 * cell), pairs, classes[:shown])
    _coverage(axis_at(margin, below + 0.1, cell * shown, bars), counts)
    wide = (width - 0.1) / columns
    for n, (name, values) in enumerate(history.items()):
        left, top = 0.42 + n % columns * wide, below + bars + 0.52 + n // columns * curve
        axis = axis_at(left, top, wide - 0.5, curve - 0.32)
        _sparkline(axis, name, np.asarray(values, float), name in off)
    last = {name: v[-1] for name, v in history.items() if len(v) and np.isfinite(v[-1])}
    figure.told = f"A photo and a sketch of each of {shown} classes, as made now. "
    for kind, values in counts.items():
        none = [name for name, n in zip(classes, _array(values)) if not n]
        figure.told += f"Classes that no {kind} was taken for: {', '.join(none) or 'none'}. "
    figure.told += f"Terms: {_listed(last, '.3g')}."
    return figure


def _pairs(axis, pairs: dict[str, Tensor], classes) -> None:
    """A row of photos over a row of sketches, a column a class, as one picture."""
    n = len(classes)
    pixels = np.concatenate([np.concatenate(_pixels(x[:n]), axis=1) for x in pairs.values()])
    axis.imshow(pixels, extent=(0, n, 2, 0), aspect="auto", interpolation="nearest")
    axis.vlines(np.arange(1, n), 0, 2, color="white", linewidth=2)
    axis.hlines(1, 0, n, color="white", linewidth=2)
    axis.set_xticks(np.arange(n) + 0.5, classes, fontsize=8)
    axis.set_yticks((0.5, 1.5), list(pairs), fontsize=9, weight="bold")
    for label, colour in zip(axis.get_yticklabels(), (PHOTO, SKETCH)):
        label.set_color(colour)  # the key to the bars below
    axis.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    sns.despine(ax=axis, left=True, bottom=True)


def _coverage(axis, counts: dict[str, Tensor]) -> None:
    """Bars side by side: how many images of each modality were taken for each class."""
    for n, (values, colour) in enumerate(zip(map(_array, counts.values()), (PHOTO, SKETCH))):
        places = np.arange(len(values)) + 0.3 + 0.4 * n
        axis.bar(places, values, 0.36, color=colour)
        for where in places[values == 0]:
            axis.text(where, 0, "×", color=colour, ha="center", va="bottom", fontsize=11)
    axis.set(xlim=(0, len(values)), xticks=[])
    axis.set_ylabel("images\ntaken for", fontsize=8)
    axis.tick_params(labelsize=7)
    sns.despine(ax=axis)


def _sparkline(axis, name: str, values: np.ndarray, off: bool) -> None:
    """One term's curve with its name, its last value and its range; on a log scale if it spans."""
    known = values[np.isfinite(values)]
    colour = "#b0b0b0" if off else SKETCH
    last = f"  {known[-1]:.3g}" if len(known) else ""
    title = name + last + ("  (off)" if off else "")
    axis.set_title(title, fontsize=8.5, loc="left", pad=3, color=GREY if off else "black")
    sns.despine(ax=axis)
    axis.set(xticks=[], yticks=[])
    if not len(known):
        return
    thin = -(-len(values) // 500)  # more points than pixels only take time
    axis.plot(np.arange(0, len(values), thin), values[::thin], color=colour, linewidth=1.1)
    low, high = known.min(), known.max()
    if low > 0 and high > 10 * low:
        axis.set_yscale("log")
    axis.set_xlim(0, max(len(values) - 1, 1))
    ends = [low, high] if high > low else [low]
    axis.set_yticks(ends, [f"{v:.2g}" for v in ends], fontsize=7)
    axis.yaxis.set_minor_locator(NullLocator())
    axis.tick_params(length=2)


def lines(series: dict, xlabel: str, ylabel: str) -> Figure:
    """Lines with markers in one plot: label → a pandas Series, whose index is the x axis."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    axis = figure.subplots()
    for (label, values), (colour, mark, line) in zip(series.items(), SERIES, strict=False):
        style = {"color": colour, "marker": mark, "linestyle": line, "markersize": 4}
        axis.plot(values.index, values.values, label=label, **style)
    axis.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1))
    axis.legend(frameon=False, fontsize=8)
    sns.despine(ax=axis)
    known = {label: values.dropna().to_numpy() for label, values in series.items()}
    figure.told = f"Lines of {ylabel} over {xlabel}: " + _from_to(known)
    return figure


def bars(values: dict[str, float], title: str = "", line: float | None = None) -> Figure:
    """Horizontal bars with their values, and a dashed `line` (chance, say)."""
    return score_bars(pd.DataFrame({title: values}), None if line is None else {title: line})


def switched(values: dict[str, float], present: str, title: str = "") -> Figure:
    """Horizontal bars with their values; the one called `present` stands out."""
    figure = bars(values)
    axis = figure.axes[0]
    place = list(values).index(present)
    axis.patches[place].set_color(PHOTO)
    axis.get_yticklabels()[place].set_weight("bold")
    axis.set_title(title, fontsize=10, loc="left")
    figure.told = f"Bars of {title or 'values'}: {_listed(values)}. Now: {present}."
    return figure


def score_bars(table: pd.DataFrame, lines: dict[str, float] | None = None) -> Figure:
    """Horizontal bars with their values, a panel for each column of `table`, a bar for each row.

    Args:
        lines: column → where to draw a dashed line (chance, say).
    """
    panels = len(table.columns)
    size = (2.4 + 3.6 * panels, 0.34 * len(table) + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False, sharey=True)[0]
    places = np.arange(len(table))
    for axis, (name, values) in zip(axes, table.items(), strict=True):
        largest = max(1.0, values.max())
        axis.barh(places, values, height=0.72, color="#8fabcf")
        for place, value in enumerate(values):
            axis.text(value + 0.01 * largest, place, f"{value:.2f}", va="center", fontsize=9)
        if lines is not None:
            axis.axvline(lines[name], color="black", linestyle="--", linewidth=1)
        axis.set_title(name, fontsize=10)
        axis.set_xlim(0, 1.12 * largest)
        axis.set_yticks(places, table.index, fontsize=10)
        axis.set_ylim(len(table) - 0.5, -0.5)
        axis.tick_params(axis="y", length=0)
        axis.tick_params(axis="x", labelsize=8)
        sns.despine(ax=axis)
        figure.told += f"Bars of {name or 'values'}: {_listed(values)}"
        figure.told += "" if lines is None else f"; dashed line at {lines[name]:.2f}"
        figure.told += ". "
    return figure


def confusion(counts, classes, title: str = "") -> Figure:
    """A confusion matrix (C, C), rows are true classes, each row scaled to shares."""
    counts = _array(counts).astype(float)
    shares = counts / counts.sum(1, keepdims=True).clip(min=1)
    figure = Figure(figsize=(0.42 * len(classes) + 1.2,) * 2, layout="constrained")
    axis = figure.subplots()
    text = np.where(shares >= 0.005, np.char.mod("%.0f", 100 * shares), "")
    sns.heatmap(
        shares, annot=text, fmt="", cmap="Blues", vmin=0, vmax=1, cbar=False, square=True,
        ax=axis, annot_kws={"fontsize": 8}, xticklabels=classes, yticklabels=classes,
    )  # fmt: skip
    axis.tick_params(length=0, labelsize=9)
    axis.set(xlabel="predicted", ylabel="true")
    axis.set_title(title or "% of each true class", fontsize=10)
    wrong = shares - np.diag(np.diag(shares))
    rows, columns = np.unravel_index(wrong.argsort(axis=None)[::-1][:3], wrong.shape)
    often = {f"{classes[i]} as {classes[j]}": wrong[i, j] for i, j in zip(rows, columns)}
    figure.told = f"Confusion matrix of {len(classes)} classes, {title or 'shares'}: right "
    figure.told += f"{np.diag(shares).mean():.0%} on average; most often wrong: "
    figure.told += f"{_listed({k: v for k, v in often.items() if v > 0}, '.0%') or 'never'}."
    return figure


def cosine_matrices(matrices: dict[str, Tensor], rows, columns, limit: float = 1.0) -> Figure:
    """Matrices of cosines side by side, from blue (-`limit`) over white (0) to red (`limit`).

    Args:
        matrices: title → (R, C). rows, columns: the names of their rows and columns.
    """
    height, width = 0.27 * len(rows), 0.27 * len(columns)
    shape = (width * len(matrices) + 2, height + 1.7)
    figure = Figure(figsize=shape, layout="constrained")
    axes = figure.subplots(1, len(matrices), squeeze=False, sharey=True)[0]
    for axis, (title, values) in zip(axes, matrices.items(), strict=True):
        image = axis.imshow(_array(values), cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set_title(title, fontsize=10)
        axis.set_xticks(np.arange(len(columns)), columns, rotation=90)
        axis.set_yticks(np.arange(len(rows)), rows)
        axis.tick_params(length=0, labelsize=9)
        sns.despine(ax=axis, left=True, bottom=True)
        figure.told += f"Matrix of cosines, {_read_matrix(_array(values), title)} "
    bar = figure.colorbar(image, ax=axes, shrink=0.7, ticks=(-limit, 0, limit), pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.set_yticklabels([f"{tick:.2g}" for tick in (-limit, 0, limit)])
    return figure


def _read_matrix(values: np.ndarray, title: str) -> str:
    """Its range or, if it is square, the means on its diagonal and off it."""
    if len(values) != values.shape[1] or len(values) < 2:
        return f"{title}: from {values.min():.2f} to {values.max():.2f}."
    off = values[~np.eye(len(values), dtype=bool)].mean()
    return f"{title}: mean {np.diag(values).mean():.2f} on the diagonal, {off:.2f} off it."


def retrievals(queries, gallery, ranked, relevant, titles=None, size: float = 0.9) -> Figure:
    """Sketches and the photos that they find.

    Args:
        queries: sketches (Q, 3, H, W). gallery: photos (G, 3, H, W).
        ranked: (Q, k), indices into the gallery, best first.
        relevant: bool (Q, k), drawn as a solid frame with ✓ or a dashed one with ✗.
        titles: a name for each query.
    """
    ranked, relevant = _array(ranked), _array(relevant)
    photos, k = _pixels(gallery), ranked.shape[1]
    labels, ranks = () if titles is None else titles, [str(rank) for rank in range(1, k + 1)]
    figure, axis = _sheet(len(ranked), k + 1.2, size, labels, ["sketch"])
    axis.set_xticks([0.5, *np.arange(k) + 1.7], ["sketch", *ranks])
    for row, sketch in enumerate(_pixels(queries)):
        _place(axis, sketch, row, 0)
        for place, (index, right) in enumerate(zip(ranked[row], relevant[row], strict=True)):
            _place(axis, photos[index], row, place + 1.2, GOOD if right else BAD)
    names = labels or [f"sketch {row + 1}" for row in range(len(ranked))]
    right = [f"{name} {hits.sum()}" for name, hits in zip(names, relevant)]
    figure.told = f"Sketches, each with the {k} photos closest to it. Right among them: "
    figure.told += f"{', '.join(right)}."
    return figure


def found(rows: dict, size: float = 0.95) -> Figure:
    """What sketches found, a row each: the sketch, then photos with their class and cosine below.

    Args:
        rows: title → (sketch (3, H, W), photos (k, 3, H, W), classes (k,), cosines (k,)).
    """
    k = max(len(photos) for _, photos, _, _ in rows.values())
    tall = 1.36  # a picture and two lines of text
    figure, axis = _sheet(len(rows), k + 1.2, size, list(rows))
    figure.set_figheight(tall * size * len(rows) + 0.25)
    axis.set_ylim(tall * len(rows), 0)
    axis.set_yticks(tall * np.arange(len(rows)) + 0.5, list(rows))
    for row, (sketch, photos, classes, cosines) in enumerate(rows.values()):
        _place(axis, _pixels(sketch[None])[0], tall * row, 0)
        for n, (pixels, name, cosine) in enumerate(zip(_pixels(photos), classes, cosines)):
            _place(axis, pixels, tall * row, n + 1.2)
            told = f"{name}\n{float(cosine):.2f}"
            axis.text(n + 1.7, tall * row + 1, told, ha="center", va="top", fontsize=8)
    figure.told = "Sketches and the photos that they found, best first. "
    for title, (_, _, classes, _) in rows.items():
        figure.told += f"{title}: {', '.join(classes)}. "
    return figure


def saliency_overlay(image: Tensor, saliency: Tensor, size: int = 128) -> np.ndarray:
    """`image` in grey, what counts in it tinted orange, and what speaks against it purple.

    Args:
        image: bytes (3, H, W). saliency: (H, W); its largest magnitude gets the strongest tint.

    Returns: uint8 (size, size, 3).
    """
    shares = _array(saliency) / max(1e-9, float(saliency.abs().max()))
    shares = cv2.resize(shares.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(_pixels(image[None])[0].copy(), cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (size, size), interpolation=cv2.INTER_NEAREST)[..., None]
    tint = colormaps["PuOr_r"](0.5 + 0.35 * np.sign(shares))[..., :3] * 255
    strength = 0.85 * np.abs(shares)[..., None]
    return (strength * tint + (1 - strength) * grey).round().clip(0, 255).astype(np.uint8)


def class_scores(images, scores: dict[str, Tensor], classes, size: float = 1.5) -> Figure:
    """Images with the class probabilities that each reader gives them.

    Args:
        images: (N, 3, H, W).
        scores: reader's name → probabilities (N, C); "photo ..." and "sketch ..." have the colours
            of their modality.
    """
    pixels, ticks = _pixels(images), np.arange(len(classes))
    shape = (1.2 * size * len(pixels) + 0.8, size + 0.18 * len(classes) + 0.5)
    figure = Figure(figsize=shape, layout="constrained")
    axes = figure.subplots(2, len(pixels), squeeze=False, height_ratios=(size, 0.18 * len(classes)))
    height = 0.8 / len(scores)
    for n, (top, bottom) in enumerate(axes.T):
        top.imshow(pixels[n], interpolation="nearest")
        top.axis("off")
        for k, (name, values) in enumerate(scores.items()):
            place = ticks + (k - (len(scores) - 1) / 2) * height
            bottom.barh(place, _array(values)[n], height, color=_of_reader(name, k), label=name)
        bottom.set(xlim=(0, 1), yticks=ticks, xticks=(0, 1), ylim=(len(ticks) - 0.5, -0.5))
        bottom.set_yticklabels(classes if n == 0 else [], fontsize=9)
        bottom.tick_params(axis="y", length=0)
        bottom.tick_params(axis="x", labelsize=8)
        sns.despine(ax=bottom)
    figure.legend(
        *axes[1, 0].get_legend_handles_labels(),
        loc="outside lower center", ncols=len(scores), fontsize=9, frameon=False,
    )  # fmt: skip
    figure.told = "Pictures, and below each the class probabilities that it gets. "
    for n in range(len(pixels)):
        best = {name: int(_array(values)[n].argmax()) for name, values in scores.items()}
        sure = {f"{k}: {classes[i]}": float(_array(scores[k])[n][i]) for k, i in best.items()}
        figure.told += f"Picture {n + 1}, likeliest by {_listed(sure)}. "
    return figure


def _of_reader(name: str, place: int) -> str:
    """The colour of a modality for what is of it alone, and greys in turn for all else."""
    own = {"photo": PHOTO, "sketch": SKETCH}
    return own.get(name.partition(" ")[0], ("#333333", GREY)[place % 2])


def class_colours(count: int) -> np.ndarray:
    """One colour a class, (count, 3) in [0, 1], equally bright, and alike only in far classes."""
    # neighbours in the list of classes are easily confused: keep their hues apart
    places = np.concatenate([np.arange(count)[start::3] for start in range(3)])
    return np.array(sns.husl_palette(count, l=0.55))[np.argsort(places)]


def embedding_map(
    maps: dict[str, np.ndarray], labels, sketches, classes, size: float = 5.0
) -> Figure:
    """2-D maps side by side: colour is the class, the mark is the modality.

    A class has its name on its photos and, where they lie elsewhere, on its sketches; none where
    they lie scattered among the others.

    Args:
        maps: title → points (N, 2).
        labels: (N,), indices into `classes`. sketches: bool (N,), drawn as crosses.
        size: of each map, in inches.
    """
    labels, sketches = _array(labels), _array(sketches).astype(bool)
    figure = Figure(figsize=(size * len(maps), size + 0.1), layout="constrained")
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    colours, font = class_colours(len(classes)), min(9, 5 + size)
    for axis, (title, points) in zip(axes, maps.items(), strict=True):
        for mask, mark, area in ((~sketches, "o", 2.4), (sketches, "x", 3.2)):
            style = {"marker": mark, "s": area * size, "linewidths": 0.18 * size, "alpha": 0.7}
            axis.scatter(*points[mask].T, c=colours[labels[mask]], **style)
        for i, name in enumerate(classes):
            _name_class(axis, points, labels == i, sketches, name, colours[i], font)
        axis.set(xticks=[], yticks=[])
        axis.set_title(title, fontsize=font + 2)
        sns.despine(ax=axis, left=True, bottom=True)
    marks = [
        axes[0].scatter([], [], color=GREY, marker=mark, label=name)
        for name, mark in (("photo", "o"), ("sketch", "x"))
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    titles = "; ".join(" ".join(title.split()) for title in maps)
    figure.told = (
        f"Flat maps of {(~sketches).sum()} photos (circles) and {sketches.sum()} sketches "
    )
    figure.told += f"(crosses), coloured by class: {titles}. Classes: {', '.join(classes)}."
    return figure


def _name_class(axis, points, members, sketches, name: str, colour, font: float) -> None:
    """Writes `name` over the middle of its photos, and of its sketches if they are elsewhere."""
    near, places = 0.12 * np.linalg.norm(np.ptp(points, axis=0)), []
    for part in (~sketches, sketches):
        middle, scatter = _middle(points[members & part])
        known = any(np.linalg.norm(middle - place) < near for place in places)
        if not known and scatter < 0.7 * _middle(points[part])[1]:
            places.append(middle)
    outline = [withStroke(linewidth=2.5, foreground="white")]
    for middle in places:
        axis.text(
            *middle, name, color=colour * 0.6, fontsize=font, weight="bold",
            ha="center", va="center", path_effects=outline,
        )  # fmt: skip


def _middle(points: np.ndarray) -> tuple[np.ndarray, float]:
    """The median point, and the median distance from it."""
    middle = np.median(points, axis=0)
    return middle, np.median(np.linalg.norm(points - middle, axis=1))


def sprite_sheet(images) -> bytes:
    """All `images` (N, 3, H, W) in one PNG file, row by row, in ⌈√N⌉ columns."""
    pixels = _pixels(images)
    count, height, width, _ = pixels.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width, 3), np.uint8)
    sheet[:count] = pixels
    sheet = sheet.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    buffer = BytesIO()
    Image.fromarray(sheet.reshape(rows * height, columns * width, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def cosine_histograms(cosines: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Cosines between sketches and photos of the same class and of different ones.

    Args:
        cosines: title → (same, different), each 1-D. The less they overlap, the better a
            threshold, or a ranking, can tell them apart.
    """
    figure = Figure(figsize=(3.3 * len(cosines), 2.7), layout="constrained")
    axes = figure.subplots(1, len(cosines), squeeze=False)[0]
    for axis, (title, (same, different)) in zip(axes, cosines.items(), strict=True):
        shared = {"bins": np.linspace(-1, 1, 41), "stat": "density", "element": "step", "ax": axis}
        dashed = {"linestyle": "--", "color": GREY, "label": "different class"}
        sns.histplot(x=_array(different), **dashed, **shared)
        sns.histplot(x=_array(same), color=GOOD, label="same class", **shared)
        means = {"same class": _array(same).mean(), "different class": _array(different).mean()}
        figure.told += f"Histograms of cosines, {title}: means {_listed(means)}. "
        axis.set(xlabel="cosine", ylabel="", yticks=[], xticks=(-1, -0.5, 0, 0.5, 1))
        axis.tick_params(labelsize=8)
        axis.set_title(title, fontsize=10)
        sns.despine(ax=axis, left=True)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return figure


# --- experiments --------------------------------------------------------------------------------


def intervals(tables: dict[str, pd.DataFrame], line: str | None = None) -> Figure:
    """Means and intervals as dots with whiskers: a panel a table, a line a row.

    Args:
        tables: title → columns mean, low, high; all with the index of the first.
        line: the row whose mean is drawn as a dashed line, to compare with.
    """
    rows = list(next(iter(tables.values())).index)
    size = (2.6 + 3.2 * len(tables), 0.27 * len(rows) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(tables), squeeze=False, sharey=True)[0]
    for axis, (title, table) in zip(axes, tables.items(), strict=True):
        _whiskers(axis, table.loc[rows])
        if line is not None:
            axis.axvline(table["mean"][line], color="black", linestyle="--", linewidth=1)
        axis.set_title(title, fontsize=10)
        axis.set_xlim(0, 1)
        _row_names(axis, rows)
        figure.told += f"Means with intervals, {title}: {_listed(table.loc[rows, 'mean'])}. "
    return figure


def _whiskers(axis, table: pd.DataFrame) -> None:
    """Dots at the means of `table`, with lines from low to high where there is an interval."""
    places = np.arange(len(table))
    spread = table[["low", "high"]].sub(table["mean"], axis=0).abs().fillna(0).T.to_numpy()
    axis.errorbar(table["mean"], places, xerr=spread, fmt="o", color=PHOTO, markersize=5, capsize=3)


def _row_names(axis, rows) -> None:
    axis.set_yticks(range(len(rows)), rows, fontsize=9)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(axis="y", color="0.9")
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=8)
    sns.despine(ax=axis)


def beside_paper(ours: pd.DataFrame, paper: pd.DataFrame, where: str) -> Figure:
    """What was measured here, and what the paper reports for other benchmarks, in two panels.

    Args:
        ours: columns mean, low, high. paper: a column for each of its benchmarks; the same index.
        where: what ours were measured on.
    """
    figure = Figure(figsize=(8.6, 0.34 * len(ours) + 1.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _whiskers(left, ours)
    left.set_title(f"measured by this kit: {where}", fontsize=10)
    for (name, values), mark in zip(paper.items(), "DsX", strict=False):
        right.plot(values, range(len(paper)), mark, mfc="none", color=GREY, label=name)
    right.set_title("reported by the paper: other benchmarks", fontsize=10)
    right.set_facecolor("0.97")
    figure.legend(loc="outside lower right", ncols=3, frameon=False, fontsize=8)
    for axis in (left, right):
        axis.set(xlim=(0, 1), xlabel="mAP@all, seen classes")
        _row_names(axis, list(ours.index))
    figure.told = (
        f"mAP@all on seen classes. Measured by this kit, {where}: {_listed(ours['mean'])}. "
    )
    for name, values in paper.items():
        figure.told += f"Reported by the paper, {name}: {_listed(values)}. "
    return figure


def overlap_curves(ours: dict[str, pd.DataFrame], paper: pd.DataFrame, where: str) -> Figure:
    """mAP@all against the share of common classes: ours with intervals, the paper's beside them.

    Args:
        ours: label → columns mean, low, high, indexed by the share. paper: a column a benchmark.
        where: what ours were measured on.
    """
    figure = Figure(figsize=(8.6, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    figure.told = "mAP@all over the share of classes that both teachers know. "
    for (label, table), (colour, mark, line) in zip(ours.items(), SERIES, strict=False):
        style = {"color": colour, "marker": mark, "linestyle": line, "markersize": 4}
        left.plot(table.index, table["mean"], label=label, **style)
        left.fill_between(table.index, table["low"], table["high"], color=colour, alpha=0.2, lw=0)
        figure.told += f"Measured by this kit, {label}: {_listed(table['mean'])}. "
    left.set_title(f"measured by this kit: {where}", fontsize=10)
    for (label, values), mark in zip(paper.items(), "Ds", strict=False):
        right.plot(values, f"{mark}--", mfc="none", color=GREY, label=label, markersize=5)
        figure.told += f"Reported by the paper, {label}: {_listed(values)}. "
    right.set_title("reported by the paper: other benchmarks", fontsize=10)
    right.set_facecolor("0.97")
    for axis in (left, right):
        axis.set(xlabel="share of the classes that both teachers know", ylim=(0, 1), xlim=(0, 1.03))
        axis.legend(frameon=False, fontsize=8)
        sns.despine(ax=axis)
    left.set_ylabel("mAP@all")
    return figure


def verdicts(judged: pd.DataFrame) -> Figure:
    """Claims as the differences that decide them, a line a claim: dots with whiskers beside 0.

    Args:
        judged: what `claims.judge` returns. A dot *holds*: all of it is above 0; a cross *does not
            hold*: nothing is; a grey diamond is *undecided*.
    """
    styles = {"holds": (GOOD, "o"), "undecided": (GREY, "D"), "does not hold": (BAD, "X")}
    figure = Figure(figsize=(7.6, 0.26 * len(judged) + 1.0), layout="constrained")
    axis = figure.subplots()
    axis.axvline(0, color="black", linewidth=1)
    for verdict, (colour, mark) in styles.items():
        mine = (judged["verdict"] == verdict).to_numpy()
        places, part = np.arange(len(judged))[mine], judged[mine]
        axis.hlines(places, part["low"], part["high"], color=colour, linewidth=3, alpha=0.5)
        axis.plot(part["difference"], places, mark, color=colour, markersize=6, label=verdict)
    _row_names(axis, [f"{row.claim} ({row.part})" for row in judged.itertuples()])
    axis.set_xlabel("the difference that decides (mAP@all), with its interval", fontsize=9)
    figure.legend(loc="outside upper right", ncols=3, frameon=False, fontsize=9)
    told = [f"{row.claim} ({row.part}): {row.verdict}" for row in judged.itertuples()]
    figure.told = f"Differences that decide claims. {'; '.join(told)}."
    return figure


def marks(table: pd.DataFrame, colours=(PHOTO, SKETCH, GREY)) -> Figure:
    """A filled cell for every entry of `table` that is true or not 0; numbers are written in it.

    Args:
        colours: one for each row; the last is that of all further ones.
    """
    rows, columns = table.shape
    size = (0.09 * max(map(len, table.index)) + 0.5 * columns, 0.42 * rows + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    axis = figure.subplots()
    for row, values in enumerate(table.to_numpy()):
        colour = colours[min(row, len(colours) - 1)]
        for column in np.flatnonzero(values):
            axis.add_patch(Rectangle((column + 0.05, row + 0.05), 0.9, 0.9, color=colour))
        for column, value in enumerate(values):
            if not isinstance(value, (bool, np.bool_)):
                ink = "white" if value else "black"
                axis.text(column + 0.5, row + 0.5, value, color=ink, ha="center", va="center")
    axis.set(xlim=(0, columns), ylim=(rows, 0))
    style = {"fontsize": 9, "rotation": 40, "ha": "left"}
    axis.set_xticks(np.arange(columns) + 0.5, table.columns, **style)
    axis.set_yticks(np.arange(rows) + 0.5, table.index, fontsize=9)
    axis.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    axis.vlines(np.arange(columns + 1), 0, rows, color="0.85", linewidth=1)
    axis.hlines(np.arange(rows + 1), 0, columns, color="0.85", linewidth=1)
    sns.despine(ax=axis, left=True, bottom=True)
    kept = {name: table.columns[table.loc[name].astype(bool)] for name in table.index}
    told = "; ".join(f"{name}: {', '.join(map(str, row)) or 'none'}" for name, row in kept.items())
    figure.told = f"A table of marks. {told}."
    return figure


def hit_maps(rankings: dict[str, Tensor], classes: dict[str, tuple[str, ...]]) -> Figure:
    """Rankings as pictures side by side: a row a sketch, a column a rank, blue where it is a hit.

    Args:
        rankings: title → bool (Q, G), whether the photo at each rank is relevant.
        classes: title → names of the classes, which have Q / len(classes) sketches each, in order.
    """
    figure = Figure(figsize=(3.9 * len(rankings), 3.1), layout="constrained")
    axes = figure.subplots(1, len(rankings), squeeze=False)[0]
    shades = LinearSegmentedColormap.from_list("hits", ["white", GOOD])
    for axis, (title, hits) in zip(axes, rankings.items(), strict=True):
        queries, gallery = hits.shape
        box = (0, gallery, queries, 0)
        axis.imshow(_array(hits), cmap=shades, vmin=0, vmax=1, aspect="auto", extent=box)
        each = queries / len(classes[title])
        edges = np.arange(len(classes[title])) * each
        axis.hlines(edges[1:], 0, gallery, color="0.8", linewidth=0.6)
        axis.set_yticks(edges + each / 2, classes[title], fontsize=8)
        axis.tick_params(axis="y", length=0)
        axis.tick_params(axis="x", labelsize=8)
        axis.set_xlabel("rank of the photo", fontsize=9)
        axis.set_title(title, fontsize=10)
    shares = {title: _array(hits)[:, :10].mean() for title, hits in rankings.items()}
    figure.told = "Rankings as pictures, a row a sketch and a column a rank. "
    figure.told += f"Hits among the first ten: {_listed(shares)}."
    return figure


def pointed_out(figure: Figure, maps: dict[str, np.ndarray], row: int, picture) -> Figure:
    """An `embedding_map` of `maps`, with an arrow from one picture to its point in each of them.

    Args:
        row: which point. picture: (3, H, W), what that point is.
    """
    pixels = _pixels(picture[None])[0]
    turns = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    around = 0.17 * np.stack([np.cos(turns), np.sin(turns)], 1)
    for axis, points in zip(figure.axes, maps.values(), strict=False):
        low, size = points.min(0), np.ptp(points, axis=0).clip(min=1e-9)
        places = (points - low) / size
        free = np.clip(places[row] + around, 0.06, 0.94)
        room = np.linalg.norm(free[:, None] - places, axis=2).min(1)
        box = AnnotationBbox(
            OffsetImage(pixels, zoom=48 / len(pixels)), points[row],
            xybox=low + size * free[room.argmax()], pad=0.15,
            bboxprops={"edgecolor": "black"}, arrowprops={"arrowstyle": "->", "linewidth": 1.6},
        )  # fmt: skip
        axis.add_artist(box)
    figure.told += " An arrow leads from one picture to its point in each."
    return figure
