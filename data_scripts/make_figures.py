"""Draw the README's picture from the shipped files: `python data_scripts/make_figures.py`."""

from pathlib import Path

import torch

from dfsbir_lite import plots, retrieval, toybox, zoo
from dfsbir_lite.data import toybox_picture, toybox_set
from dfsbir_lite.runtime import profile

PATH = Path(__file__).resolve().parent.parent / "notebooks/images/sketch_finds_photos.png"
SHOWN = ("mug", "boat", "teacup", "house", "fork", "lighthouse")
PER_CLASS = 50


def sketch_finds_photos() -> bytes:
    """Draw six sketches, two of unseen classes, and the eight photos closest to each, at 96 px.

    Each sketch is its class's typical one, whose ranking has the median average precision.
    """
    embed, sizes = zoo.load_or_train("student").embed, profile("laptop")
    which = {"classes": toybox.CLASSES, "split": "test", "per_class": PER_CLASS}
    sets = [toybox_set(modality, profile=sizes, **which) for modality in ("sketch", "photo")]
    rows = [retrieval.embed(embed, each.images, each.modality) for each in sets]
    ranked = retrieval.search(*rows, k=len(rows[1]))[1]
    relevant = sets[1].labels[ranked] == sets[0].labels[:, None]
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
