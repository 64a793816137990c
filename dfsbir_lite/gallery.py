"""A student and the gallery that it searches as one folder, to keep, to send and to open again.

    gallery.json             what this is, and the sha256 of every other file
    student.safetensors      the encoders; student.json is their model card
    embeddings.safetensors   (N, E) float32, unit length
    photos.json              class names; label and file name of each photo
    sheets/0000.jpg ...      thumbnails, 64 on a sheet, row by row
    photo.onnx, sketch.onnx  the encoders for other programs, if wanted

Thumbnails lie on sheets because 50,000 files of 4 kB are slow to copy and to check, and as JPEG
because anything can show it, and because its blocks keep one photo from bleeding into the next.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dfsbir_lite import data, retrieval
from dfsbir_lite.files import (
    load_state,
    load_weights,
    put_in_place,
    read_json,
    save_state,
    sha256_of,
    write_atomically,
    write_json,
)
from dfsbir_lite.models import Encoders
from dfsbir_lite.runtime import UserError, progress
from dfsbir_lite.students import load_encoders, save_encoders

FORMAT, VERSION = "dfsbir_lite gallery", 1
INDEX = "gallery.json"
STUDENT, EMBEDDINGS, PHOTOS = "student.safetensors", "embeddings.safetensors", "photos.json"
ONNX = {"photo": "photo.onnx", "sketch": "sketch.onnx"}
COLUMNS = 8  # of a sheet, which has as many rows
ON_SHEET = COLUMNS**2
THUMBNAIL = 96  # px, at least, of photos that come from files
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]
JPEG += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


@dataclass(frozen=True)
class Photos:
    """What a gallery is to be made of. Pictures are read when their turn comes.

    Attributes:
        labels: a place in `classes` for each photo. files: a name for each, for people.
        size: side of what the encoder sees, in pixels.
        read: place → what the encoder sees, uint8 (3, size, size), and a thumbnail,
            uint8 (3, T, T), with one T for all.
    """

    classes: tuple[str, ...]
    labels: list[int]
    files: list[str]
    size: int
    read: Callable[[int], tuple[Tensor, Tensor]]

    def __len__(self) -> int:
        return len(self.labels)


def photos_of_folder(root: str | Path, size: int) -> Photos:
    """The image files under `root/<class>/`, read one at a time.

    Raises UserError, naming it, for a folder that is missing or empty, and, later, in `read`, for
    a file that is no image.
    """
    classes, files = data.folder_files(root)
    names = [path.relative_to(root).as_posix() for path, _ in files]

    def read(place: int) -> tuple[Tensor, Tensor]:
        image = data.open_image(files[place][0])
        sides = size, max(size, THUMBNAIL)
        return tuple(torch.from_numpy(data.fit(image, side).copy()) for side in sides)

    return Photos(classes, [label for _, label in files], names, size, read)


def photos_of_set(photos: data.ImageSet, pictures: Callable[[int], Tensor] | None = None) -> Photos:
    """Photos that are in memory.

    Args:
        pictures: the photo at a place for people to look at, uint8 (3, T, T); by default the one
            that the encoder sees.
    """
    labels, pictures = photos.labels.tolist(), pictures or photos.images.__getitem__
    names = [f"{photos.classes[label]}/{place}" for place, label in enumerate(labels)]

    def read(place: int) -> tuple[Tensor, Tensor]:
        return photos.images[place], pictures(place)

    return Photos(photos.classes, labels, names, photos.images.shape[-1], read)


# --- writing ----------------------------------------------------------------------------------


def export_gallery(
    folder: str | Path,
    encoders: Encoders,
    card: dict,
    photos: Photos,
    *,
    onnx: bool = False,
    device="cpu",
) -> None:
    """Writes the folder, or, if anything fails, nothing; replaces an older export.

    Args:
        card: the encoders' model card, see `students.save_encoders`.
        onnx: also as ONNX, see `onnx_bytes`.

    Raises UserError if `folder` holds anything else than an export, if there are no photos, if
    embeddings are not of unit length, or if the packages that ONNX needs are missing.
    """
    if onnx:
        _need_onnx()
    if not len(photos):
        raise UserError("a gallery needs at least one photo")
    with _draft(Path(folder).resolve()) as draft:
        save_encoders(draft / STUDENT, encoders, card)
        saved = load_encoders(draft / STUDENT)  # with the weights as rounded in the file
        for modality, name in ONNX.items() if onnx else ():
            write_atomically(draft / name, onnx_bytes(saved, modality, photos.size))
        rows, side = _embed_and_draw(draft, saved.to(device), photos, device)
        if not _are_unit(rows):
            raise UserError("the student's embeddings are not all of unit length: is it trained?")
        save_state(draft / EMBEDDINGS, {"embeddings": rows})
        table = {"classes": photos.classes, "labels": photos.labels, "files": photos.files}
        write_json(draft / PHOTOS, table)
        facts = {"format": FORMAT, "version": VERSION, "photos": len(photos)}
        facts |= {"size": photos.size, "thumbnail": side}
        parts = {name: sha256_of(draft / name) for name in sorted(_files(draft))}
        write_json(draft / INDEX, {**facts, "parts": parts})


def _embed_and_draw(draft: Path, encoders, photos: Photos, device) -> tuple[Tensor, int]:
    """Embeddings of all photos, and the side of their thumbnails, which go to their sheets."""
    rows = []
    with progress(desc="embedding photos", total=len(photos), unit="photo") as bar:
        for sheet in _sheets(len(photos)):
            first = len(rows) * ON_SHEET
            places = range(first, min(first + ON_SHEET, len(photos)))
            images, thumbnails = map(torch.stack, zip(*map(photos.read, places), strict=True))
            rows.append(retrieval.embed(encoders.embed, images, "photo", device=device))
            write_atomically(draft / sheet, _jpeg_sheet(thumbnails))
            bar.update(len(places))
    return torch.cat(rows), thumbnails.shape[-1]


def _jpeg_sheet(thumbnails: Tensor) -> bytes:
    """At most 64 thumbnails (n, 3, T, T) as one JPEG file, row by row; empty places stay black."""
    side = thumbnails.shape[-1]
    cells = torch.zeros(ON_SHEET, 3, side, side, dtype=torch.uint8)
    cells[: len(thumbnails)] = thumbnails
    sheet = cells.view(COLUMNS, COLUMNS, 3, side, side).permute(0, 3, 1, 4, 2)
    rgb = sheet.reshape(COLUMNS * side, COLUMNS * side, 3).numpy()
    return cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), JPEG)[1].tobytes()


def _sheets(count: int) -> list[str]:
    """The names of the sheets that `count` thumbnails fill."""
    return [f"sheets/{n:04}.jpg" for n in range(-(-count // ON_SHEET))]


def _files(folder: Path) -> set[str]:
    """All files in `folder`, by their path from there."""
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder` that takes its place in the end, or vanishes on an error."""
    _refuse_to_replace(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        draft.mkdir()
        yield draft
        put_in_place(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _refuse_to_replace(folder: Path) -> None:
    """Raises UserError if anything in `folder` is not of an export."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: a file; an export needs a folder")
    if not (present := _files(folder)):
        return
    if INDEX not in present:
        raise UserError(f"{folder}: holds something else than an export; choose another folder")
    if others := sorted(present - {INDEX, *_read_index(folder)["parts"]}):
        raise UserError(f"{folder}: holds {others[0]}, which is not of the export; move it away")


# --- opening ----------------------------------------------------------------------------------


class Pictures:
    """The photos of an opened gallery at one size; each is read when it is asked for.

    `pictures[place]` is uint8 (3, size, size), made from the thumbnail.

    Attributes:
        shape: (N, 3, size, size).
    """

    def __init__(self, folder: Path, count: int, thumbnail: int, size: int):
        self.sheets = [folder / name for name in _sheets(count)]
        self.thumbnail, self.shape = thumbnail, (count, 3, size, size)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: int) -> Tensor:
        sheet, cell = divmod(range(len(self))[place], ON_SHEET)
        top, left = (self.thumbnail * n for n in divmod(cell, COLUMNS))
        path = self.sheets[sheet]
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise UserError(f"{path}: not an image that can be read")
        pixels = pixels[top : top + self.thumbnail, left : left + self.thumbnail, ::-1]
        pixels = cv2.resize(pixels, self.shape[2:], interpolation=cv2.INTER_AREA)
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


@dataclass(frozen=True)
class Gallery:
    """An exported student and its gallery, opened: all that drawing and searching needs.

    Attributes:
        encoders, card: the student and its model card.
        size: side of the pictures that it sees.
        embeddings: of the photos, (N, E), unit length.
        labels: int64 (N,), places in `classes`. files: a name for each photo.
        images: the photos about as the student saw them. thumbnails: for people to look at.
    """

    encoders: Encoders
    card: dict
    size: int
    embeddings: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    files: list[str]
    images: Pictures
    thumbnails: Pictures

    def __len__(self) -> int:
        return len(self.labels)


def open_gallery(folder: str | Path, device="cpu") -> Gallery:
    """Opens what `export_gallery` wrote, after checking every file; nothing is unpickled.

    Raises UserError, naming the file and the reason, if one is missing, damaged or of another
    export.
    """
    folder = Path(folder)
    index = _read_index(folder)
    for name, digest in index["parts"].items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path}: no such file, though {INDEX} lists it")
        if sha256_of(path) != digest:
            raise UserError(f"{path}: damaged, or not the file that {INDEX} describes")
    count, size = index["photos"], index["size"]
    encoders = load_encoders(folder / STUDENT)
    table = _read_table(folder / PHOTOS, count)
    return Gallery(
        encoders.to(device),
        load_weights(folder / STUDENT)[1],
        size,
        _read_embeddings(folder / EMBEDDINGS, (count, encoders.proxies.shape[1])),
        torch.tensor(table["labels"]),
        tuple(table["classes"]),
        table["files"],
        *(Pictures(folder, count, index["thumbnail"], side) for side in (size, index["thumbnail"])),
    )


def _read_index(folder: Path) -> dict:
    path = folder / INDEX
    if not path.is_file():
        raise UserError(f"{path}: no such file; `python -m dfsbir_lite export` writes one")
    index = read_json(path, "the index of an export")
    if index.get("format") != FORMAT:
        raise UserError(f"{path}: not the index of an export")
    if index.get("version") != VERSION:
        raise UserError(f"{path}: of format {index.get('version')}; this version reads {VERSION}")
    numbers = [index.get(name) for name in ("photos", "size", "thumbnail")]
    if not all(isinstance(n, int) and n > 0 for n in numbers):
        raise UserError(f"{path}: damaged: photos, size, thumbnail are {numbers}")
    needed = {STUDENT, Path(STUDENT).with_suffix(".json").name, EMBEDDINGS, PHOTOS}
    needed |= {*_sheets(index["photos"])}
    parts = index.get("parts")
    if not isinstance(parts, dict) or needed != parts.keys() - {*ONNX.values()}:
        raise UserError(f"{path}: damaged: does not list the files of {numbers[0]} photos")
    return index


def _read_table(path: Path, count: int) -> dict:
    """Classes, labels and file names of `count` photos."""
    table = read_json(path, "a table of photos")
    lists = classes, labels, files = [table.get(k) for k in ("classes", "labels", "files")]
    if not all(isinstance(part, list) for part in lists):
        raise UserError(f"{path}: needs lists of classes, labels and files")
    if not len(labels) == len(files) == count:
        raise UserError(f"{path}: {len(labels)} labels, {len(files)} files for {count} photos")
    if not all(isinstance(n, int) and 0 <= n < len(classes) for n in labels):
        raise UserError(f"{path}: a label that is not of one of the {len(classes)} classes")
    return table


def _read_embeddings(path: Path, shape: tuple[int, int]) -> Tensor:
    rows = load_state(path).get("embeddings")
    if not isinstance(rows, Tensor) or rows.shape != shape or not _are_unit(rows):
        raise UserError(f"{path}: does not hold {shape[0]} rows of {shape[1]} and of unit length")
    return rows


def _are_unit(rows: Tensor) -> bool:
    """Whether all rows are of unit length, and so finite."""
    return bool(((rows.norm(dim=1) - 1).abs() < 1e-3).all())


# --- ONNX -------------------------------------------------------------------------------------


class _Encoder(nn.Module):
    """One of the two encoders as a network of its own: images in, embeddings out."""

    def __init__(self, encoders: Encoders, modality: str):
        super().__init__()
        self.encoders, self.modality = encoders, modality

    def forward(self, images: Tensor) -> Tensor:
        return self.encoders.embed(images, self.modality)


def onnx_bytes(encoders: Encoders, modality: str, size: int) -> bytes:
    """The "photo" or the "sketch" encoder as an ONNX file.

    Its input `images` are floats (N, 3, size, size) in [0, 1] with any N, its output `embeddings`
    is (N, E), of unit length. Raises UserError if the packages that this needs are missing.
    """
    _need_onnx()
    program = torch.onnx.export(
        _Encoder(encoders, modality).eval(),
        (torch.zeros(2, 3, size, size),),
        input_names=["images"],
        output_names=["embeddings"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]  # where in our files it comes from, with their paths
    return proto.SerializeToString()


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as reason:
        raise UserError(
            f"an export to ONNX needs more packages ({reason}): pip install onnx onnxscript"
        ) from None
