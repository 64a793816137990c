"""Sheets of pictures: samples, search results, what a network looks at."""

from collections.abc import Sequence
from math import ceil, sqrt

import cv2
import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap
from torch import Tensor
from torch.nn.functional import avg_pool2d

from dfsbir_lite.plots import base
from dfsbir_lite.plots.base import Figure


def image_rows(rows: dict[str, Tensor], titles: Sequence = (), size: float = 0.9) -> Figure:
    """Draw a labelled row of images for each entry of `rows`.

    Args:
        rows: name → images (N, 3, H, W), bytes or floats in [0, 1]; N may differ.
        titles: one above each column.
    """
    columns = max(len(images) for images in rows.values())
    figure, axis = base.new_figure(len(rows), columns, size, list(rows), titles)
    for row, images in enumerate(rows.values()):
        for column, pixels in enumerate(base.as_pixels(images)):
            base.put(axis, pixels, row, column)
    figure.words = f"Rows of pictures: {base.listed({k: len(v) for k, v in rows.items()}, 'd')}."
    if len(titles):
        figure.words += f" Columns: {', '.join(map(str, titles))}."
    return figure


def retrievals(
    queries, gallery, ranked, relevant, titles: Sequence[str] = (), size: float = 0.9
) -> Figure:
    """Draw sketches and the photos that they find.

    Args:
        queries: sketches (Q, 3, H, W). gallery: photos (G, 3, H, W).
        ranked: (Q, k), indices into the gallery, best first.
        relevant: bool (Q, k), drawn as a solid frame with ✓ or a dashed one with ✗.
        titles: a name for each query.
    """
    ranked, relevant = base.as_array(ranked), base.as_array(relevant)
    k = ranked.shape[1]
    figure, axis = base.new_figure(len(ranked), k + 1.2, size, titles, ["sketch"])
    axis.set_xticks([0.5, *np.arange(k) + 1.7], ["sketch", *range(1, k + 1)])
    for row, (sketch, places, hits) in enumerate(zip(queries, ranked, relevant)):
        frames = [base.GOOD if hit else base.BAD for hit in hits]
        base.put_photos(axis, sketch, gallery[places], row, frames)
    names = titles or [f"sketch {row + 1}" for row in range(len(ranked))]
    right = [f"{name} {hits.sum()}" for name, hits in zip(names, relevant)]
    figure.words = f"Sketches, each with the {k} photos closest to it. Right among them: "
    figure.words += f"{', '.join(right)}."
    return figure


def found(rows: dict, size: float = 0.95) -> Figure:
    """Draw what sketches found, a row each: the sketch, then photos with class and cosine below.

    Args:
        rows: title → (sketch (3, H, W), photos (k, 3, H, W), classes (k,), cosines (k,)).
    """
    k = max(len(photos) for _, photos, _, _ in rows.values())
    tall = 1.36  # a picture and two lines of text
    figure, axis = base.new_figure(len(rows), k + 1.2, size, list(rows))
    figure.set_figheight(tall * size * len(rows) + 0.25)
    axis.set_ylim(tall * len(rows), 0)
    axis.set_yticks(tall * np.arange(len(rows)) + 0.5, list(rows), fontsize=10)
    figure.words = "Sketches and the photos that they found, best first. "
    for row, (title, (sketch, photos, classes, cosines)) in enumerate(rows.items()):
        base.put_photos(axis, sketch, photos, tall * row)
        for n, (name, cosine) in enumerate(zip(classes, cosines)):
            below = {"ha": "center", "va": "top", "fontsize": 10}
            axis.text(n + 1.7, tall * row + 1, f"{name}\n{float(cosine):.2f}", **below)
        figure.words += f"{title}: {', '.join(classes)}. "
    return figure


def class_scores(images, scores: dict, classes, size=1.5, titles: Sequence[str] = ()) -> Figure:
    """Draw images with the class probabilities that each reader gives them.

    Args:
        images: (N, 3, H, W). titles: one above each.
        scores: reader's name → probabilities (N, C); "photo ..." and "sketch ..." have the colours
            of their modality, the last of others is grey.
    """
    pixels, low = base.as_pixels(images), 0.18 * len(classes)
    shape = (1.2 * size * len(pixels) + 0.8, size + low + 0.5)
    figure = Figure(figsize=shape, layout="constrained")
    axes = figure.subplots(2, len(pixels), squeeze=False, height_ratios=(size, low))
    figure.words = "Pictures, and below each the class probabilities that it gets. "
    known, others = {"photo": base.PHOTO, "sketch": base.SKETCH}, (base.SKETCH, base.GREY)
    colours = [known.get(k.split()[0], others[n % 2]) for n, k in enumerate(scores, len(scores))]
    for n, (top, bottom) in enumerate(axes.T):
        base.put(top, pixels[n], 0, 0)
        top.set(xlim=(0, 1), ylim=(1, 0), title="".join(titles[n : n + 1]))
        top.axis("off")
        table = pd.DataFrame({k: base.as_array(v)[n] for k, v in scores.items()}, list(classes))
        table.plot.barh(ax=bottom, width=0.8, color=colours, legend=False)
        base.name_rows(bottom, classes if n == 0 else [""] * len(classes))
        bottom.set(xlim=(0, 1), xticks=(0, 1))
        surest = {f"{name}: {column.idxmax()}": column.max() for name, column in table.items()}
        figure.words += f"Picture {n + 1}, likeliest by {base.listed(surest)}. "
    legend = axes[1, 0].get_legend_handles_labels()
    figure.legend(*legend, loc="outside lower center", ncols=len(scores), frameon=False)
    return figure


def saliency_overlay(image: Tensor, saliency: Tensor, full: float, size: int = 128) -> np.ndarray:
    """Return `image` in grey, tinted orange where it counts and purple where it speaks against.

    Args:
        image: bytes (3, H, W). saliency: (H, W). full: the magnitude of the strongest tint.

    Returns: uint8 (size, size, 3).
    """
    shares = (base.as_array(saliency) / full).clip(-1, 1)
    shares = cv2.resize(shares.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(base.as_pixels(image[None])[0].copy(), cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (size, size), interpolation=cv2.INTER_NEAREST)[..., None]
    tint = colormaps["PuOr_r"](0.5 + 0.35 * np.sign(shares))[..., :3] * 255
    strength = 0.85 * np.abs(shares)[..., None]
    return (strength * tint + (1 - strength) * grey).round().clip(0, 255).astype(np.uint8)


def hit_maps(rankings: dict[str, Tensor], classes: dict[str, tuple[str, ...]]) -> Figure:
    """Draw rankings side by side: a row a sketch, a column a rank; the bluer, the more hits.

    Args:
        rankings: title → bool (Q, G), whether the photo at each rank is relevant.
        classes: title → names of the classes, which have Q / len(classes) sketches each, in order.
    """
    figure, axes = base.panels(rankings, (4.5 * len(rankings), 4))
    shades = LinearSegmentedColormap.from_list("hits", ["white", base.GOOD])
    for axis, (title, hits) in zip(axes, rankings.items(), strict=True):
        queries, gallery = hits.shape
        cell = ceil(queries / 150), ceil(gallery / 150)  # more rows and columns would be faint
        shares = avg_pool2d(hits[None].float(), cell, ceil_mode=True)[0].sqrt()  # shows single hits
        style = {"aspect": "auto", "extent": (0, gallery, queries, 0), "interpolation": "nearest"}
        axis.imshow(base.as_array(shares), cmap=shades, vmin=0, vmax=1, **style)
        edges = np.linspace(0, queries, len(classes[title]) + 1)
        axis.hlines(edges[1:-1], 0, gallery, color="0.8", linewidth=0.6)
        axis.set_yticks((edges[:-1] + edges[1:]) / 2, classes[title])
        axis.tick_params(length=0)
        axis.set_xlabel("rank of the photo")
    first = {title: base.as_array(hits)[:, :10].mean() for title, hits in rankings.items()}
    figure.words = "Rankings as pictures: sketches from top to bottom, ranks from left to right. "
    figure.words += f"Hits among the first ten: {base.listed(first)}."
    return figure


def sprite_sheet(images: Tensor) -> bytes:
    """Return all `images`, uint8 (N, 3, H, W), in one PNG file, row by row, in ⌈√N⌉ columns."""
    # by hand, because torchvision's grid takes every notebook a second to import
    columns = ceil(sqrt(len(images)))
    cells = np.pad(base.as_pixels(images), [(0, -len(images) % columns)] + 3 * [(0, 0)])
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return cv2.imencode(".png", cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))[1].tobytes()
