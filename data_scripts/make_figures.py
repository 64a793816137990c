"""Draw the README's picture from the shipped files: `python data_scripts/make_figures.py`."""

from pathlib import Path

import torch

from dfsbir_lite import plots, retrieval, toybox, zoo
from dfsbir_lite.data import toybox_picture, toybox_set
from dfsbir_lite.runtime import profile

FOLDER = Path(__file__).resolve().parent.parent / "notebooks" / "images"
SHOWN = ("mug", "boat", "teacup", "house", "fork", "lighthouse")
PER_CLASS = 50


def sketch_finds_photos() -> bytes:
    """Six sketches, four of seen and two of unseen classes, and the eight photos closest to each.

    Each is its class's typical one: the sketch whose ranking has the median average precision.
    The student sees 32 px; ToyBox draws the same pictures at 96 px for the reader.
    """
    sizes = profile("laptop")
    student = zoo.load_or_train("student")
    photos, sketches = (
        toybox_set(m, "test", sizes, toybox.CLASSES, PER_CLASS) for m in ("photo", "sketch")
    )
    gallery = retrieval.embed(student.embed, photos.images, "photo")
    queries = retrieval.embed(student.embed, sketches.images, "sketch")
    _, ranked = retrieval.search(queries, gallery, k=len(gallery))
    relevant = photos.labels[ranked] == sketches.labels[:, None]
    precision = retrieval.average_precision(relevant).view(-1, PER_CLASS)
    rows = [
        i * PER_CLASS + int(precision[i].median(0).indices)
        for i in map(toybox.CLASSES.index, SHOWN)
    ]
    best = ranked[rows, :8]
    figure = plots.retrievals(
        torch.stack([large("sketch", row) for row in rows]),
        torch.stack([large("photo", int(row)) for row in best.flatten()]),
        torch.arange(best.numel()).view_as(best),
        relevant[rows, :8],
        [f"{name}\n(unseen)" if name in toybox.UNSEEN else name for name in SHOWN],
    )
    return plots.png(figure, dpi=80)


def large(modality: str, row: int) -> torch.Tensor:
    """Image number `row` of the test set, drawn at 96 px."""
    return toybox_picture(row, modality, "test", toybox.CLASSES, PER_CLASS)


if __name__ == "__main__":
    path = FOLDER / "sketch_finds_photos.png"
    path.write_bytes(sketch_finds_photos())
    print(f"wrote {path.name}")
