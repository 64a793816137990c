"""Archives are unpacked whole, or refused before they can do any harm."""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from dfsbir_lite.runtime import UserError
from importers.sources import unpack

FILES = {"png/cat/1.png": b"one" * 999, "png/cat/two words.png": b"2", "png/Äpfel/é.png": b"3" * 70}
KINDS = ("a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.7z")


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def write_7z(path: Path, files: dict[str, bytes]) -> Path:
    py7zr = pytest.importorskip("py7zr")
    with py7zr.SevenZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(content, name)
    return path


@pytest.fixture
def write(tmp_path):
    """`write("a.zip", files)`: an archive of that kind; returns its path."""
    kinds = {".zip": write_zip, ".7z": write_7z}
    return lambda name, files=FILES: kinds.get(Path(name).suffix, write_tar)(tmp_path / name, files)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "unpacked"


def files_in(folder) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if not path.is_dir()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_unpacked(write, folder, kind):
    unpack(write(kind), folder)
    assert files_in(folder) == FILES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_archives_that_are_cut_off(write, folder, kind, share):
    files = {f"png/cat/{n}.png": bytes([n, 7 * n % 256]) * 3000 for n in range(20)}
    path = write(kind, files)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=rf"{kind}: cannot be unpacked \(.+\).* get it again") as no:
        unpack(path, folder)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize("name", ["../evil.png", "png/../../evil.png", "/evil.png"])
@pytest.mark.parametrize("kind", ["a.zip", "a.tar"])
def test_nothing_leaves_the_folder(write, folder, tmp_path, kind, name):
    path = write(kind, {"png/cat/1.png": b"1", name: b"evil"})
    if kind == "a.tar" and ".." in name:
        with pytest.raises(UserError, match="outside the destination"):
            unpack(path, folder)
    else:  # the name is cut
        unpack(path, folder)
    outside = {path for path in files_in(tmp_path) if not path.startswith("deep/unpacked/")}
    assert outside == {kind}


@pytest.mark.parametrize("kind", ["SYMTYPE", "LNKTYPE", "CHRTYPE", "BLKTYPE", "FIFOTYPE"])
def test_links_and_devices_in_a_tar(tmp_path, folder, kind):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        info = tarfile.TarInfo("png/cat/1.png")
        info.type, info.linkname = getattr(tarfile, kind), "/etc/passwd"
        file.addfile(info)
    with pytest.raises(UserError, match=r"a\.tar: cannot be unpacked"):
        unpack(tmp_path / "a.tar", folder)
    assert files_in(folder) == {}


def test_a_7z_without_the_package(tmp_path, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "py7zr", None)
    with pytest.raises(UserError, match=r"a\.7z: unpack it yourself, or pip install py7zr"):
        unpack(tmp_path / "a.7z", folder)
