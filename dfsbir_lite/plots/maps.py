"""Maps of embeddings, and the colours of their classes."""

import numpy as np
import seaborn as sns
from matplotlib.patheffects import withStroke

from dfsbir_lite.plots.base import GREY, Figure, as_array


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
    labels, sketches = as_array(labels), as_array(sketches).astype(bool)
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
