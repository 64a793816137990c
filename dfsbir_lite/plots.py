"""Figures: every function takes arrays or tensors and returns a matplotlib Figure.

Nothing here touches pyplot's global state, so figures can be drawn from any thread.
"""

from io import BytesIO

import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

PHOTO, SKETCH, GOOD, BAD = "#d1652b", "#2b5ea8", "#2a9d3a", "#c23b3b"


def _pixels(images) -> np.ndarray:
    """(N, 3, H, W), bytes or floats in [0, 1], as (N, H, W, 3) for matplotlib."""
    array = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    return np.moveaxis(array, 1, -1)


def _array(values) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _grid(rows: int, columns: int, size: float = 0.9, **options):
    """A figure with rows × columns axes without ticks or frames."""
    figure = Figure(figsize=(columns * size, rows * size), layout="constrained", **options)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        sns.despine(ax=axis, left=True, bottom=True)
    return figure, axes


def _show(axis, pixels: np.ndarray) -> None:
    axis.imshow(pixels, interpolation="nearest", vmin=0, vmax=1)


def png(figure: Figure, dpi: int = 80) -> bytes:
    """`figure` as a PNG file, for an ipywidgets Image."""
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer) if dpi == figure.dpi else figure.savefig(
        buffer, dpi=dpi
    )
    return buffer.getvalue()


def image_rows(rows: dict[str, Tensor], titles=None, size: float = 0.9) -> Figure:
    """One labelled row of images for each entry of `rows`.

    Args:
        rows: name → images (N, 3, H, W), bytes or floats in [0, 1]; at most as many columns as
            the longest row has.
        titles: one above each column.
    """
    columns = max(len(images) for images in rows.values())
    figure, axes = _grid(len(rows), columns, size)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for axis, pixels in zip(line, _pixels(images), strict=False):
            _show(axis, pixels)
    for axis, title in zip(axes[0], titles if titles is not None else (), strict=False):
        axis.set_title(title, fontsize=8)
    return figure


def class_sheet(images, labels, classes, per_class: int = 6, size: float = 0.8) -> Figure:
    """`per_class` images of each class, a row a class, in two columns of rows."""
    pixels, labels = _pixels(images), _array(labels)
    half = -(-len(classes) // 2)
    figure, axes = _grid(half, 2 * per_class, size)
    for i, name in enumerate(classes):
        line = axes[i % half, (i // half) * per_class :][:per_class]
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for axis, picture in zip(line, pixels[labels == i], strict=False):
            _show(axis, picture)
    return figure


def curves(history: dict[str, list[float]], columns: int = 4, xlabel: str = "step") -> Figure:
    """One small line plot for each entry of `history`."""
    columns = min(columns, len(history))
    rows = -(-len(history) // columns)
    figure = Figure(figsize=(2.6 * columns, 1.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis, (name, values) in zip(axes, history.items(), strict=False):
        axis.plot(_array(values), color=SKETCH, linewidth=1.2)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.set_xlabel(xlabel, fontsize=7)
        sns.despine(ax=axis)
    for axis in list(axes):
        axis.axis("off")
    return figure


def lines(series: dict, xlabel: str, ylabel: str) -> Figure:
    """Lines with markers in one plot: label → a pandas Series, whose index is the x axis."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    axis = figure.subplots()
    for (label, values), colour in zip(series.items(), (PHOTO, SKETCH, GOOD, BAD), strict=False):
        axis.plot(values.index, values.values, "o-", color=colour, label=label, markersize=4)
    axis.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1))
    axis.legend(frameon=False, fontsize=8)
    sns.despine(ax=axis)
    return figure


def bars(values: dict[str, float], title: str = "", line: float | None = None) -> Figure:
    """Horizontal bars with their values, and a dashed `line` (chance, say)."""
    figure = Figure(figsize=(6, 0.36 * len(values) + 0.7), layout="constrained")
    axis = figure.subplots()
    sns.barplot(x=list(values.values()), y=list(values), ax=axis, color="#7d9cc4", orient="h")
    for place, value in enumerate(values.values()):
        axis.text(value, place, f" {value:.2f}", va="center", fontsize=8)
    if line is not None:
        axis.axvline(line, color="black", linestyle="--", linewidth=1)
    axis.set_title(title, fontsize=10)
    axis.set_xlim(0, max(1, *values.values()) * 1.08)
    sns.despine(ax=axis)
    return figure


def confusion(counts, classes, title: str = "") -> Figure:
    """A confusion matrix (C, C), rows are true classes, each row scaled to shares."""
    counts = _array(counts).astype(float)
    shares = counts / counts.sum(1, keepdims=True).clip(min=1)
    figure = Figure(figsize=(0.42 * len(classes) + 1.6,) * 2, layout="constrained")
    axis = figure.subplots()
    names = {"xticklabels": classes, "yticklabels": classes}
    text = np.where(shares >= 0.02, np.char.mod("%.0f", 100 * shares), "")
    sns.heatmap(
        shares, annot=text, fmt="", cmap="Blues", vmin=0, vmax=1, cbar=False, square=True,
        ax=axis, annot_kws={"fontsize": 7}, **names,
    )  # fmt: skip
    axis.set(xlabel="predicted", ylabel="true")
    axis.set_title(title or "% of each true class", fontsize=10)
    return figure


def retrievals(queries, gallery, ranked, relevant, titles=None, size: float = 0.9) -> Figure:
    """Sketches and the photos that they find.

    Args:
        queries: sketches (Q, 3, H, W). gallery: photos (G, 3, H, W).
        ranked: (Q, k), indices into the gallery, best first.
        relevant: bool (Q, k), drawn as a green or a red frame.
        titles: a name for each query.
    """
    ranked, relevant = _array(ranked), _array(relevant)
    figure, axes = _grid(len(ranked), ranked.shape[1] + 1, size)
    photos = _pixels(gallery)
    for row, sketch in enumerate(_pixels(queries)):
        _show(axes[row, 0], sketch)
        if titles is not None:
            axes[row, 0].set_ylabel(titles[row], rotation=0, ha="right", va="center", fontsize=9)
        for axis, index, right in zip(axes[row, 1:], ranked[row], relevant[row], strict=True):
            _show(axis, photos[index])
            axis.spines[:].set(visible=True, color=GOOD if right else BAD, linewidth=2.5)
    axes[0, 0].set_title("sketch", fontsize=9)
    for rank, axis in enumerate(axes[0, 1:], start=1):
        axis.set_title(str(rank), fontsize=9)
    return figure


def class_scores(images, scores: dict[str, Tensor], classes, size: float = 1.5) -> Figure:
    """Images with the class probabilities that each reader gives them.

    Args:
        images: (N, 3, H, W). scores: reader's name → probabilities (N, C).
    """
    pixels = _pixels(images)
    figure = Figure(figsize=(1.35 * size * len(pixels), 2.6 * size), layout="constrained")
    axes = figure.subplots(2, len(pixels), squeeze=False, height_ratios=(1, 1.3))
    ticks = np.arange(len(classes))
    height = 0.8 / len(scores)
    for top, bottom, n in zip(axes[0], axes[1], range(len(pixels)), strict=True):
        _show(top, pixels[n])
        top.axis("off")
        for k, (name, values) in enumerate(scores.items()):
            colour = (PHOTO, SKETCH, "#888888")[k % 3]
            bottom.barh(
                ticks + (k - (len(scores) - 1) / 2) * height,
                _array(values)[n],
                height,
                color=colour,
                label=name,
            )
        bottom.set(xlim=(0, 1), yticks=ticks, xticks=(0, 1))
        bottom.set_yticklabels(classes if n == 0 else [], fontsize=8)
        bottom.invert_yaxis()
        sns.despine(ax=bottom)
    if len(scores) > 1:
        axes[1, -1].legend(fontsize=7, frameon=False)
    return figure


def embedding_map(maps: dict[str, np.ndarray], labels, sketches, classes) -> Figure:
    """2-D maps side by side: colour is the class, the mark is the modality.

    Args:
        maps: title → points (N, 2).
        labels: (N,), indices into `classes`. sketches: bool (N,), drawn as crosses.
    """
    labels, sketches = _array(labels), _array(sketches).astype(bool)
    size = (4.6 * len(maps), 4.4 + 0.22 * -(-len(classes) // 6))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    colours = np.array(sns.husl_palette(len(classes), l=0.55))
    for axis, (title, points) in zip(axes, maps.items(), strict=True):
        for mask, mark, area in ((~sketches, "o", 14), (sketches, "x", 20)):
            style = {"marker": mark, "s": area, "linewidths": 1, "alpha": 0.75}
            axis.scatter(*points[mask].T, c=colours[labels[mask]], **style)
        axis.set(xticks=[], yticks=[])
        axis.set_title(title, fontsize=11)
    legend = [(name, "s", colour) for name, colour in zip(classes, colours, strict=True)]
    legend += [("photo", "o", "black"), ("sketch", "x", "black")]
    marks = [axes[0].scatter([], [], color=c, marker=m, label=name) for name, m, c in legend]
    columns = min(len(marks), 7)
    figure.legend(
        handles=marks, loc="outside lower center", ncols=columns, frameon=False, fontsize=8
    )
    return figure


def cosine_histograms(cosines: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Cosines between sketches and photos of the same class and of different ones.

    Args:
        cosines: title → (same, different), each 1-D. The less they overlap, the better a
            threshold, or a ranking, can tell them apart.
    """
    figure = Figure(figsize=(3.6 * len(cosines), 2.6), layout="constrained")
    axes = figure.subplots(1, len(cosines), squeeze=False)[0]
    for axis, (title, (same, different)) in zip(axes, cosines.items(), strict=True):
        shared = {"bins": np.linspace(-1, 1, 41), "stat": "density", "element": "step", "ax": axis}
        sns.histplot(x=_array(different), color="#888888", label="different class", **shared)
        sns.histplot(x=_array(same), color=GOOD, label="same class", **shared)
        axis.set(xlabel="cosine", ylabel="", yticks=[])
        axis.set_title(title, fontsize=10)
        sns.despine(ax=axis, left=True)
    axes[0].legend(fontsize=8, frameon=False)
    return figure
