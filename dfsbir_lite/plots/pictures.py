"""Sheets of pictures: samples, search results, what a network looks at."""

from io import BytesIO

import cv2
import numpy as np
import seaborn as sns
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image
from torch import Tensor

from dfsbir_lite.plots.base import (
    BAD,
    GOOD,
    GREY,
    PHOTO,
    SKETCH,
    Figure,
    as_array,
    as_pixels,
    listed,
    new_sheet,
    put,
)


def image_rows(rows: dict[str, Tensor], titles=None, size: float = 0.9) -> Figure:
    """One labelled row of images for each entry of `rows`.

    Args:
        rows: name → images (N, 3, H, W), bytes or floats in [0, 1]; at most as many columns as
            the longest row has.
        titles: one above each column.
    """
    columns = max(len(images) for images in rows.values())
    figure, axis = new_sheet(len(rows), columns, size, list(rows), () if titles is None else titles)
    for row, images in enumerate(rows.values()):
        for column, pixels in enumerate(as_pixels(images)):
            put(axis, pixels, row, column)
    figure.told = f"Rows of pictures: {listed({k: len(v) for k, v in rows.items()}, 'd')}."
    if titles is not None:
        figure.told += f" Columns: {', '.join(map(str, titles))}."
    return figure


def class_sheet(images, labels, classes, per_class: int = 6, size: float = 0.8) -> Figure:
    """`per_class` images of each class, a row a class, in two columns of rows."""
    pixels, labels = as_pixels(images), as_array(labels)
    half = -(-len(classes) // 2)
    second = per_class + 1.4  # where the right-hand rows begin: their names need room
    figure, axis = new_sheet(half, second + per_class, size, classes[:half])
    for i, name in enumerate(classes):
        row, start = i % half, second * (i // half)
        if start:
            axis.text(start - 0.06, row + 0.5, name, ha="right", va="center", fontsize=9)
        for n, picture in enumerate(pixels[labels == i][:per_class]):
            put(axis, picture, row, start + n)
    figure.told = f"Up to {per_class} pictures of each of {len(classes)} classes: "
    figure.told += f"{', '.join(classes)}."
    return figure


def retrievals(queries, gallery, ranked, relevant, titles=None, size: float = 0.9) -> Figure:
    """Sketches and the photos that they find.

    Args:
        queries: sketches (Q, 3, H, W). gallery: photos (G, 3, H, W).
        ranked: (Q, k), indices into the gallery, best first.
        relevant: bool (Q, k), drawn as a solid frame with ✓ or a dashed one with ✗.
        titles: a name for each query.
    """
    ranked, relevant = as_array(ranked), as_array(relevant)
    photos, k = as_pixels(gallery), ranked.shape[1]
    labels, ranks = () if titles is None else titles, [str(rank) for rank in range(1, k + 1)]
    figure, axis = new_sheet(len(ranked), k + 1.2, size, labels, ["sketch"])
    axis.set_xticks([0.5, *np.arange(k) + 1.7], ["sketch", *ranks])
    for row, sketch in enumerate(as_pixels(queries)):
        put(axis, sketch, row, 0)
        for place, (index, right) in enumerate(zip(ranked[row], relevant[row], strict=True)):
            put(axis, photos[index], row, place + 1.2, GOOD if right else BAD)
    names = labels or [f"sketch {row + 1}" for row in range(len(ranked))]
    right = [f"{name} {hits.sum()}" for name, hits in zip(names, relevant)]
    figure.told = f"Sketches, each with the {k} photos closest to it. Right among them: "
    figure.told += f"{', '.join(right)}."
    return figure


def found(rows: dict, size: float = 0.95) -> Figure:
    """What sketches found, a row each: the sketch, then photos with their class and cosine below.

    Args:
        rows: title → (sketch (3, H, W), photos (k, 3, H, W), classes (k,), cosines (k,)).
    """
    k = max(len(photos) for _, photos, _, _ in rows.values())
    tall = 1.36  # a picture and two lines of text
    figure, axis = new_sheet(len(rows), k + 1.2, size, list(rows))
    figure.set_figheight(tall * size * len(rows) + 0.25)
    axis.set_ylim(tall * len(rows), 0)
    axis.set_yticks(tall * np.arange(len(rows)) + 0.5, list(rows))
    for row, (sketch, photos, classes, cosines) in enumerate(rows.values()):
        put(axis, as_pixels(sketch[None])[0], tall * row, 0)
        for n, (pixels, name, cosine) in enumerate(zip(as_pixels(photos), classes, cosines)):
            put(axis, pixels, tall * row, n + 1.2)
            told = f"{name}\n{float(cosine):.2f}"
            axis.text(n + 1.7, tall * row + 1, told, ha="center", va="top", fontsize=8)
    figure.told = "Sketches and the photos that they found, best first. "
    for title, (_, _, classes, _) in rows.items():
        figure.told += f"{title}: {', '.join(classes)}. "
    return figure


def class_scores(images, scores: dict[str, Tensor], classes, size: float = 1.5) -> Figure:
    """Images with the class probabilities that each reader gives them.

    Args:
        images: (N, 3, H, W).
        scores: reader's name → probabilities (N, C); "photo ..." and "sketch ..." have the colours
            of their modality.
    """
    pixels, ticks = as_pixels(images), np.arange(len(classes))
    shape = (1.2 * size * len(pixels) + 0.8, size + 0.18 * len(classes) + 0.5)
    figure = Figure(figsize=shape, layout="constrained")
    axes = figure.subplots(2, len(pixels), squeeze=False, height_ratios=(size, 0.18 * len(classes)))
    height = 0.8 / len(scores)
    for n, (top, bottom) in enumerate(axes.T):
        top.imshow(pixels[n], interpolation="nearest")
        top.axis("off")
        for k, (name, values) in enumerate(scores.items()):
            place = ticks + (k - (len(scores) - 1) / 2) * height
            bottom.barh(place, as_array(values)[n], height, color=_of_reader(name, k), label=name)
        bottom.set(xlim=(0, 1), yticks=ticks, xticks=(0, 1), ylim=(len(ticks) - 0.5, -0.5))
        bottom.set_yticklabels(classes if n == 0 else [], fontsize=9)
        bottom.tick_params(axis="y", length=0)
        bottom.tick_params(axis="x", labelsize=8)
        sns.despine(ax=bottom)
    figure.legend(
        *axes[1, 0].get_legend_handles_labels(),
        loc="outside lower center", ncols=len(scores), fontsize=9, frameon=False,
    )  # fmt: skip
    figure.told = "Pictures, and below each the class probabilities that it gets. "
    for n in range(len(pixels)):
        best = {name: int(as_array(values)[n].argmax()) for name, values in scores.items()}
        sure = {f"{k}: {classes[i]}": float(as_array(scores[k])[n][i]) for k, i in best.items()}
        figure.told += f"Picture {n + 1}, likeliest by {listed(sure)}. "
    return figure


def _of_reader(name: str, place: int) -> str:
    """The colour of a modality for what is of it alone, and greys in turn for all else."""
    own = {"photo": PHOTO, "sketch": SKETCH}
    return own.get(name.partition(" ")[0], ("#333333", GREY)[place % 2])


def saliency_overlay(image: Tensor, saliency: Tensor, size: int = 128) -> np.ndarray:
    """`image` in grey, what counts in it tinted orange, and what speaks against it purple.

    Args:
        image: bytes (3, H, W). saliency: (H, W); its largest magnitude gets the strongest tint.

    Returns: uint8 (size, size, 3).
    """
    shares = as_array(saliency) / max(1e-9, float(saliency.abs().max()))
    shares = cv2.resize(shares.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(as_pixels(image[None])[0].copy(), cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (size, size), interpolation=cv2.INTER_NEAREST)[..., None]
    tint = colormaps["PuOr_r"](0.5 + 0.35 * np.sign(shares))[..., :3] * 255
    strength = 0.85 * np.abs(shares)[..., None]
    return (strength * tint + (1 - strength) * grey).round().clip(0, 255).astype(np.uint8)


def hit_maps(rankings: dict[str, Tensor], classes: dict[str, tuple[str, ...]]) -> Figure:
    """Rankings as pictures side by side: a row a sketch, a column a rank, blue where it is a hit.

    Args:
        rankings: title → bool (Q, G), whether the photo at each rank is relevant.
        classes: title → names of the classes, which have Q / len(classes) sketches each, in order.
    """
    figure = Figure(figsize=(3.9 * len(rankings), 3.1), layout="constrained")
    axes = figure.subplots(1, len(rankings), squeeze=False)[0]
    shades = LinearSegmentedColormap.from_list("hits", ["white", GOOD])
    for axis, (title, hits) in zip(axes, rankings.items(), strict=True):
        queries, gallery = hits.shape
        box = (0, gallery, queries, 0)
        axis.imshow(as_array(hits), cmap=shades, vmin=0, vmax=1, aspect="auto", extent=box)
        each = queries / len(classes[title])
        edges = np.arange(len(classes[title])) * each
        axis.hlines(edges[1:], 0, gallery, color="0.8", linewidth=0.6)
        axis.set_yticks(edges + each / 2, classes[title], fontsize=8)
        axis.tick_params(axis="y", length=0)
        axis.tick_params(axis="x", labelsize=8)
        axis.set_xlabel("rank of the photo", fontsize=9)
        axis.set_title(title, fontsize=10)
    shares = {title: as_array(hits)[:, :10].mean() for title, hits in rankings.items()}
    figure.told = "Rankings as pictures, a row a sketch and a column a rank. "
    figure.told += f"Hits among the first ten: {listed(shares)}."
    return figure


def pointed_out(figure: Figure, maps: dict[str, np.ndarray], row: int, picture) -> Figure:
    """An `embedding_map` of `maps`, with an arrow from one picture to its point in each of them.

    Args:
        row: which point. picture: (3, H, W), what that point is.
    """
    pixels = as_pixels(picture[None])[0]
    turns = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    around = 0.17 * np.stack([np.cos(turns), np.sin(turns)], 1)
    for axis, points in zip(figure.axes, maps.values(), strict=False):
        low, size = points.min(0), np.ptp(points, axis=0).clip(min=1e-9)
        places = (points - low) / size
        free = np.clip(places[row] + around, 0.06, 0.94)
        room = np.linalg.norm(free[:, None] - places, axis=2).min(1)
        box = AnnotationBbox(
            OffsetImage(pixels, zoom=48 / len(pixels)), points[row],
            xybox=low + size * free[room.argmax()], pad=0.15,
            bboxprops={"edgecolor": "black"}, arrowprops={"arrowstyle": "->", "linewidth": 1.6},
        )  # fmt: skip
        axis.add_artist(box)
    figure.told += " An arrow leads from one picture to its point in each."
    return figure


def sprite_sheet(images) -> bytes:
    """All `images` (N, 3, H, W) in one PNG file, row by row, in ⌈√N⌉ columns."""
    pixels = as_pixels(images)
    count, height, width, _ = pixels.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width, 3), np.uint8)
    sheet[:count] = pixels
    sheet = sheet.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    buffer = BytesIO()
    Image.fromarray(sheet.reshape(rows * height, columns * width, 3)).save(buffer, "PNG")
    return buffer.getvalue()
