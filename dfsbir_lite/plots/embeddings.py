"""Flat maps of embeddings, and the colours of their classes."""

import numpy as np
import seaborn as sns
from matplotlib.patheffects import withStroke

from dfsbir_lite.plots import base
from dfsbir_lite.plots.base import Figure


def class_colours(count: int) -> np.ndarray:
    """Return a colour a class, (count, 3) in [0, 1], equally bright; only far classes are alike."""
    # neighbours in the list of classes are easily confused: keep their hues apart
    places = np.concatenate([np.arange(count)[start::3] for start in range(3)])
    return np.array(sns.husl_palette(count, l=0.55))[np.argsort(places)]


def embedding_map(
    maps: dict[str, np.ndarray], labels, sketches, classes, size=5.0, by_class=True, ringed=()
) -> Figure:
    """Draw 2-D maps side by side: colour is the class, or the modality, as the mark is.

    Args:
        maps: title → points (N, 2).
        labels: (N,), indices into `classes`. sketches: bool (N,), drawn as crosses.
        size: of each map, in inches. ringed: the rows of points that get a ring.
    """
    labels, sketches = base.as_array(labels), base.as_array(sketches).astype(bool)
    figure, axes = base.panels(maps, (size * len(maps), size + 0.1))
    colours, outline = class_colours(len(classes)), [withStroke(linewidth=2.5, foreground="white")]
    kinds = ((~sketches, "o", 2.4, base.PHOTO), (sketches, "x", 3.2, base.SKETCH))
    for axis, points in zip(axes, maps.values(), strict=True):
        for mask, mark, area, ink in kinds:
            style = {"marker": mark, "s": area * size, "linewidths": 0.18 * size, "alpha": 0.7}
            axis.scatter(*points[mask].T, c=colours[labels[mask]] if by_class else ink, **style)
        for i, *spot in _clear(points, class_places(points, labels, sketches), classes, size):
            ink = colours[i] * 0.6 if by_class else "black"
            style = {"color": ink, "fontsize": 9, "weight": "bold", "path_effects": outline}
            axis.text(*spot, classes[i], ha="center", va="center", **style)
        axis.scatter(*points[list(ringed)].T, s=160, zorder=4, facecolors="none", edgecolors="k")
        axis.set(xticks=[], yticks=[], xmargin=0.1, ymargin=0.1)
        axis.spines[:].set_color("0.8")
    for name, (_, mark, _, ink) in zip(("photo", "sketch"), kinds):
        axes[0].scatter([], [], color=base.GREY if by_class else ink, marker=mark, label=name)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.words = f"Maps of {sum(~sketches)} photos (circles) and {sum(sketches)} sketches "
    figure.words += f"(crosses), coloured by {'class' if by_class else 'modality'}: "
    figure.words += f"{'; '.join(maps)}. Classes: {', '.join(classes)}."
    return figure


def class_places(points, labels, sketches) -> list[tuple[int, float, float]]:
    """Return where to write the names of classes on a map (N, 2): class, x, y.

    A class has its name on its middle photo and, where they lie elsewhere, on its middle sketch
    too; none where they lie scattered among the others.
    """
    near, places = 0.12 * np.linalg.norm(np.ptp(points, axis=0)), []
    for i in np.unique(labels):
        for part in (~sketches, sketches):
            if (members := part & (labels == i)).any():
                middle, scatter = _middle(points[members])
                known = any(c == i and np.linalg.norm(middle - spot) < near for c, *spot in places)
                if not known and scatter < 0.5 * _middle(points[part])[1]:
                    places.append((int(i), *middle.tolist()))
    return places


def _clear(points, places, classes, size: float) -> list[tuple[int, float, float]]:
    """Move the `places` of names to where they hide few points of a map of `size` inches."""
    inch, spots = 1.2 * np.ptp(points, axis=0) / size, []
    taken, angles = points / inch, np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring, span = np.stack([np.cos(angles), np.sin(angles)], axis=1), np.linspace(-1, 1, 20)
    for i, *middle in places:
        half = np.array((0.045 * len(classes[i]), 0.08))  # of the name, in inches
        far = np.concatenate([reach * ring * (half + 0.06) for reach in (0, 1, 1.5, 2, 3)])
        hidden = (np.abs(taken - middle / inch - far[:, None]) < half).all(2).sum(1)
        best = middle / inch + far[np.argmin(hidden + 6 * np.linalg.norm(far, axis=1))]
        taken = np.vstack([taken, *(best + half * (x, y) for x in span for y in (-1, 0, 1))])
        spots.append((i, *(best * inch).tolist()))
    return spots


def _middle(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the point nearest to the median one, and the median distance from that."""
    away = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    return points[away.argmin()], np.median(away)
