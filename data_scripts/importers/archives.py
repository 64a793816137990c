"""Archives, unpacked so that nothing in them can do harm.

A member may not leave the folder, be a link or a device, come twice, or be a bomb; an archive
that is cut off is refused. Whatever is refused is a UserError that names the archive and why.
"""

import errno
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dfsbir_lite.runtime import UserError, progress

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z")
LARGEST = 2**32  # bytes of one member
EXPANSION = 200  # members together, as a multiple of the archive's own size,
ROOM = 2**28  # for which small archives have at least so many bytes

# What the standard library's readers raise where an archive is not what it says.
DAMAGE = (
    EOFError,
    LookupError,
    OverflowError,
    ValueError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    struct.error,
    tarfile.ReadError,
    zipfile.BadZipFile,
    zlib.error,
)
Member = tuple[str, int, Callable[[], BinaryIO]]  # name, bytes, and its content


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> None:
    """Unpacks the members of `archive` whose names are `wanted` into the empty `folder`.

    Raises UserError, naming the archive, if it cannot be read to its end or holds anything that
    an archive of images has no use for.
    """
    name = archive.name.lower()
    try:
        if name.endswith(".7z"):
            _unpack_7z(archive, folder, wanted)
        else:
            members = _zip_members if name.endswith(".zip") else _tar_members
            _unpack(archive, folder, wanted, members(archive))
    except UserError:
        raise
    except DAMAGE as reason:
        told = " ".join(str(reason).split())  # tarfile's has several lines
        raise UserError(f"{archive}: cut off or damaged ({told}); get it again") from None
    except OSError as reason:
        if reason.errno != errno.EINVAL:  # a member said to begin before the file does
            raise
        raise UserError(f"{archive}: cut off or damaged ({reason}); get it again") from None
    except (NotImplementedError, RuntimeError) as reason:  # what zipfile says of passwords
        raise UserError(f"{archive}: cannot be unpacked ({reason})") from None


def _unpack(archive: Path, folder: Path, wanted, members: Iterator[Member]) -> None:
    budget = _Budget(archive)
    with progress(desc=f"unpacking {archive.name}", unit="B", unit_scale=True) as bar:
        for name, size, content in members:
            place = _inside(archive, name)
            if not wanted(str(place)):
                continue
            budget.spend(name, size)
            target = folder / place
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file, content() as source:
                    shutil.copyfileobj(source, file)
            except (FileExistsError, IsADirectoryError, NotADirectoryError):
                told = f"holds {name} twice, twice but for case, or below another file"
                raise UserError(f"{archive}: {told}") from None
            bar.update(size)


class _Budget:
    """How many bytes an archive may still grow by."""

    def __init__(self, archive: Path):
        self.archive = archive
        self.left = max(ROOM, EXPANSION * archive.stat().st_size)

    def spend(self, name: str, size: int) -> None:
        self.left -= size
        if size > LARGEST or self.left < 0:
            raise UserError(
                f"{self.archive}: expands to far more than its size (at {name}), as only a "
                "malicious archive does; unpack it yourself if you trust it, and import the folder"
            )


def _inside(archive: Path, name: str) -> PurePosixPath:
    """The member's place below the folder. Raises UserError if it would be anywhere else."""
    path = PurePosixPath(name.replace("\\", "/"))
    drive = path.parts and path.parts[0].endswith(":")
    if not path.parts or path.is_absolute() or ".." in path.parts or drive or "\0" in name:
        raise UserError(f"{archive}: its member {name!r} would be written outside the folder")
    return path


def _zip_members(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as file:
        for info in file.infolist():
            if info.is_dir():
                continue
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                raise _not_a_file(path, info.filename)
            yield info.filename, info.file_size, lambda info=info: file.open(info)


def _tar_members(path: Path) -> Iterator[Member]:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    with tarfile.open(path, "r:gz" if compressed else "r:") as file:
        for info in file:
            if info.isdir():
                continue
            if not info.isreg():
                raise _not_a_file(path, info.name)
            yield info.name, info.size, lambda info=info: file.extractfile(info)
        # tarfile reads no further than it must: not to gzip's checksum, and not to where it
        # would see that a plain .tar was cut between two members
        if compressed:
            while file.fileobj.read(2**20):
                pass
        elif _last_block(path).strip(b"\0"):
            raise tarfile.ReadError("its end is missing")


def _last_block(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-tarfile.BLOCKSIZE, os.SEEK_END)
        return file.read()


def _unpack_7z(path: Path, folder: Path, wanted) -> None:
    try:
        import py7zr
    except ImportError:
        raise UserError(
            f"{path}: needs the package py7zr (pip install py7zr), or unpack it yourself and "
            "import the folder"
        ) from None
    try:
        with py7zr.SevenZipFile(path) as file:
            budget, targets = _Budget(path), []
            for info in file.files:
                place = _inside(path, info.filename)
                if info.is_directory:
                    continue
                if info.is_symlink or info.is_junction or info.is_socket:
                    raise _not_a_file(path, info.filename)
                if wanted(str(place)):
                    budget.spend(info.filename, info.uncompressed)
                    targets.append(info.filename)
            if targets:  # an empty list would mean everything
                file.extract(folder, targets)
    except py7zr.PasswordRequired:
        raise UserError(f"{path}: cannot be unpacked (it has a password)") from None
    except py7zr.exceptions.ArchiveError as reason:
        raise UserError(f"{path}: cut off or damaged ({reason}); get it again") from None


def _not_a_file(archive: Path, name: str) -> UserError:
    return UserError(f"{archive}: its member {name!r} is a link or a device, not a plain file")
