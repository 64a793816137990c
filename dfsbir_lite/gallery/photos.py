"""What goes into a gallery: photos in memory, in folders of classes, or in any folder."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dfsbir_lite import data
from dfsbir_lite.runtime import UserError

THUMBNAIL = 96  # px, at least, of photos that come from files


@dataclass(frozen=True)
class Photos:
    """The content of a gallery. Pictures are read when their turn comes."""

    classes: tuple[str, ...]  # may be none
    labels: list[int]  # a place in `classes` for each photo
    files: list[str]  # a name for each, for people
    size: int  # side of the pictures that sketches are compared with, in pixels
    # place → the picture that the encoder sees, uint8, and a thumbnail; UserError for no picture
    read: Callable[[int], tuple[Tensor, Tensor]]
    key: str = ""  # changes with the files

    def __len__(self) -> int:
        return len(self.labels)


def photos_of_folder(root: str | Path, size: int) -> Photos:
    """Return the image files under `root/<class>/`; UserErrors of `data` name bad folders."""
    classes, files = data.folder_files(root)
    return _photos_of_files(Path(root), classes, files, size, size)


def photos_below(root: str | Path, size: int, sketch_size: int) -> Photos:
    """Return all files below `root`, however they lie there, for an encoder of `size` px.

    Raises UserError if there are none. Litter is passed over.
    """
    if not (files := data.files_below(Path(root))):
        raise UserError(f"{root}: no folder with files")
    return _photos_of_files(Path(root), (), [(path, 0) for path in files], size, sketch_size)


def _photos_of_files(root: Path, classes, files, size: int, sketch_size: int) -> Photos:
    names = [path.relative_to(root).as_posix() for path, _ in files]
    state = [(path.stat().st_size, path.stat().st_mtime_ns) for path, _ in files]
    key = hashlib.sha256(json.dumps([names, state]).encode()).hexdigest()
    sides = size, max(sketch_size, THUMBNAIL)

    def read(place: int) -> tuple[Tensor, Tensor]:
        image = data.open_image(files[place][0], least=3 * max(sides))
        return tuple(torch.from_numpy(data.fit(image, side).copy()) for side in sides)

    return Photos(classes, [label for _, label in files], names, sketch_size, read, key)


def photos_of_set(photos: data.ImageSet, pictures: Callable[[int], Tensor] | None = None) -> Photos:
    """Return photos in memory; `pictures` gives larger ones for people, uint8 (3, T, T)."""
    labels, pictures = photos.labels.tolist(), pictures or photos.images.__getitem__
    names = [f"{photos.classes[label]}/{place}" for place, label in enumerate(labels)]

    def read(place: int) -> tuple[Tensor, Tensor]:
        return photos.images[place], pictures(place)

    return Photos(photos.classes, labels, names, photos.images.shape[-1], read)
