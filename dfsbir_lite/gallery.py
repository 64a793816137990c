"""A gallery and what reads sketches for it as one folder, to keep, to send and to open again.

    gallery.json             what this is, and the SHA-256 of every other file
    student.safetensors      the encoders; student.json is their model card
    embeddings.safetensors   (N, E) float32, unit length
    photos.json              class names; label and file of each photo; which show nothing known
    sheets/0000.jpg ...      thumbnails, 64 on a sheet, row by row

Where two classifiers take the place of a student, sketch.safetensors, sketch.json and matching.json
take the place of its files.

Thumbnails lie on sheets because 50,000 files of 4 kB are slow to copy and to check, and as JPEG
because anything can show it, and because its blocks keep one photo from bleeding into the next.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional as F
from torchvision.utils import make_grid

from dfsbir_lite import data, files, retrieval
from dfsbir_lite.adopt.checkpoints import load
from dfsbir_lite.adopt.groups import shares
from dfsbir_lite.models import Encoders
from dfsbir_lite.pipeline import load_encoders, save_encoders
from dfsbir_lite.runtime import UserError, progress
from dfsbir_lite.strokes import TOYBOX, Rendering
from dfsbir_lite.teachers import Teacher

FORMAT, VERSION = "dfsbir_lite gallery", 1
INDEX = "gallery.json"
STUDENT, EMBEDDINGS, PHOTOS = "student.safetensors", "embeddings.safetensors", "photos.json"
SKETCH, MATCHING = "sketch.safetensors", "matching.json"
ROWS = "rows"  # of an export under way: what is done
THUMBNAIL = 96  # px, at least, of photos that come from files
COLUMNS = 8  # of a sheet, which has as many rows
ON_SHEET = COLUMNS**2
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]
JPEG += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]

# pictures (N, 3, H, W), uint8 → rows (N, E), and which of them (N,) show anything known
Embed = Callable[[Tensor], tuple[Tensor, Tensor]]


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
    return _photos_of_files(Path(root), *data.folder_files(root), size, size)


def photos_below(root: str | Path, size: int, sketch_size: int) -> Photos:
    """Return all files below `root`, however they lie there, for an encoder of `size` px.

    Raises UserError if there are none. Litter is passed over.
    """
    if not (paths := data.files_below(Path(root))):
        raise UserError(f"{root}: no folder with files")
    return _photos_of_files(Path(root), (), [(path, 0) for path in paths], size, sketch_size)


def _photos_of_files(root: Path, classes, found, size: int, sketch_size: int) -> Photos:
    names = [path.relative_to(root).as_posix() for path, _ in found]
    state = [(path.stat().st_size, path.stat().st_mtime_ns) for path, _ in found]
    key = hashlib.sha256(json.dumps([names, state]).encode()).hexdigest()
    sides = size, max(sketch_size, THUMBNAIL)

    def read(place: int) -> tuple[Tensor, Tensor]:
        image = data.open_image(found[place][0], least=3 * max(sides))
        return tuple(torch.from_numpy(data.fit(image, side).copy()) for side in sides)

    return Photos(classes, [label for _, label in found], names, sketch_size, read, key)


def photos_of_set(photos: data.ImageSet, pictures: Callable[[int], Tensor] | None = None) -> Photos:
    """Return photos in memory; `pictures` gives larger ones for people, uint8 (3, T, T)."""
    labels, pictures = photos.labels.tolist(), pictures or photos.images.__getitem__
    names = [f"{photos.classes[label]}/{place}" for place, label in enumerate(labels)]
    side, both = photos.images.shape[-1], lambda place: (photos.images[place], pictures(place))
    return Photos(photos.classes, labels, names, side, both)


class Summary(NamedTuple):
    """What an export has to say."""

    photos: int
    left_out: list[str]  # names of files that could not be read
    unknown: int  # photos that show nothing known


def export_gallery(
    folder: str | Path, encoders: Encoders, card: dict, photos: Photos, device="cpu"
) -> Summary:
    """Export the gallery of a student with that model card, see `export`."""
    with tempfile.TemporaryDirectory() as scratch:
        save_encoders(Path(scratch, STUDENT), encoders, card)
        saved = load_encoders(Path(scratch, STUDENT)).to(device)  # weights as rounded in the file
        reader = {path.name: path.read_bytes() for path in Path(scratch).iterdir()}

    def embed(images: Tensor) -> tuple[Tensor, Tensor]:
        rows = retrieval.embed(saved.embed, images, "photo", device=device)
        return rows, torch.ones(len(rows), dtype=torch.bool)

    return export(folder, reader, photos, embed)


def export(folder: str | Path, reader: dict[str, bytes], photos: Photos, embed: Embed) -> Summary:
    """Write a gallery or, if anything fails, nothing; replace an older export.

    Of photos in files, a second call goes on where the first was interrupted. `reader` are the
    files that read sketches, by name.

    Raises UserError if `folder` holds anything else than an export, if no photo can be read, or for
    embeddings that have no length.
    """
    folder = Path(folder).resolve()
    _refuse_to_replace(folder)
    work = hashlib.sha256(b"".join([photos.key.encode(), *reader.values()])).hexdigest()[:8]
    draft, old = (folder.with_name(f".{folder.name}.{name}") for name in (work, "old"))
    if not photos.key:
        shutil.rmtree(draft, ignore_errors=True)
    for name, content in reader.items():
        files.write_atomically(draft / name, content)
    summary = _write_photos(draft, photos, embed)
    if folder.exists():
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return summary


def _write_photos(draft: Path, photos: Photos, embed: Embed) -> Summary:
    """Write embeddings, table and thumbnails of all photos, and the index of all files."""
    rows, known, places = _embed(draft, photos, embed)
    if not torch.allclose(rows.norm(dim=1), torch.ones(len(rows)), atol=1e-3):
        raise UserError("the photos' embeddings are not all of unit length: is it trained?")
    shutil.rmtree(draft / ROWS)
    files.write_atomically(draft / EMBEDDINGS, save({"embeddings": rows}))
    table = {k: [getattr(photos, k)[n] for n in places] for k in ("labels", "files")}
    table |= {"classes": photos.classes, "unknown": (~known).nonzero().flatten().tolist()}
    files.write_json(draft / PHOTOS, table)
    index = {"format": FORMAT, "version": VERSION, "photos": len(places), "size": photos.size}
    index["thumbnail"] = _pixels(draft / _sheets(1)[0]).shape[1] // COLUMNS
    parts = {name: files.sha256_of(draft / name) for name in sorted(_files(draft) - {INDEX})}
    files.write_json(draft / INDEX, {**index, "parts": parts})
    left_out = {*range(len(photos))}.difference(places)
    names = [photos.files[place] for place in sorted(left_out)]
    return Summary(len(places), names, len(table["unknown"]))


def _embed(draft: Path, photos: Photos, embed: Embed) -> tuple[Tensor, Tensor, list[int]]:
    """Write the sheets that `draft` lacks; return rows, what is known, and places of all photos."""
    done = [load_file(path) for path in sorted((draft / ROWS).glob("[0-9]*"))]
    start = int(done[-1]["places"][-1]) + 1 if done else 0
    readable = _readable(photos, start)
    with progress(desc="embedding photos", total=len(photos), initial=start, unit="photo") as bar:
        while sheet := list(islice(readable, ON_SHEET)):
            places, images, thumbnails = zip(*sheet, strict=True)
            rows, known = embed(torch.stack(images))
            part = {"rows": F.normalize(rows, dim=1), "known": known}
            done.append(part | {"places": torch.tensor(places)})
            name = _sheets(ON_SHEET * len(done))[-1]
            files.write_atomically(draft / name, _jpeg_sheet(thumbnails))
            files.write_atomically(draft / ROWS / f"{len(done):06}", save(done[-1]))
            bar.update(places[-1] + 1 - bar.n)
    if not done:
        shutil.rmtree(draft)
        raise UserError(f"{photos.files[0]}, ...: none of {len(photos)} files is a picture")
    names = ("rows", "known", "places")
    rows, known, places = (torch.cat([part[name] for part in done]) for name in names)
    return rows, known, places.tolist()


def _readable(photos: Photos, start: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield place, picture and thumbnail of all photos that can be read, two read at a time."""

    def read(place: int) -> tuple[Tensor, Tensor] | None:
        with suppress(UserError):  # the export names them all at its end
            return photos.read(place)

    with ThreadPoolExecutor(2) as pool:
        for first in range(start, len(photos), ON_SHEET):
            window = range(first, min(first + ON_SHEET, len(photos)))
            for place, found in zip(window, pool.map(read, window), strict=True):
                if found:
                    yield place, *found


def _jpeg_sheet(thumbnails: Sequence[Tensor]) -> bytes:
    """Return at most 64 thumbnails (3, T, T) as one JPEG, row by row; the rest stays black."""
    cells = torch.zeros(ON_SHEET, *thumbnails[0].shape, dtype=torch.uint8)
    cells[: len(thumbnails)] = torch.stack(thumbnails)
    bgr = make_grid(cells, COLUMNS, padding=0).permute(1, 2, 0).flip(2)
    return cv2.imencode(".jpg", bgr.contiguous().numpy(), JPEG)[1].tobytes()


def _pixels(sheet: Path) -> np.ndarray:
    """Return a sheet of thumbnails (H, W, 3) in BGR."""
    return cv2.imdecode(np.fromfile(sheet, np.uint8), cv2.IMREAD_COLOR)


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


class Matched:
    """A sketch teacher whose rows are the shares of `groups` of its classes, as of photos."""

    def __init__(self, teacher: Teacher, groups: list[list[int]]):
        self.teacher, self.sketch, self.groups = teacher, teacher.network, groups
        self.names = [teacher.classes[group[0]] if group else "" for group in groups]

    def to(self, device) -> None:
        self.teacher.to(device)

    def embed(self, images: Tensor, modality: str = "sketch") -> Tensor:
        """Return the rows (N, E) of sketches; photos are read once, when a gallery is made."""
        return shares(self.teacher(images).logits, self.groups)


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
        pixels = _pixels(self.sheets[sheet])[top:, left:, ::-1]
        pixels = pixels[: self.thumbnail, : self.thumbnail]
        pixels = cv2.resize(pixels, self.shape[2:], interpolation=cv2.INTER_AREA)
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


@dataclass(frozen=True)
class Gallery:
    """An exported gallery and what reads sketches for it: all that drawing and searching needs.

    Where photos have no classes each is one of its own, and bears the name of its file.
    """

    encoders: Encoders | Matched
    card: dict
    rendering: Rendering  # how a drawing must look
    embeddings: Tensor  # of the photos, (N, E), unit length
    labels: Tensor  # int64 (N,), places in `classes`
    classes: tuple[str, ...]
    files: list[str]  # a name for each photo
    images: Pictures  # as small as what the sketch encoder sees
    thumbnails: Pictures  # for people to look at

    def __len__(self) -> int:
        return len(self.labels)


def open_gallery(folder: str | Path, device="cpu") -> Gallery:
    """Open what `export_gallery` wrote; nothing is unpickled.

    Raises UserError, naming the file and the reason, if one is missing, damaged or another's.
    """
    folder = Path(folder)
    index = _read_index(folder)
    with files.reading(folder / INDEX, "the index of the files beside it"):
        for name, digest in index["parts"].items():
            if files.sha256_of(folder / name) != digest:
                raise ValueError(f"{name} is damaged, or of another export")
        opened = _open(folder, index)
    opened.encoders.to(device)
    return opened


def _read_index(folder: Path) -> dict:
    index = files.read_json(folder / INDEX, "the index of an export")
    if (index.get("format"), index.get("version")) != (FORMAT, VERSION):
        raise UserError(f"{folder / INDEX}: not of a {FORMAT} of version {VERSION}")
    return index


def _open(folder: Path, index: dict) -> Gallery:
    """Return the gallery in a folder whose files are those that the index describes."""
    if STUDENT in index["parts"]:
        reader, encoders = STUDENT, load_encoders(folder / STUDENT)
    else:
        groups = files.read_json(folder / MATCHING, "a matching")["groups"]
        reader, encoders = SKETCH, Matched(load(folder / SKETCH), groups)
    card, size, side = files.read_card(folder / reader), index["size"], index["thumbnail"]
    look = Rendering(**card["rendering"]) if "rendering" in card else replace(TOYBOX, size=size)
    (rows,) = load_file(folder / EMBEDDINGS).values()
    table = files.read_json(folder / PHOTOS, "a table of photos")
    classes, labels, names = (table[k] for k in ("classes", "labels", "files"))
    if not classes:
        unknown = {*table["unknown"]}
        names = [name + " (no drawing for it)" * (n in unknown) for n, name in enumerate(names)]
        labels, classes = range(len(names)), names
    pictures = (Pictures(folder, len(names), side, each) for each in (size, side))
    photos = rows, torch.tensor(labels), tuple(classes), names
    return Gallery(encoders, card, look, *photos, *pictures)
