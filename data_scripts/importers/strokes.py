"""Quick, Draw! as it is published: strokes line by line, or bitmaps of 28 × 28 pixels."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from dfsbir_lite.runtime import UserError
from dfsbir_lite.strokes import PEN, render
from importers.dataset import Item

# What the files are called in the storage's own downloads.
PREFIXES = ("full_simplified_", "full_numpy_bitmap_", "full_raw_")
SIDE = 28
FURTHEST = 1e5  # no screen is so wide: such a coordinate is a mistake


def drawings(path: Path, origin: str, limit: int | None) -> Iterator[Item]:
    """The first `limit` lines of `<class>.ndjson` as sketches; a line is parsed when it is loaded.

    A drawing is `{"drawing": [[[x, ...], [y, ...]], ...], ...}`, simplified (0 to 255) or raw.
    """
    with path.open("rb") as file:
        start, number = 0, 0
        while (line := file.readline()) and (limit is None or number < limit):
            number += 1
            where = f"{origin}: line {number}"
            if line.strip():
                yield Item(
                    where,
                    "sketch",
                    label_of(path),
                    f"{number:06}",
                    lambda size, start=start, where=where: drawn(line_at(path, start), size, where),
                )
            start = file.tell()


def label_of(path: Path) -> str:
    name = path.stem
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def line_at(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.readline()


def drawn(line: bytes, size: int, origin: str) -> Image.Image:
    """A drawing as dark lines on white paper, (size, size), as ToyBox's sketches are.

    It is centred, with a margin, whatever the size it was drawn at. Raises UserError if the line
    is not a drawing or has no strokes.
    """
    try:
        strokes = [np.array(stroke[:2], float).T for stroke in json.loads(line)["drawing"]]
        whole = all(s.shape[1:] == (2,) and (np.abs(s) < FURTHEST).all() for s in strokes)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as reason:
        raise UserError(f"{origin}: not a drawing ({type(reason).__name__}: {reason})") from None
    strokes = [stroke for stroke in strokes if len(stroke)]
    if not whole or not strokes:
        raise UserError(f"{origin}: a drawing without strokes, or with broken ones")
    lines = [{"points": (s / 255).tolist(), "width": PEN} for s in strokes]
    return Image.fromarray(render(lines, size)[0].numpy()).convert("RGB")


def bitmaps(path: Path, origin: str, limit: int | None) -> Iterator[Item]:
    """The first `limit` rows of `<class>.npy` as sketches: uint8 (N, 784), white on black.

    The file stays on disk. Raises UserError if it holds anything else.
    """
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as reason:  # numpy raises whatever its reading of a header runs into
        raise UserError(f"{origin}: not an array that can be read ({reason})") from None
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != SIDE * SIDE:
        raise UserError(
            f"{origin}: expected bitmaps, uint8 (N, {SIDE * SIDE}), found {rows.dtype} {rows.shape}"
        )
    for number, row in enumerate(rows[:limit]):
        yield Item(
            f"{origin}: row {number}",
            "sketch",
            label_of(path),
            f"{number:06}",
            lambda size, row=row: Image.fromarray(255 - row.reshape(SIDE, SIDE)).convert("RGB"),
        )
