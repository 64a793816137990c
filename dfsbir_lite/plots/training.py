"""What changes from step to step: curves, and the live panel's picture."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from torch import Tensor

from dfsbir_lite.plots import base
from dfsbir_lite.plots.base import Figure


def curves(history: dict[str, list[float]], columns: int = 4, xlabel: str = "step") -> Figure:
    """Draw a small line plot for each entry of `history`, a series over its index."""
    columns = min(columns, len(history))
    rows = -(-len(history) // columns)
    figure = Figure(figsize=(2.8 * columns, 2.1 * rows), layout="constrained")
    for n, (name, values) in enumerate(history.items(), 1):
        axis = figure.add_subplot(rows, columns, n)
        axis.plot(values, color=base.SKETCH, linewidth=1.2)
        axis.set_title(name, fontsize=10)
        axis.tick_params(labelsize=9)
        axis.set_xlabel(xlabel, fontsize=9)
        sns.despine(ax=axis)
    figure.words = f"Curves over {xlabel}: "
    figure.words += base.from_to({name: base.as_array(values) for name, values in history.items()})
    return figure


def lines(series: dict[str, pd.Series | pd.DataFrame], xlabel: str, ylabel: str) -> Figure:
    """Draw lines with markers in one plot: label → values, whose index is the x axis.

    A table with columns mean, low and high becomes a line in a band.
    """
    figure, (axis,) = base.panels([""], (5, 3))
    means = {label: values.get("mean", values) for label, values in series.items()}
    for (label, values), (colour, mark, line) in zip(means.items(), base.SERIES, strict=False):
        style = {"color": colour, "marker": mark, "linestyle": line, "markersize": 4}
        axis.plot(values.index, values.values, label=label, **style)
        if values is not series[label]:
            ends = series[label][["low", "high"]].T.to_numpy()
            axis.fill_between(values.index, *ends, color=colour, alpha=0.2, linewidth=0)
    axis.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1.03))
    axis.legend(frameon=False, fontsize=8)
    sns.despine(ax=axis)
    figure.words = f"Lines of {ylabel} over {xlabel}: "
    figure.words += base.from_to({label: values.to_numpy() for label, values in means.items()})
    return figure


def live(pairs: dict, classes, history: dict, off=(), counts=None, outcome=None) -> Figure:
    """Draw a run at a glance: outcome, samples, what the teachers take all for, and every term.

    Drawn several times a second, so its axes have fixed places and few artists.

    Args:
        pairs: "photo" and "sketch" → one image of each class, (C, 3, H, W), floats in [0, 1].
        history: term → its values (nan is a gap). off: the terms without a weight: dimmed.
        counts: "photo" and "sketch" → (C,), how many images were taken for each class.
        outcome: scores (iterations → mAP@all), chance, a sketch (3, H, W), the photos nearest to
            it (k, 3, H, W), and which of them are right (k,).
    """
    shown = min(len(classes), 16)  # more pictures would be too small to see
    rows = -(-len(history) // 4)
    columns = -(-len(history) // rows)
    width, margin, top, bars, curve = 10.0, 0.85, 1.75 * bool(outcome), 0.9 * bool(counts), 1.15
    cell = (width - margin - 0.1) / shown
    below = top + 0.3 + 2 * cell  # the samples
    height = below + bars + 0.2 + rows * curve  # all in inches
    figure = Figure(figsize=(width, height))

    def axis_at(left, top, wide, high):
        bottom = height - top - high
        return figure.add_axes((left / width, bottom / height, wide / width, high / height))

    if outcome:
        figure.words = _outcome(axis_at(0.85, 0.3, 2.6, 1.0), axis_at(3.7, 0.3, 6.2, 1.0), *outcome)
    _pairs(axis_at(margin, top + 0.3, cell * shown, 2 * cell), pairs, classes[:shown])
    if counts:
        _coverage(axis_at(margin, below + 0.1, cell * shown, bars - 0.1), counts)
    wide = (width - 0.1) / columns
    for n, (name, values) in enumerate(history.items()):
        left, above = 0.55 + n % columns * wide, below + bars + 0.45 + n // columns * curve
        axis = axis_at(left, above, wide - 0.65, curve - 0.4)
        _sparkline(axis, name, np.asarray(values, float), name in off)
    last = {name: v[-1] for name, v in history.items() if len(v) and np.isfinite(v[-1])}
    figure.words += f"A photo and a sketch of each of {shown} classes, from the last step. "
    for kind, values in (counts or {}).items():
        none = [name for name, n in zip(classes, base.as_array(values)) if not n]
        figure.words += f"Classes that no {kind} was taken for: {', '.join(none) or 'none'}. "
    figure.words += f"Terms: {base.listed(last, '.3g')}."
    return figure


def _outcome(left: Axes, right: Axes, scores: dict, chance, sketch, photos, hits) -> str:
    """Draw the scores so far over chance, and what a sketch finds; return both in words."""
    *_, (done, last) = scores.items()
    left.plot(*zip(*scores.items()), color=base.GOOD, marker=".")
    left.axhline(chance, color=base.GREY, linestyle=":")
    left.set(xlim=(0, max(done, 10)), ylim=(0, 1), yticks=(0, 0.5, 1))
    left.tick_params(labelsize=9.5)
    left.set_xlabel("iteration (dotted: chance)", fontsize=9.5, labelpad=1)
    right.set(xlim=(0, len(photos) + 1.2), ylim=(1, 0), aspect="equal", xticks=[], yticks=[])
    base.put_photos(right, sketch, photos, 0, [base.GOOD if hit else base.BAD for hit in hits])
    finds = f"our sketch and its {len(photos)} nearest photos: {int(hits.sum())} right"
    for axis, title in ((left, f"validation mAP@all  {last:.2f}"), (right, finds)):
        axis.set_title(title, fontsize=11, loc="left", pad=4)
        sns.despine(ax=axis, left=axis is right, bottom=axis is right)
    return f"Validation mAP@all {last:.2f} after {done} iterations; {finds}. "


def _pairs(axis: Axes, pairs: dict[str, Tensor], classes) -> None:
    """Draw a row of photos over a row of sketches, a column a class, as one picture."""
    n = len(classes)
    pixels = np.concatenate([np.concatenate(base.as_pixels(x[:n]), axis=1) for x in pairs.values()])
    axis.imshow(pixels, extent=(0, n, 2, 0), aspect="auto", interpolation="nearest")
    axis.vlines(np.arange(1, n), 0, 2, color="white", linewidth=2)
    axis.hlines(1, 0, n, color="white", linewidth=2)
    axis.set_xticks(np.arange(n) + 0.5, classes)
    axis.set_yticks((0.5, 1.5), [f"painted\n{name}" for name in pairs], weight="bold")
    for label, colour in zip(axis.get_yticklabels(), (base.PHOTO, base.SKETCH)):
        label.set_color(colour)  # the key to the bars below
    base.names_on_top(axis)


def _coverage(axis: Axes, counts: dict[str, Tensor]) -> None:
    """Draw bars side by side: how many images of each modality were taken for each class."""
    for n, (values, colour) in enumerate(
        zip(map(base.as_array, counts.values()), (base.PHOTO, base.SKETCH))
    ):
        places = np.arange(len(values)) + 0.3 + 0.4 * n
        axis.bar(places, values, 0.36, color=colour)
        for where in places[values == 0]:
            axis.text(where, 0, "×", color=colour, ha="center", va="bottom", fontsize=11)
    axis.set(xlim=(0, len(values)), xticks=[])
    axis.set_ylabel("images\ntaken for", fontsize=9.5)
    axis.tick_params(labelsize=9.5)
    sns.despine(ax=axis)


def _sparkline(axis: Axes, name: str, values: np.ndarray, off: bool) -> None:
    """Draw a term's curve with name, last value and range; on a log scale if it is wide."""
    known = values[np.isfinite(values)]
    title = name + (f"  {known[-1]:.3g}" if len(known) else "") + ("  (off)" if off else "")
    axis.set_title(title, fontsize=11, loc="left", pad=4, color=base.GREY if off else "black")
    sns.despine(ax=axis)
    axis.set(xticks=[], yticks=[])
    if not len(known):
        return
    places = np.arange(len(values))[:: -(-len(values) // 500)]  # no more points than pixels
    axis.plot(places, values[places], color="#b0b0b0" if off else base.SKETCH, linewidth=1.1)
    ends = sorted({known.min(), known.max()})
    if 0 < 10 * ends[0] < ends[-1]:
        axis.set_yscale("log")
    axis.set_yticks(ends, [f"{v:.2g}" for v in ends], fontsize=9.5)
    axis.yaxis.set_minor_locator(NullLocator())
