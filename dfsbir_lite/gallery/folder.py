"""A student and the gallery that it searches as one folder, to keep, to send and to open again.

    gallery.json             what this is, and the SHA-256 of every other file
    student.safetensors      the encoders; student.json is their model card
    embeddings.safetensors   (N, E) float32, unit length
    photos.json              class names; label and file name of each photo
    sheets/0000.jpg ...      thumbnails, 64 on a sheet, row by row

Thumbnails lie on sheets because 50,000 files of 4 kB are slow to copy and to check, and as JPEG
because anything can show it, and because its blocks keep one photo from bleeding into the next.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torchvision.utils import make_grid

from dfsbir_lite import data, retrieval
from dfsbir_lite.files import read_card, reading, sha256_of, write_atomically, write_json
from dfsbir_lite.models import Encoders
from dfsbir_lite.runtime import UserError, progress
from dfsbir_lite.students import load_encoders, save_encoders

FORMAT, VERSION = "dfsbir_lite gallery", 1
INDEX = "gallery.json"
STUDENT, EMBEDDINGS, PHOTOS = "student.safetensors", "embeddings.safetensors", "photos.json"
COLUMNS = 8  # of a sheet, which has as many rows
ON_SHEET = COLUMNS**2
THUMBNAIL = 96  # px, at least, of photos that come from files
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]
JPEG += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


@dataclass(frozen=True)
class Photos:
    """The content of a gallery. Pictures are read when their turn comes."""

    classes: tuple[str, ...]
    labels: list[int]  # a place in `classes` for each photo
    files: list[str]  # a name for each, for people
    size: int  # side of the pictures that the encoder sees, in pixels
    read: Callable[[int], tuple[Tensor, Tensor]]  # place → that picture, uint8, and a thumbnail

    def __len__(self) -> int:
        return len(self.labels)


def photos_of_folder(root: str | Path, size: int) -> Photos:
    """Return the image files under `root/<class>/`; `data.readable` names others."""
    classes, files = data.folder_files(root)
    files = [(path, label) for path, label, _ in data.readable(files, "looking through photos")]
    names = [path.relative_to(root).as_posix() for path, _ in files]

    def read(place: int) -> tuple[Tensor, Tensor]:
        image = data.open_image(files[place][0])
        sides = size, max(size, THUMBNAIL)
        return tuple(torch.from_numpy(data.fit(image, side).copy()) for side in sides)

    return Photos(classes, [label for _, label in files], names, size, read)


def photos_of_set(photos: data.ImageSet, pictures: Callable[[int], Tensor] | None = None) -> Photos:
    """Return photos in memory; `pictures` gives larger ones for people, uint8 (3, T, T)."""
    labels, pictures = photos.labels.tolist(), pictures or photos.images.__getitem__
    names = [f"{photos.classes[label]}/{place}" for place, label in enumerate(labels)]

    def read(place: int) -> tuple[Tensor, Tensor]:
        return photos.images[place], pictures(place)

    return Photos(photos.classes, labels, names, photos.images.shape[-1], read)


def export_gallery(
    folder: str | Path, encoders: Encoders, card: dict, photos: Photos, device="cpu"
) -> None:
    """Write the folder, or, if anything fails, nothing; replace an older export.

    `card` is the encoders' model card. Raises UserError if `folder` holds anything else than an
    export, or for embeddings that are not of unit length.
    """
    folder = Path(folder).resolve()
    _refuse_to_replace(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        draft, old = Path(scratch, "new"), Path(scratch + ".old")
        save_encoders(draft / STUDENT, encoders, card)
        saved = load_encoders(draft / STUDENT)  # with the weights as rounded in the file
        _write_photos(draft, saved.to(device), photos, device)
        if folder.exists():
            folder.rename(old)
        draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write_photos(draft: Path, encoders: Encoders, photos: Photos, device) -> None:
    """Write embeddings, table and thumbnails of all photos, and the index of all files."""
    rows = []
    with progress(desc="embedding photos", total=len(photos), unit="photo") as bar:
        for n, sheet in enumerate(_sheets(len(photos))):
            places = range(n * ON_SHEET, min((n + 1) * ON_SHEET, len(photos)))
            images, thumbnails = map(torch.stack, zip(*map(photos.read, places), strict=True))
            rows.append(retrieval.embed(encoders.embed, images, "photo", device=device))
            write_atomically(draft / sheet, _jpeg_sheet(thumbnails))
            bar.update(len(places))
    if not _are_unit(rows := torch.cat(rows)):
        raise UserError("the student's embeddings are not all of unit length: is it trained?")
    write_atomically(draft / EMBEDDINGS, save({"embeddings": rows}))
    write_json(draft / PHOTOS, {k: getattr(photos, k) for k in ("classes", "labels", "files")})
    index = {"format": FORMAT, "version": VERSION, "photos": len(photos), "size": photos.size}
    parts = {name: sha256_of(draft / name) for name in sorted(_files(draft))}
    write_json(draft / INDEX, {**index, "thumbnail": thumbnails.shape[-1], "parts": parts})


def _jpeg_sheet(thumbnails: Tensor) -> bytes:
    """Return at most 64 thumbnails (n, 3, T, T) as one JPEG, row by row; the rest stays black."""
    cells = torch.zeros(ON_SHEET, *thumbnails.shape[1:], dtype=torch.uint8)
    cells[: len(thumbnails)] = thumbnails
    bgr = make_grid(cells, COLUMNS, padding=0).permute(1, 2, 0).flip(2)
    return cv2.imencode(".jpg", bgr.contiguous().numpy(), JPEG)[1].tobytes()


def _sheets(count: int) -> list[str]:
    """Return the names of the sheets that `count` thumbnails fill."""
    return [f"sheets/{n:04}.jpg" for n in range(-(-count // ON_SHEET))]


def _files(folder: Path) -> set[str]:
    """Return all files in `folder`, by their path from there."""
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


def _refuse_to_replace(folder: Path) -> None:
    """Raise UserError if `folder` is a file or holds anything that is not of an export."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / INDEX).is_file():
        raise UserError(f"{folder}: something else than an export; choose another folder")
    if others := sorted(_files(folder) - {INDEX, *_read_index(folder)["parts"]}):
        raise UserError(f"{folder}: holds {others[0]}, which is not of the export; move it away")


class Pictures:
    """The photos of an opened gallery at one size, of shape (N, 3, size, size).

    `pictures[place]` is uint8 (3, size, size), made from the thumbnail, which is read then.
    """

    def __init__(self, folder: Path, count: int, thumbnail: int, size: int):
        self.sheets = [folder / name for name in _sheets(count)]
        self.thumbnail, self.shape = thumbnail, (count, 3, size, size)

    def __getitem__(self, place: int) -> Tensor:
        sheet, cell = divmod(range(self.shape[0])[place], ON_SHEET)
        top, left = (self.thumbnail * n for n in divmod(cell, COLUMNS))
        pixels = cv2.imdecode(np.fromfile(self.sheets[sheet], np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise UserError(f"{self.sheets[sheet]}: not an image that can be read")
        pixels = pixels[top : top + self.thumbnail, left : left + self.thumbnail, ::-1]
        pixels = cv2.resize(pixels, self.shape[2:], interpolation=cv2.INTER_AREA)
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


@dataclass(frozen=True)
class Gallery:
    """An exported student and its gallery, opened: all that drawing and searching needs."""

    encoders: Encoders
    card: dict
    embeddings: Tensor  # of the photos, (N, E), unit length
    labels: Tensor  # int64 (N,), places in `classes`
    classes: tuple[str, ...]
    files: list[str]  # a name for each photo
    images: Pictures  # about as the student saw them
    thumbnails: Pictures  # for people to look at

    def __len__(self) -> int:
        return len(self.labels)


def open_gallery(folder: str | Path, device="cpu") -> Gallery:
    """Open what `export_gallery` wrote; nothing is unpickled.

    Raises UserError, naming the file and the reason, if one is missing, damaged or another's.
    """
    folder = Path(folder)
    index = _read_index(folder)
    for name, digest in index["parts"].items():
        with reading(folder / name, f"the file that {INDEX} describes"):
            if sha256_of(folder / name) != digest:
                raise ValueError("damaged, or of another export")
    count, side = index["photos"], index["thumbnail"]
    encoders, card = load_encoders(folder / STUDENT).to(device), read_card(folder / STUDENT)
    rows = _read_embeddings(folder / EMBEDDINGS, (count, encoders.proxies.shape[1]))
    classes, labels, files = _read_table(folder / PHOTOS, count)
    pictures = (Pictures(folder, count, side, size) for size in (index["size"], side))
    return Gallery(encoders, card, rows, labels, classes, files, *pictures)


def _read_index(folder: Path) -> dict:
    with reading(folder / INDEX, f"the index of an export of version {VERSION}"):
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        count, parts = index["photos"], index["parts"].keys()
        if (index["format"], index["version"]) != (FORMAT, VERSION):
            raise ValueError(f"it is of {index['format']} {index['version']}")
        if not 0 < count <= ON_SHEET * len(parts) or not 0 < index["size"] <= index["thumbnail"]:
            raise ValueError("numbers that cannot be")
        if parts != {STUDENT, "student.json", EMBEDDINGS, PHOTOS, *_sheets(count)}:
            raise ValueError(f"it does not list the files of {count} photos")
    return index


def _read_table(path: Path, count: int) -> tuple[tuple[str, ...], Tensor, list[str]]:
    """Return the classes, and the labels and file names of `count` photos."""
    with reading(path, f"the classes, labels and file names of {count} photos"):
        table = json.loads(path.read_text(encoding="utf-8"))
        classes, labels, files = (list(table[k]) for k in ("classes", "labels", "files"))
        if not len(labels) == len(files) == count or not {*labels} <= {*range(len(classes))}:
            raise ValueError(f"{len(labels)} labels, {len(files)} names, {len(classes)} classes")
    return tuple(classes), torch.tensor(labels), files


def _read_embeddings(path: Path, shape: tuple[int, int]) -> Tensor:
    with reading(path, f"{shape[0]} rows of {shape[1]} and of unit length"):
        (rows,) = load_file(path).values()
        if rows.shape != shape or not _are_unit(rows):
            raise ValueError(f"there are {tuple(rows.shape)}")
    return rows


def _are_unit(rows: Tensor) -> bool:
    return torch.allclose(rows.norm(dim=1), torch.ones(len(rows)), atol=1e-3)
