"""Archives, folders and files that people have, as one list of pictures."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from PIL import Image

from dfsbir_lite.data import IMAGE_SUFFIXES, open_image
from dfsbir_lite.runtime import UserError
from importers.archives import is_archive, unpack
from importers.dataset import COMMON, DataSet, Item, Place, Reader
from importers.names import repairer

SMALLEST = 8  # pixels; what is narrower shows nothing


@dataclass
class Found:
    """Everything that lies in the sources: pictures, and what is none.

    Attributes:
        bad: origin and reason of what cannot be read.
        renamed: class names as found, and as they are now.
        archives: those that were unpacked.
        outside: images and other files by folder, where the data set has no place for them.
    """

    items: list[Item] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    archives: list[Path] = field(default_factory=list)
    outside: Counter = field(default_factory=Counter)


@dataclass(frozen=True)
class _Root:
    """A folder to look through, and the archive that it was unpacked from."""

    folder: Path
    archive: Path | None = None

    def origin(self, path: Path) -> str:
        if self.archive is None:
            return str(path)
        return f"{self.archive}: {path.relative_to(self.folder).as_posix()}"


def look_through(
    dataset: DataSet, paths: list[Path], scratch: Path, limit: int | None = None
) -> Found:
    """All pictures of `dataset` in `paths`: folders, archives, or files that hold many pictures.

    Archives, also those that lie directly in a folder, are unpacked into `scratch`. `limit` is
    how many pictures of a class one such file need give. Raises UserError if a path is missing or
    nothing of the data set is in any of them, and says what was expected and found.
    """
    found, repair = Found(), repairer(dataset.classes, dataset.misspelt)
    for root, files in _open(dataset, paths, scratch, found):
        for path in files:
            for item in _items(dataset, root, path, limit, found):
                try:
                    label = sys.intern(repair(item.label))
                except UserError as reason:
                    found.bad[item.origin] = str(reason)
                    continue
                if label != item.label:
                    found.renamed[item.label] = label
                found.items.append(replace(item, label=label))
    if not found.items and not found.bad:
        raise UserError(_not_as_expected(dataset, paths, found))
    return found


def _open(dataset, paths, scratch: Path, found: Found) -> Iterator[tuple[_Root, list[Path]]]:
    for path in paths:
        if path.is_dir():
            top = path.absolute()
            files = _walk(top, found)
            archives = [p for p in files if is_archive(p) and p.parent == top]
            found.archives += archives
            yield _Root(top), [p for p in files if p not in archives]
        elif not path.is_file():
            raise UserError(f"{path}: no such file or folder")
        elif is_archive(path):
            found.archives.append(path)
        elif _reader(dataset, path.name):
            yield _Root(path.parent), [path]
        else:
            raise UserError(f"{path}: neither a folder nor an archive; {_expected(dataset)}")
    for n, archive in enumerate(found.archives):
        # named as the archive is, for archives that begin with the class folders
        root = _Root(scratch / str(n) / archive.name.partition(".")[0], archive)
        root.folder.mkdir(parents=True)

        def wanted(name: str, root: _Root = root) -> bool:
            path = root.folder / name
            if _is_wanted(dataset, root, path):
                return True
            found.outside[root.origin(path.parent)] += 1
            return False

        unpack(archive, root.folder, wanted)
        yield root, _walk(root.folder, found)


def _walk(folder: Path, found: Found) -> list[Path]:
    """The files below `folder`, sorted, without hidden ones; what cannot be read is bad."""
    files = []

    def unreadable(error: OSError) -> None:
        found.bad[str(error.filename)] = f"cannot be read ({error.strerror})"

    for top, folders, names in os.walk(folder, onerror=unreadable):
        for name in [n for n in folders if os.path.islink(os.path.join(top, n))]:
            found.bad[os.path.join(top, name)] = "a link to a folder, which is not followed"
        folders[:] = sorted(n for n in folders if not n.startswith("."))
        files += [Path(top, name) for name in sorted(names) if not name.startswith(".")]
    return files


def _items(dataset, root: _Root, path: Path, limit, found: Found) -> Iterator[Item]:
    origin = root.origin(path)
    if reader := _reader(dataset, path.name):
        try:
            yield from reader(path, origin, limit)
        except (UserError, OSError) as reason:
            found.bad[origin] = str(reason).removeprefix(f"{origin}: ")
    elif place := _place(dataset, root, path):
        yield Item(
            origin,
            place.modality,
            path.parent.name,
            path.stem,
            partial(picture, str(path), origin),
            place.split,
        )
    else:
        found.outside[root.origin(path.parent)] += 1


def picture(path: str, origin: str, size: int) -> Image.Image:
    """An image file in RGB, whatever the size it is wanted for.

    Raises UserError if it cannot be read, moves, or is too small.
    """
    image = open_image(path, origin)
    try:
        with Image.open(path) as file:
            frames = getattr(file, "n_frames", 1)
    except Exception as reason:  # as in open_image: its later frames may be damaged
        raise UserError(f"{origin}: cannot be read ({reason})") from None
    if frames > 1:
        raise UserError(f"{origin}: animated, or several pictures in one file ({frames})")
    if min(image.size) < SMALLEST:
        raise UserError(f"{origin}: only {image.width} × {image.height} pixels")
    return image


def _is_wanted(dataset: DataSet, root: _Root, path: Path) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in (path.name, path.parent.name))
    return not hidden and bool(_reader(dataset, path.name) or _place(dataset, root, path))


def _reader(dataset: DataSet, name: str) -> Reader | None:
    return next((read for glob, read in dataset.readers if fnmatchcase(name, glob)), None)


def _place(dataset: DataSet, root: _Root, path: Path) -> Place | None:
    """The place that an image file lies in, if it is an image and in any.

    Classes are folders below the root; the root may be the one that holds them, as "photo/train".
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES or path.parent == root.folder:
        return None
    folders = [part.lower() for part in path.parts[:-1]]
    for place in (*dataset.places, *COMMON):
        globs = place.folder.lower().split("/")
        if len(folders) >= len(globs) and all(map(fnmatchcase, folders[-len(globs) :], globs)):
            return place
    return None


def _expected(dataset: DataSet) -> str:
    places = [re.sub(r"\*$", "<class>/<image>", p.folder) for p in (*dataset.places, *COMMON)]
    return "expected " + ", ".join([*places, *(glob for glob, _ in dataset.readers)])


def _not_as_expected(dataset: DataSet, paths: list[Path], found: Found) -> str:
    folders = [f"{folder} ({n} files)" for folder, n in found.outside.most_common(3)]
    more = f" and {len(found.outside) - 3} more folders" if len(found.outside) > 3 else ""
    return (
        f"{', '.join(map(str, paths))}: nothing of {dataset.title} in it; {_expected(dataset)}; "
        f"found {', '.join(folders) or 'no files'}{more}"
    )
