"""What changes from step to step: curves, and the live panel's picture."""

import numpy as np
import seaborn as sns
from matplotlib.ticker import NullLocator
from torch import Tensor

from dfsbir_lite.plots.base import (
    GREY,
    PHOTO,
    SERIES,
    SKETCH,
    Figure,
    as_array,
    as_pixels,
    from_to,
    listed,
)

LIVE_COLUMNS = 16  # more samples side by side would be too small to see


def curves(history: dict[str, list[float]], columns: int = 4, xlabel: str = "step") -> Figure:
    """One small line plot for each entry of `history`."""
    columns = min(columns, len(history))
    rows = -(-len(history) // columns)
    figure = Figure(figsize=(2.6 * columns, 1.8 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[len(history) :]:
        axis.axis("off")
    for axis, (name, values) in zip(axes, history.items(), strict=False):
        axis.plot(as_array(values), color=SKETCH, linewidth=1.2)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.set_xlabel(xlabel, fontsize=7)
        sns.despine(ax=axis)
    known = {
        name: as_array(values)[np.isfinite(as_array(values))] for name, values in history.items()
    }
    figure.told = f"Curves over {xlabel}: " + from_to(known)
    return figure


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
    figure.told = f"Lines of {ylabel} over {xlabel}: " + from_to(known)
    return figure


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
        none = [name for name, n in zip(classes, as_array(values)) if not n]
        figure.told += f"Classes that no {kind} was taken for: {', '.join(none) or 'none'}. "
    figure.told += f"Terms: {listed(last, '.3g')}."
    return figure


def _pairs(axis, pairs: dict[str, Tensor], classes) -> None:
    """A row of photos over a row of sketches, a column a class, as one picture."""
    n = len(classes)
    pixels = np.concatenate([np.concatenate(as_pixels(x[:n]), axis=1) for x in pairs.values()])
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
    for n, (values, colour) in enumerate(zip(map(as_array, counts.values()), (PHOTO, SKETCH))):
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
