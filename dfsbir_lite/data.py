"""Labelled image sets, held in memory as bytes: from ToyBox, or from the user's own folders."""

import hashlib
import io
import os
import re
import sys
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from dfsbir_lite import toybox
from dfsbir_lite.runtime import Profile, UserError, progress

# what systems leave in folders, how it begins: nobody misses it
LITTER = (".", "__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini")
NOTE, BROKEN = "note", "broken metadata"  # what `open_image` says in the `info` of an image


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
        if classes == self.classes:
            return self
        if missing := lone(classes, self.classes)[0]:
            raise UserError(f"no class {missing[0]!r}: there are {', '.join(self.classes)}")
        places = {key: place for place, key in enumerate(by_key(classes))}
        renamed = torch.tensor([places.get(class_key(name), -1) for name in self.classes])
        labels = renamed[self.labels]
        keep = labels >= 0
        return replace(self, images=self.images[keep], labels=labels[keep], classes=tuple(classes))


def class_key(name: str) -> str:
    """Return what all spellings of a class name share.

    Unicode forms, case, blanks, hyphens, underscores and what is invisible do not count.
    """
    seen = "".join(c for c in name if unicodedata.category(c) != "Cf")
    folded = unicodedata.normalize("NFKC", seen).casefold()
    plain = unicodedata.normalize("NFKC", folded)  # which folding may have undone
    return re.sub(r"[\s_\u2010-\u2015-]+", " ", plain).strip()


def by_key(names: Iterable[str]) -> dict[str, str]:
    """Return the `names` by their `class_key`."""
    return {class_key(name): name for name in names}


def lone(ones: Iterable[str], others: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the names that are only among `ones`, and those only among `others`, by their keys."""
    left, right = by_key(ones), by_key(others)
    return [left[k] for k in left if k not in right], [right[k] for k in right if k not in left]


def spelt(name: str) -> str:
    """Return `name` for a message; with its codes where it may look like another."""
    return name if name.isascii() and name.isprintable() else f"{name} ({name!a})"


def file_name(text: str) -> str:
    """Return `text` as the name of a file; what is too long or not allowed becomes a hash."""
    plain = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", text).encode()[:100].decode(errors="ignore")
    return text if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


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
    options = {"classes": classes, "per_class": per_class, "size": profile.size}
    images, labels = toybox.render(modality, split, **options)
    return ImageSet(torch.from_numpy(images), torch.from_numpy(labels), tuple(classes), modality)


def our_sketch(size: int = 32) -> ImageSet:
    """Return *our mug*, the test sketch that all notebooks come back to, as a set of one image.

    At the profile's size it is a row of `toybox_set("sketch", "test", ...)`.
    """
    picture = toybox_picture(1, "sketch", "test", ("mug",), 2, size)
    label = torch.tensor([toybox.SEEN.index("mug")])
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

    Both have the names of the photos' classes. Raises UserError if a folder is missing or empty, or
    the classes differ by more than their spelling.
    """
    roots = Path(photos) / split, Path(sketches) / split
    only = lone(*map(_class_names, roots))
    sides = [f"{spelt(name)} (only photos)" for name in only[0]]
    if sides := sides + [f"{spelt(name)} (only sketches)" for name in only[1]]:
        raise UserError(f"the classes of photos and sketches differ: {', '.join(sides)}")
    photo_set = folder_set(roots[0], size, "photo")
    return photo_set, folder_set(roots[1], size, "sketch").only(photo_set.classes)


def data_root(bench: str, needed: str) -> Path:
    """Return the folder of real data. Raises UserError if nothing is called `needed` there."""
    root = Path(os.environ.get("DFSBIR_DATA_ROOT") or os.devnull)
    if not (root / needed).is_dir():
        raise UserError(f"bench {bench}: DFSBIR_DATA_ROOT names no folder with {needed}")
    return root


def folder_set(root: str | Path, size: int, modality: str) -> ImageSet:
    """Return all images under `root/<class>/`, centre-cropped and resized to `size` pixels.

    Transparency becomes white paper. See `readable` for what is no image; raises UserError, naming
    the folder, if it is missing or a class has no images.
    """
    classes, files = folder_files(root)
    images, labels = np.empty((len(files), 3, size, size), np.uint8), []
    for _, label, image in readable(files, f"reading {modality} images"):
        images[len(labels)] = fit(image, size)
        labels.append(label)
    kept = torch.from_numpy(images[: len(labels)])
    return ImageSet(kept, torch.tensor(labels), classes, modality)


def save_folders(images: ImageSet, root: str | Path) -> None:
    """Write images as `root/<class>/<number>.png`, as `folder_set` reads them."""
    folders = [Path(root) / file_name(name) for name in images.classes]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for n, (image, label) in enumerate(zip(images.images, images.labels, strict=True)):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        picture.save(folders[label] / f"{n:05}.png")


def folder_files(root: str | Path) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """Return the sorted class names and all files under `root/<class>/`, each with its label.

    Raises UserError if there are fewer than two classes, or nothing of one.
    """
    classes, files = _class_names(Path(root)), []
    stray = [str(path) for path in _shown(Path(root)) if not path.is_dir()]
    _warn("files in no class folder", stray)
    for label, name in enumerate(classes):
        if not (found := _shown(Path(root) / name)):
            raise UserError(f"{Path(root) / name}: holds no images")
        files += [(path, label) for path in found]
    return classes, files


def readable(files: list[tuple[Path, int]], desc: str) -> Iterator[tuple[Path, int, Image.Image]]:
    """Yield the path, label and image, see `open_image`, of those of `files` that are images.

    At the end, name the others on stderr. Raises UserError if nothing of a class is left.
    """
    left_out, noted, full = [], [], set()
    for path, label in progress(files, desc=desc, unit="image"):
        try:
            image = open_image(path)
        except UserError as reason:
            left_out.append(str(reason))
            continue
        noted += [str(path)] if image.info[NOTE] else []
        full.add(path.parent)
        yield path, label, image
    _warn("files left out", left_out)
    _warn(f"images with {BROKEN}, read all the same", noted)
    if empty := {path.parent for path, _ in files} - full:
        raise UserError(f"{min(empty)}: holds no images that can be read")


def _warn(what: str, files: list[str]) -> None:
    """Say on stderr, in a line, what is to be said of `files`, if there are any."""
    if files:
        more = "; ..." if len(files) > 3 else ""
        print(f"warning: {what}: {len(files)} ({'; '.join(files[:3])}{more})", file=sys.stderr)


def _class_names(root: Path) -> tuple[str, ...]:
    if not root.is_dir():
        raise UserError(f"{root}: no such folder (expected {root}/<class>/)")
    names = [path.name for path in _shown(root) if path.is_dir()]
    if len(names) < 2:
        raise UserError(f"{root}: needs at least two class folders, found {len(names)}")
    last = by_key(names)
    if twins := [name for name in names if last[class_key(name)] != name]:
        pair = f"{spelt(twins[0])} and {spelt(last[class_key(twins[0])])}"
        raise UserError(f"{root}: {pair} are one name: join these folders, or rename one")
    return tuple(names)


def _shown(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted, without litter."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(LITTER))


def files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and in folders within, sorted, without litter."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    parts = {path: path.relative_to(folder).parts for path in files}
    return sorted(p for p in files if not any(part.startswith(LITTER) for part in parts[p]))


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


def open_image(path: str | Path, name: str = "", least: int = 0, mode="RGB") -> Image.Image:
    """Return an image file, whatever its name, upright, in RGB on white paper.

    Args:
        name: for errors, by default the path.
        least: if given, a large JPEG may come smaller, but with at least that many pixels a side:
            several times as fast.
        mode: "RGBA" keeps what is transparent.

    Pixels count: where only metadata are broken, `info` of the image has a `NOTE`. Raises UserError
    with the reason and the name.
    """
    if not Path(path).exists():
        raise UserError(f"{name or path}: no such file")
    try:
        with Image.open(path) as file:
            if least:
                file.draft("RGB", (least, least))
            file.load()
            return _plain(_upright(file), mode)
    except Exception as reason:  # Pillow's readers raise whatever damage leads to
        if not isinstance(reason, Image.DecompressionBombError):
            with suppress(Exception):
                return _plain(_pixels_alone(path), mode)
        unknown = isinstance(reason, UnidentifiedImageError)
        why = "not an image that can be read" if unknown else f"cannot be read ({reason})"
        raise UserError(f"{name or path}: {why}") from None


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its metadata say, and return it; with a note where they are broken."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:
        image.info[NOTE] = BROKEN
    return image


def _pixels_alone(path: str | Path) -> Image.Image:
    """Return an image, with a note, of which Pillow does not like the metadata; else raise."""
    head = np.fromfile(path, np.uint8, 4).tobytes()
    if head.startswith(b"\x89PNG"):
        image = Image.open(io.BytesIO(_png_pixels(Path(path).read_bytes())))
        image.load()
        image = _upright(image)
    elif head.startswith((b"\xff\xd8", b"II*\0", b"MM\0*", b"RIFF")):
        data = Path(path).read_bytes()
        if head[0] == 0xFF and b"\xff\xd9" not in data[data.rindex(b"\xff\xda") :]:
            raise ValueError("cut off, which OpenCV would not mind")
        # it turns a JPEG by itself; of these only a WebP is likely to have transparency
        how = cv2.IMREAD_UNCHANGED if head == b"RIFF" else cv2.IMREAD_COLOR
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), how)
        image = Image.fromarray(pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])
    image.info[NOTE] = BROKEN
    return image


def _png_pixels(data: bytes) -> bytes:
    """Return a PNG without what does not count: chunks of other kinds, or with a wrong sum."""
    kept = [data[:8]]
    for found in re.finditer(b"IHDR|PLTE|tRNS|eXIf|IDAT|IEND", data):
        begin = found.start()
        end = begin + 4 + int.from_bytes(data[begin - 4 : begin])
        if zlib.crc32(data[begin:end]) == int.from_bytes(data[end : end + 4]):
            kept.append(data[begin - 4 : end + 4])
    return b"".join(kept)


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """Return an image in RGBA, or in RGB and white where it was transparent, with its note."""
    note = {NOTE: image.info.get(NOTE)}
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode[0] == "I":  # 16 bits of grey, which Pillow would cut off
        grey = (np.asarray(image) / 257).round().clip(0, 255)
        image = Image.fromarray(grey.astype(np.uint8))
    if mode == "RGB" and image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    image = image.convert(mode)
    image.info = note
    return image
