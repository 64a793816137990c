"""Scores as bars, and what is confused with what."""

import numpy as np
import pandas as pd
import seaborn as sns
from torch import Tensor

from dfsbir_lite.plots.base import GOOD, GREY, PHOTO, Figure, as_array, listed


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
    figure.told = f"Bars of {title or 'values'}: {listed(values)}. Now: {present}."
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
        figure.told += f"Bars of {name or 'values'}: {listed(values)}"
        figure.told += "" if lines is None else f"; dashed line at {lines[name]:.2f}"
        figure.told += ". "
    return figure


def confusion(counts, classes, title: str = "") -> Figure:
    """A confusion matrix (C, C), rows are true classes, each row scaled to shares."""
    counts = as_array(counts).astype(float)
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
    figure.told += f"{listed({k: v for k, v in often.items() if v > 0}, '.0%') or 'never'}."
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
        image = axis.imshow(as_array(values), cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set_title(title, fontsize=10)
        axis.set_xticks(np.arange(len(columns)), columns, rotation=90)
        axis.set_yticks(np.arange(len(rows)), rows)
        axis.tick_params(length=0, labelsize=9)
        sns.despine(ax=axis, left=True, bottom=True)
        figure.told += f"Matrix of cosines, {_read_matrix(as_array(values), title)} "
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
        sns.histplot(x=as_array(different), **dashed, **shared)
        sns.histplot(x=as_array(same), color=GOOD, label="same class", **shared)
        means = {"same class": as_array(same).mean(), "different class": as_array(different).mean()}
        figure.told += f"Histograms of cosines, {title}: means {listed(means)}. "
        axis.set(xlabel="cosine", ylabel="", yticks=[], xticks=(-1, -0.5, 0, 0.5, 1))
        axis.tick_params(labelsize=8)
        axis.set_title(title, fontsize=10)
        sns.despine(ax=axis, left=True)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return figure
