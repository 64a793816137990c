"""Scores as bars or with intervals, what is confused with what, and tables of marks."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import ListedColormap
from torch import Tensor

from dfsbir_lite.plots import base
from dfsbir_lite.plots.base import Figure


def bars(values: dict[str, float], title: str = "", line: float | None = None) -> Figure:
    """Draw horizontal bars with their values, and a dashed `line` (chance, say)."""
    return score_bars(pd.DataFrame({title: values}), None if line is None else {title: line})


def score_bars(table: pd.DataFrame, lines: dict | None = None, xlabel: str = "") -> Figure:
    """Draw horizontal bars with their values: a panel a column of `table`, a bar a row.

    Args:
        lines: column → where to draw a dashed line (chance, say). xlabel: what the bars measure.
    """
    size = (2.4 + 3.6 * len(table.columns), 0.34 * len(table) + 0.7 + 0.2 * bool(xlabel))
    figure, axes = base.panels(table.columns, size, sharey=True)
    figure.words = xlabel and f"{xlabel}. "
    for axis, (name, values) in zip(axes, table.items(), strict=True):
        drawn = axis.barh(range(len(table)), values, height=0.72, color="#8fabcf")
        form = ".2f" if values.max() < 10 else ".0f"
        axis.bar_label(drawn, fmt=f"{{:{form}}}", padding=3, fontsize=9)
        axis.set(xlim=(0, 1.12 * max(1.0, values.max())), xlabel=xlabel)
        base.name_rows(axis, list(table.index))
        figure.words += f"Bars of {name or 'values'}: {base.listed(values, form)}"
        if lines is not None:
            axis.axvline(lines[name], color="black", linestyle="--", linewidth=1)
            figure.words += f"; dashed line at {lines[name]:.2f}"
        figure.words += ". "
    return figure


def confusion(counts, classes, title: str = "% of each true class") -> Figure:
    """Draw a confusion matrix (C, C), rows are true classes, each row scaled to shares."""
    counts = base.as_array(counts).astype(float)
    shares = counts / counts.sum(1, keepdims=True).clip(min=1)
    figure, (axis,) = base.panels([title], (0.42 * len(classes) + 1.2,) * 2)
    text = np.where(shares >= 0.005, np.char.mod("%.0f", 100 * shares), "")
    sns.heatmap(
        shares, annot=text, fmt="", cmap="Blues", vmin=0, vmax=1, cbar=False, square=True,
        ax=axis, annot_kws={"fontsize": 9}, xticklabels=classes, yticklabels=classes,
    )  # fmt: skip
    axis.tick_params(length=0)
    axis.set(xlabel="predicted", ylabel="true")
    right = {name: shares[i, i] for i, name in enumerate(classes)}
    figure.words = f"Confusion matrix of {len(classes)} classes, {title}. "
    figure.words += f"Right: {base.listed(right, '.0%')}."
    return figure


def cosine_matrices(matrices: dict[str, Tensor], rows, columns, limit: float = 1.0) -> Figure:
    """Draw matrices of cosines, from blue (-`limit`) over white (0) to red (`limit`).

    Args:
        matrices: title → (R, C). rows, columns: the names of their rows and columns.
    """
    shape = (0.27 * len(columns) * len(matrices) + 2, 0.27 * len(rows) + 1.7)
    figure, axes = base.panels(matrices, shape, sharey=True)
    for axis, (title, values) in zip(axes, matrices.items(), strict=True):
        image = axis.imshow(base.as_array(values), cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set_xticks(np.arange(len(columns)), columns, rotation=90)
        axis.set_yticks(np.arange(len(rows)), rows)
        axis.tick_params(length=0)
        sns.despine(ax=axis, left=True, bottom=True)
        figure.words += f"Matrix of cosines, {title}: from {values.min():.2f} to {values.max():.2f}"
        if len(rows) == len(columns):
            figure.words += f", mean {np.diag(values).mean():.2f} on the diagonal"
        figure.words += ". "
    bar = figure.colorbar(image, ax=axes, shrink=0.7, ticks=(-limit, 0, limit), format="%.2g")
    bar.outline.set_visible(False)
    return figure


def cosine_histograms(cosines: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw how cosines between sketches and photos of one class, and of two, are distributed.

    Args:
        cosines: title → (same, different), each 1-D. The less they overlap, the better a
            threshold, or a ranking, can tell them apart.
    """
    figure, axes = base.panels(cosines, (3.3 * len(cosines), 2.7))
    shared = {"bins": np.linspace(-1, 1, 41), "stat": "density", "element": "step"}
    for axis, (title, parts) in zip(axes, cosines.items(), strict=True):
        same, different = map(base.as_array, parts)
        dashed = {"linestyle": "--", "color": base.GREY, "label": "different class"}
        sns.histplot(x=different, ax=axis, **dashed, **shared)
        sns.histplot(x=same, ax=axis, color=base.GOOD, label="same class", **shared)
        axis.set(xlabel="cosine", ylabel="", yticks=[], xticks=(-1, -0.5, 0, 0.5, 1))
        sns.despine(ax=axis, left=True)
        means = {"same class": same.mean(), "different class": different.mean()}
        figure.words += f"Histograms of cosines, {title}: means {base.listed(means)}. "
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return figure


def intervals(
    tables: dict[str, pd.DataFrame], line: str | None = None, differences: bool = False
) -> Figure:
    """Draw means and intervals as dots with whiskers: a panel a table, a line a row.

    Args:
        tables: title → columns mean and, if known, low and high; all with the first one's index.
        line: the row whose mean is drawn as a dashed line, to compare with.
        differences: whether the values are; otherwise they are mAP@all, drawn from 0 to 1.
    """
    rows = list(next(iter(tables.values())).index)
    size = (2 + 0.08 * max(map(len, rows)) + 2 * len(tables), 0.27 * len(rows) + 1.0)
    figure, axes = base.panels(tables, size, sharey=True)
    places = np.arange(len(rows))
    for axis, (title, table) in zip(axes, tables.items(), strict=True):
        means, ends = table["mean"][rows], table.reindex(rows, columns=["low", "high"])
        spread = ends.sub(means, axis=0).abs().fillna(0).T.to_numpy()
        axis.errorbar(means, places, xerr=spread, fmt="o", color=base.PHOTO, ms=5, capsize=3)
        axis.axvline(0, color="black", linewidth=1)
        if not differences:
            axis.set(xlim=(0, 1), xlabel="mAP@all")
        axis.grid(axis="y", color="0.9")
        base.name_rows(axis, rows)
        if line is not None:
            axis.axvline(table["mean"][line], color="black", linestyle="--", linewidth=1)
        figure.words += f"Means with intervals, {title}: {base.listed(means)}. "
    return figure


def verdicts(judged: pd.DataFrame) -> Figure:
    """Draw the differences that decide claims, a line a claim, beside 0.

    Args:
        judged: as `claims.judge` returns it. A claim *holds* if its whole interval is above 0, and
            *does not hold* if none of it is.
    """
    names = [f"{row.claim} ({row.part}): {row.verdict}" for row in judged.itertuples()]
    table = judged.rename(columns={"difference": "mean"}).set_axis(names)
    return intervals({"the difference that decides (mAP@all)": table}, differences=True)


def marks(table: pd.DataFrame) -> Figure:
    """Fill a cell for every entry of `table` that is true or not 0, and write its number in it.

    The first two rows have the colours of photos and of sketches.
    """
    figure, axis = base.new_figure(len(table), len(table.columns), 0.45, table.index, table.columns)
    figure.set_figheight(0.42 * len(table) + 1.0)
    axis.set_aspect("auto")
    rows = np.arange(1, len(table) + 1).clip(max=3)[:, None]
    colours = ListedColormap(["white", base.PHOTO, base.SKETCH, base.GREY])
    numbers = table.select_dtypes("number").shape == table.shape
    sns.heatmap(
        table.astype(bool) * rows, vmin=0, vmax=3, cmap=colours, cbar=False, ax=axis,
        annot=table if numbers else None, linewidths=2, linecolor="0.9",
    )  # fmt: skip
    axis.tick_params(axis="x", labelrotation=40)
    filled = {name: table.columns[row.astype(bool)] for name, row in table.iterrows()}
    words = [f"{name}: {', '.join(map(str, row)) or 'none'}" for name, row in filled.items()]
    figure.words = f"A table of marks. {'; '.join(words)}."
    return figure
