"""Results of whole experiments: intervals, verdicts, ours beside the paper's."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.patches import Rectangle

from dfsbir_lite.plots.base import BAD, GOOD, GREY, PHOTO, SERIES, SKETCH, Figure, listed


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
        figure.told += f"Means with intervals, {title}: {listed(table.loc[rows, 'mean'])}. "
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
        f"mAP@all on seen classes. Measured by this kit, {where}: {listed(ours['mean'])}. "
    )
    for name, values in paper.items():
        figure.told += f"Reported by the paper, {name}: {listed(values)}. "
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
        figure.told += f"Measured by this kit, {label}: {listed(table['mean'])}. "
    left.set_title(f"measured by this kit: {where}", fontsize=10)
    for (label, values), mark in zip(paper.items(), "Ds", strict=False):
        right.plot(values, f"{mark}--", mfc="none", color=GREY, label=label, markersize=5)
        figure.told += f"Reported by the paper, {label}: {listed(values)}. "
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
