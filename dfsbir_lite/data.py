"""Labelled image sets, held in memory as bytes: from ToyBox, or from the user's own folders."""

import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from dfsbir_lite import toybox
from dfsbir_lite.runtime import Profile, UserError, progress

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class ImageSet:
    """Labelled images of one modality."""

    images: Tensor  # uint8 (N, 3, H, W)
    labels: Tensor  # int64 (N,), indices into `classes`
    classes: tuple[str, ...]
    modality: str  # "photo", "sketch" or, for both together, "both"

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, classes: tuple[str, ...]) -> "ImageSet":
        """Return the images of `classes`, labelled by their place there; UserError for others."""
        if missing := set(classes) - set(self.classes):
            raise UserError(f"no class {sorted(missing)[0]!r}: there are {', '.join(self.classes)}")
        renamed = torch.tensor([classes.index(c) if c in classes else -1 for c in self.classes])
        labels = renamed[self.labels]
        keep = labels >= 0
        return replace(self, images=self.images[keep], labels=labels[keep], classes=tuple(classes))


def class_key(name: str) -> str:
    """Return what two spellings of a class name share: no case, hyphens and underscores."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_-]+", " ", plain).strip()


def together(a: ImageSet, b: ImageSet, by_modality: bool = False) -> ImageSet:
    """Return both sets as one, labelled by class or, if `by_modality`, as "photo" and "sketch"."""
    labels, classes = torch.cat([a.labels, b.labels]), a.classes
    if by_modality:
        labels, classes = torch.tensor([0] * len(a) + [1] * len(b)), ("photo", "sketch")
    return ImageSet(torch.cat([a.images, b.images]), labels, classes, "both")


def toybox_set(
    modality: str,
    split: str,
    profile: Profile,
    classes: tuple[str, ...] = toybox.SEEN,
    per_class: int | None = None,
) -> ImageSet:
    """Return a part of ToyBox at the profile's size.

    Args:
        split: "train", "val" (for every choice one makes) or "test" (for every figure one shows).
        per_class: images a class; by default what the profile says for training or test.
    """
    if per_class is None:
        per_class = profile.train_per_class if split == "train" else profile.test_per_class
    # a bar for what takes seconds: decided by size, not by time, so that notebooks stay the same
    large = len(classes) * per_class * (profile.size / 32) ** 2 >= 2000
    options = {"classes": classes, "per_class": per_class, "size": profile.size}
    if large:
        bar = {"desc": f"drawing {modality} images"}
        options["watch"] = lambda batches, total: progress(batches, total=total, **bar)
    images, labels = toybox.render(modality, split, **options)
    return ImageSet(torch.from_numpy(images), torch.from_numpy(labels), tuple(classes), modality)


# The sketch that the notebooks follow from teacher to retrieval: a class and a number in it.
OUR_SKETCH = ("mug", 1)


def our_sketch(size: int = 32) -> ImageSet:
    """Return *our mug*, the test sketch that all notebooks come back to, as a set of one image.

    At the profile's size it is a row of `toybox_set("sketch", "test", ...)`.
    """
    name, index = OUR_SKETCH
    picture = toybox_picture(index, "sketch", "test", (name,), index + 1, size)
    label = torch.tensor([toybox.SEEN.index(name)])
    return ImageSet(picture[None], label, toybox.SEEN, "sketch")


def toybox_picture(
    row: int, modality: str, split: str, classes: tuple[str, ...], per_class: int, size: int = 96
) -> Tensor:
    """Return image `row` of `toybox_set`, drawn larger for people: uint8 (3, size, size)."""
    name, index = classes[row // per_class], row % per_class
    picture = toybox.draw(modality, name, index, split=split, size=size)
    return torch.from_numpy(picture.transpose(2, 0, 1).copy())


def folder_pair(
    photos: str | Path, sketches: str | Path, split: str, size: int
) -> tuple[ImageSet, ImageSet]:
    """Return the `split` parts of two folders with the same classes, `<folder>/<split>/<class>/`.

    Raises UserError if a folder is missing or empty, an image cannot be read, or the classes of
    photos and sketches differ.
    """
    names = [_class_names(Path(root) / split) for root in (photos, sketches)]
    if only := sorted(set(names[0]) ^ set(names[1])):
        sides = (f"{c} (only {'photos' if c in names[0] else 'sketches'})" for c in only)
        raise UserError(f"the classes of photos and sketches differ: {', '.join(sides)}")
    photo_set = folder_set(Path(photos) / split, size, "photo")
    return photo_set, folder_set(Path(sketches) / split, size, "sketch")


def folder_set(root: str | Path, size: int, modality: str) -> ImageSet:
    """Return all images under `root/<class>/`, centre-cropped and resized to `size` pixels.

    Transparency becomes white paper. Raises UserError, naming the file or folder.
    """
    classes, files = folder_files(root)
    images = np.empty((len(files), 3, size, size), np.uint8)
    for n, (path, _) in enumerate(progress(files, desc=f"reading {modality} images", unit="image")):
        images[n] = read_image(path, size)
    labels = [label for _, label in files]
    return ImageSet(torch.from_numpy(images), torch.tensor(labels), classes, modality)


def save_folders(images: ImageSet, root: str | Path) -> None:
    """Write images as `root/<class>/<number>.png`, as `folder_set` reads them."""
    for name in images.classes:
        (Path(root) / name).mkdir(parents=True, exist_ok=True)
    for n, (image, label) in enumerate(zip(images.images, images.labels, strict=True)):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        picture.save(Path(root) / images.classes[label] / f"{n:05}.png")


def folder_files(root: str | Path) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """Return the sorted class names and all image files under `root/<class>/`, each with its label.

    Raises UserError if there are fewer than two classes, or no images of one.
    """
    classes = _class_names(Path(root))
    folders = (Path(root) / name for name in classes)
    return classes, [(path, i) for i, folder in enumerate(folders) for path in _image_files(folder)]


def read_image(path: str | Path, size: int) -> np.ndarray:
    """Return an image file as uint8 (3, size, size). Raises UserError, naming file and reason."""
    return fit(open_image(path), size)


def fit(image: Image.Image, size: int) -> np.ndarray:
    """Return a picture in RGB centre-cropped and resized: uint8 (3, size, size)."""
    side, (width, height) = min(image.size), image.size
    box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
    # large images are shrunk coarsely first, to three times the size: no eye sees the difference
    image = image.resize((size, size), Image.Resampling.LANCZOS, box, reducing_gap=3.0)
    return np.asarray(image).transpose(2, 0, 1)


def open_image(path: str | Path, name: str = "", least: int = 0) -> Image.Image:
    """Return an image file upright, in RGB on white paper.

    Args:
        name: for errors, by default the path.
        least: if given, a large JPEG may come smaller, but with at least that many pixels a side:
            several times as fast.

    Raises UserError with the reason and the name.
    """
    try:
        with Image.open(path) as file:
            if least:
                file.draft("RGB", (least, least))
            image = _eight_bits(ImageOps.exif_transpose(file))
            if not image.has_transparency_data:
                return image.convert("RGB")
            image = image.convert("RGBA")
    except UnidentifiedImageError:
        raise UserError(f"{name or path}: not an image that can be read") from None
    except Exception as reason:  # Pillow's readers raise whatever damage leads to
        raise UserError(f"{name or path}: cannot be read ({reason})") from None
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return grey images of 16 bits scaled to 8, which Pillow would cut off; others as they are."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode[0] != "I":
        return image
    return Image.fromarray((np.asarray(image) / 257).round().clip(0, 255).astype(np.uint8))


def _class_names(root: Path) -> tuple[str, ...]:
    """Return the names of the folders in `root`, sorted."""
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder (expected <folder>/train/<class>/ and <folder>/test/<class>/)"
        )
    names = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(names) < 2:
        raise UserError(f"{root}: needs at least two class folders, found {len(names)}")
    return tuple(names)


def _image_files(folder: Path) -> list[Path]:
    """Return the image files of one class folder, sorted; hidden files are passed over."""
    shown = (path for path in folder.iterdir() if not path.name.startswith("."))
    if not (files := sorted(p for p in shown if p.suffix.lower() in IMAGE_SUFFIXES)):
        raise UserError(f"{folder}: holds no images ({', '.join(IMAGE_SUFFIXES)})")
    return files
