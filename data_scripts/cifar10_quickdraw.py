"""Small real photos with real drawings, in minutes: CIFAR-10, and Quick, Draw! of its classes."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL import Image
from torchvision.datasets import CIFAR10

from dfsbir_lite.runtime import UserError
from importers.cli import main
from importers.dataset import DataSet, Item
from importers.download import Download
from quickdraw import QUICKDRAW, drawings, drawings_of

DRAWN = ("airplane", "bird", "car", "cat", "cruise ship", "dog", "frog", "horse", "truck")


def photos(path: Path, origin: str, size: int, limit: int | None) -> Iterator[Item]:
    """Yield the photos of both parts, once for a folder; torchvision checks before it unpickles."""
    if path.name != "batches.meta":
        return
    for split in ("train", "test"):
        try:
            part = CIFAR10(path.parent.parent, train=split == "train")
        except RuntimeError:
            raise UserError(f"{origin}: its folder is not CIFAR-10 as published") from None
        for number, (pixels, label) in enumerate(zip(part.data, part.targets)):
            stem, load = f"{split}_{number:05}", partial(Image.fromarray, pixels)
            yield Item(f"{origin}: {stem}", "photo", part.classes[label], stem, load, split)


CIFAR10_QUICKDRAW = DataSet(
    title="CIFAR-10 with Quick, Draw!",
    licence="drawings CC BY 4.0 (Google); photos: none is stated (Krizhevsky, Learning Multiple "
    "Layers of Features from Tiny Images, 2009)",
    home=f"https://www.cs.toronto.edu/~kriz/cifar.html and {QUICKDRAW.home}",
    readers={"*.ndjson": drawings, "cifar-10-batches-py/*": photos},
    downloads=lambda classes, per_class: [
        Download(CIFAR10.url),
        *(drawings_of(name, per_class) for name in classes or DRAWN),
    ],
    misspelt={"automobile": "car", "ship": "cruise ship"},
)

if __name__ == "__main__":
    main(CIFAR10_QUICKDRAW)
