"""The archives and folders that people have, as one list of pictures."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

from PIL import Image

from dfsbir_lite.data import LITTER, open_image
from dfsbir_lite.runtime import UserError, progress
from importers.dataset import COMMON, DataSet, Item, Reader
from importers.names import key

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z")
IMAGES = {end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN}


def look_through(
    dataset: DataSet, paths: list[Path], scratch: Path, size: int, limit: int | None
) -> tuple[list[Item], Counter]:
    """Return all pictures of `dataset` in `paths`, and a count of other files by folder.

    Archives, also those in folders, are unpacked into `scratch`. See `Reader` for `size` and
    `limit`. Raises UserError if a path is missing, or if nothing of the data set is there.
    """
    items, outside = [], Counter()
    for number, source in enumerate(progress(list(_sources(paths)), desc="looking through")):
        folder = source.absolute()
        if is_archive(source):
            # called as the archive is, because some archives begin with the class folders
            folder = scratch / str(number) / source.name.partition(".")[0]
            unpack(source, folder)
        for file in _files(folder):
            path = file.relative_to(folder.parent)
            if reader := _reader(dataset, path):
                items += reader(file, str(source / file.relative_to(folder)), size, limit)
            elif not is_archive(file):
                outside[str(path.parent)] += 1
    if not items:
        places = ", ".join([*dataset.readers, *(p for m in COMMON for p in dataset.patterns(m))])
        found = ", ".join(f"{path} ({n} files)" for path, n in outside.most_common(4)) or "no files"
        what = f"nothing of {dataset.title} in it; expected files like {places}; found {found}"
        raise UserError(f"{', '.join(map(str, paths))}: {what}")
    return items, outside


def is_archive(path: Path) -> bool:
    """Tell whether `unpack` takes this file, by its name."""
    return path.name.lower().endswith(ARCHIVES)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack into the empty `folder`; raise UserError for what is damaged or leads out of it."""
    try:
        if archive.suffix.lower() == ".7z":
            from py7zr import unpack_7zarchive  # an extra

            unpack_7zarchive(archive, folder)
        elif archive.suffix.lower() == ".zip":
            shutil.unpack_archive(archive, folder, "zip")
        else:
            shutil.unpack_archive(archive, folder, "tar", filter="data")
    except ImportError:
        raise UserError(f"{archive}: unpack it yourself, or pip install py7zr") from None
    except Exception as reason:  # the libraries raise whatever damage leads to
        why = " ".join(f"{type(reason).__name__}: {reason}".split())  # tarfile's has many lines
        advice = "if it is cut off or damaged, get it again"
        raise UserError(f"{archive}: cannot be unpacked ({why}); {advice}") from None


def _sources(paths: list[Path]) -> Iterator[Path]:
    """Yield each folder, and each archive, those in a folder included."""
    for path in paths:
        if path.is_dir():
            yield path
            yield from filter(is_archive, _files(path))
        elif path.is_file() and is_archive(path):
            yield path
        else:
            raise UserError(f"{path}: no such folder or archive (.zip, .tar, .tar.gz, .7z)")


def _files(folder: Path) -> list[Path]:
    tree = os.walk(folder, followlinks=True)
    return sorted(Path(top, name) for top, _, names in tree for name in names)


def _reader(dataset: DataSet, path: PurePath) -> Reader | None:
    """Return what reads the file at `path`, which begins with the name of the source, or None."""
    if any(part.startswith(LITTER) for part in path.parts[1:]):
        return None
    for pattern, reader in dataset.readers.items():
        if path.match(pattern) and key(path.stem):
            return reader
    if path.suffix.lower() in IMAGES and key(path.parent.name):
        lower = PurePosixPath(path.as_posix().lower())
        for modality in COMMON:
            if any(lower.match(place.lower()) for place in dataset.patterns(modality)):
                return partial(_image, modality)
    return None


def _image(modality: str, path: Path, origin: str, size: int, limit: int | None) -> Iterator[Item]:
    above, load = path.parent.parent.name.lower(), partial(open_image, path, origin)
    split = above if above in ("train", "test") else None
    yield Item(origin, modality, path.parent.name, path.stem, load, split)
