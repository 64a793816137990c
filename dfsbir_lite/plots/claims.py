"""Results of whole experiments: intervals, verdicts, tables of marks."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import ListedColormap

from dfsbir_lite.plots import base
from dfsbir_lite.plots.base import Figure


def intervals(tables: dict[str, pd.DataFrame], line: str | None = None) -> Figure:
    """Draw means and intervals as dots with whiskers: a panel a table, a line a row.

    Args:
        tables: title → columns mean and, if known, low and high; all with the first one's index.
        line: the row whose mean is drawn as a dashed line, to compare with.
    """
    rows = list(next(iter(tables.values())).index)
    size = (2 + 0.08 * max(map(len, rows)) + 2 * len(tables), 0.27 * len(rows) + 0.8)
    figure, axes = base.panels(tables, size, sharey=True)
    places = np.arange(len(rows))
    for axis, (title, table) in zip(axes, tables.items(), strict=True):
        means, ends = table["mean"][rows], table.reindex(rows, columns=["low", "high"])
        spread = ends.sub(means, axis=0).abs().fillna(0).T.to_numpy()
        axis.errorbar(means, places, xerr=spread, fmt="o", color=base.PHOTO, ms=5, capsize=3)
        axis.set_xlim(0, 1)
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
    figure = intervals({"the difference that decides (mAP@all)": table})
    axis = figure.axes[0]
    axis.autoscale(axis="x")
    axis.axvline(0, color="black", linewidth=1)
    return figure


def marks(table: pd.DataFrame) -> Figure:
    """Fill a cell for every entry of `table` that is true or not 0, and write its number in it.

    The first two rows have the colours of photos and of sketches.
    """
    figure, axis = base.new_sheet(len(table), len(table.columns), 0.45, table.index, table.columns)
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
