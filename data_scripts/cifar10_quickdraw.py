"""Small real photos with real drawings, in minutes: CIFAR-10, and Quick, Draw! of its classes.

    python data_scripts/cifar10_quickdraw.py download --out downloads/cifar10
    python data_scripts/cifar10_quickdraw.py import downloads/cifar10 --out data/cifar10 --size 32

Nine of CIFAR-10's ten classes are drawn in Quick, Draw!; nobody was asked for a deer. CIFAR-10's
own training and test parts are kept.
"""

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets import CIFAR10

from dfsbir_lite.runtime import UserError
from importers.cli import main
from importers.dataset import DataSet, Item
from importers.download import Download
from importers.strokes import drawings
from quickdraw import PER_CLASS, QUICKDRAW, drawings_of

# CIFAR-10's classes in its own order, by the names they have in Quick, Draw!
CLASSES = (
    "airplane", "car", "bird", "cat", None, "dog", "frog", "horse", "cruise ship", "truck"
)  # fmt: skip
SHARED = tuple(name for name in CLASSES if name)
# What numpy needs to come out of a pickle; the module was called numpy.core until numpy 2.
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class ArraysOnly(pickle.Unpickler):
    """Unpickles numbers, texts, lists, dicts and numpy arrays, and refuses everything else.

    A pickle is a program; this one can call nothing but what makes an array.
    """

    def find_class(self, module: str, name: str):
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}")
        return super().find_class(module, name)


def read_batch(path: Path, origin: str) -> tuple[np.ndarray, list[int]]:
    """The images, uint8 (N, 3072), and labels of one batch. Raises UserError if it has others."""
    try:
        with path.open("rb") as file:
            batch = ArraysOnly(file, encoding="latin1").load()
        images, labels = batch["data"], batch["labels"]
        good = images.dtype == np.uint8 and images.shape == (len(labels), 3072)
        good = good and all(label in range(10) for label in labels)
    except Exception as reason:  # a broken pickle can raise anything
        raise UserError(f"{origin}: not a batch of CIFAR-10 ({reason})") from None
    if not good:
        raise UserError(f"{origin}: not a batch of CIFAR-10 (images or labels of another kind)")
    return images, labels


def photos(path: Path, origin: str, limit: int | None) -> Iterator[Item]:
    """The photos of one batch, those of the deer left out."""
    split = "test" if path.name.startswith("test") else "train"
    images, labels = read_batch(path, origin)
    for number, (image, label) in enumerate(zip(images, labels)):
        if CLASSES[label]:
            yield Item(
                f"{origin}: image {number}",
                "photo",
                CLASSES[label],
                f"{path.name}_{number:05}",
                lambda size, image=image: Image.fromarray(
                    np.ascontiguousarray(image.reshape(3, 32, 32).transpose(1, 2, 0))
                ),
                split,
            )


def downloads(classes, per_class) -> list[Download]:
    archive = Download(CIFAR10.url, CIFAR10.filename, f"md5:{CIFAR10.tgz_md5}")
    return [archive, *(drawings_of(c, per_class or PER_CLASS) for c in classes or SHARED)]


CIFAR10_QUICKDRAW = DataSet(
    title="CIFAR-10 with Quick, Draw!",
    licence="drawings CC BY 4.0 (Google); photos: none is stated (Krizhevsky, Learning Multiple "
    "Layers of Features from Tiny Images, 2009)",
    home=f"https://www.cs.toronto.edu/~kriz/cifar.html and {QUICKDRAW.home}",
    readers=(("*.ndjson", drawings), ("data_batch_?", photos), ("test_batch", photos)),
    downloads=downloads,
    classes=SHARED,
    misspelt={"automobile": "car", "ship": "cruise ship"},
)

if __name__ == "__main__":
    sys.exit(main(CIFAR10_QUICKDRAW))
