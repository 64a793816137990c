"""Draw the README's picture from the shipped files: `python data_scripts/make_figures.py`."""

from pathlib import Path

import torch

from dfsbir_lite import plots, retrieval, toybox, zoo
from dfsbir_lite.data import toybox_picture, toybox_set
from dfsbir_lite.runtime import profile

PATH = Path(__file__).resolve().parent.parent / "notebooks/images/sketch_finds_photos.png"
SHOWN = ("mug", "boat", "teacup", "house", "fork", "lighthouse")
PER_CLASS, MODALITIES = 50, ("photo", "sketch")


def sketch_finds_photos() -> bytes:
    """Draw six sketches, two of unseen classes, and the eight photos closest to each, at 96 px.

    Each sketch is its class's typical one, whose ranking has the median average precision.
    """
    student, which = zoo.load_or_train("student"), {"classes": toybox.CLASSES, "split": "test"}
    which["per_class"] = PER_CLASS
    photos, sketches = (toybox_set(m, profile=profile("laptop"), **which) for m in MODALITIES)
    gallery = retrieval.embed(student.embed, photos.images, "photo")
    queries = retrieval.embed(student.embed, sketches.images, "sketch")
    _, ranked = retrieval.search(queries, gallery, k=len(gallery))
    relevant = photos.labels[ranked] == sketches.labels[:, None]
    precision = retrieval.average_precision(relevant).view(-1, PER_CLASS)
    places = map(toybox.CLASSES.index, SHOWN)
    rows = [n * PER_CLASS + int(precision[n].median(0).indices) for n in places]
    best = ranked[rows, :8]
    figure = plots.retrievals(
        torch.stack([toybox_picture(row, "sketch", **which) for row in rows]),
        torch.stack([toybox_picture(row, "photo", **which) for row in best.flatten().tolist()]),
        torch.arange(best.numel()).view_as(best),
        relevant[rows, :8],
        [f"{name}\n(unseen)" if name in toybox.UNSEEN else name for name in SHOWN],
    )
    return plots.png(figure, dpi=80)


if __name__ == "__main__":
    PATH.write_bytes(sketch_finds_photos())
    print(f"wrote {PATH.name}")
