"""Archives, unpacked so that nothing in them can do harm."""

import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dfsbir_lite.runtime import UserError, progress

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z")
EXPANSION = 200  # how many times its own size an archive may unpack to,
ROOM = 2**28  # or to so many bytes, if that is more


def is_archive(path: Path) -> bool:
    """Tell whether `unpack` takes this file, by its name."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, wanted: Callable = lambda name: True) -> None:
    """Unpack the plain files whose names are `wanted` into the empty `folder`; pass over links.

    Raises UserError, naming the archive, if it is damaged, leads out of the folder or is a bomb.
    """
    kinds = {".7z": _unpack_7z, ".zip": _unpack_zip}
    try:
        kinds.get(archive.suffix.lower(), _unpack_tar)(archive, folder, wanted)
    except UserError:
        raise
    except ImportError:
        raise UserError(f"{archive}: unpack it yourself, or pip install py7zr") from None
    except Exception as reason:  # the libraries raise whatever damage leads to
        why = " ".join(f"{type(reason).__name__}: {reason}".split())  # tarfile's has many lines
        advice = "if it is cut off or damaged, get it again"
        raise UserError(f"{archive}: cannot be unpacked ({why}); {advice}") from None


def _unpack_zip(archive: Path, folder: Path, wanted: Callable) -> None:
    with zipfile.ZipFile(archive) as file:
        members = ((i.filename, i.file_size, i) for i in file.infolist() if not i.is_dir())
        # zipfile takes ".." and "/" out of names, and writes a link as a text file
        file.extractall(folder, _chosen(archive, members, wanted))


def _unpack_tar(archive: Path, folder: Path, wanted: Callable) -> None:
    with tarfile.open(archive) as file:
        members = ((i.name, i.size, i) for i in file if i.isreg())
        file.extractall(folder, _chosen(archive, members, wanted), filter="data")


def _unpack_7z(archive: Path, folder: Path, wanted: Callable) -> None:
    import py7zr

    with py7zr.SevenZipFile(archive) as file:
        members = ((i.filename, i.uncompressed, i.filename) for i in file.files if i.is_file)
        if names := list(_chosen(archive, members, wanted)):  # an empty list would mean all
            file.extract(folder, names)


def _chosen(archive: Path, members: Iterable[tuple], wanted: Callable) -> Iterator:
    """Yield the members, of (name, bytes, member), whose names are wanted, up to a sane size."""
    left = max(ROOM, EXPANSION * archive.stat().st_size)
    for name, size, member in progress(members, desc=f"unpacking {archive.name}", unit="file"):
        if (left := left - size) < 0:
            advice = "if you trust it, unpack it yourself and import the folder"
            raise UserError(f"{archive}: expands to far more than its size; {advice}")
        if wanted(name):
            yield member
