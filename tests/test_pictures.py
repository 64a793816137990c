"""Pictures: whatever has sound pixels is read; what is left out is named and counted."""

import io
import json
import re
import struct
import zlib

import numpy as np
import pytest
from pacs import PACS
from PIL import Image, ImageOps
from test_importers import good_files, lines, write_files

from dfsbir_lite.data import NOTE, folder_set, open_image
from dfsbir_lite.gallery import photos_of_folder
from dfsbir_lite.runtime import UserError
from importers.importing import import_data
from quickdraw import QUICKDRAW

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
SMOOTH = np.linspace(0, 255, 1800).astype(np.uint8).reshape(20, 30, 3)  # survives JPEG


def encoded(kind: str, pixels=PIXELS, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    """EXIF data that say how the camera was held, and other things."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x011A] = orientation, "a picture", 72.0
    return exif.tobytes()


def read(tmp_path, data: bytes) -> tuple[np.ndarray, bool]:
    """The pixels of a file without a suffix, and whether it was said that metadata are broken."""
    (tmp_path / "x").write_bytes(data)
    image = open_image(tmp_path / "x")
    return np.asarray(image).astype(int), bool(image.info[NOTE])


def chunk(kind: bytes, data: bytes, crc: int = 0, length: int = 0) -> bytes:
    """A chunk of a PNG; `crc` and `length` are added to the right ones."""
    crc = (zlib.crc32(kind + data) + crc) % 2**32
    return struct.pack(">I", len(data) + length) + kind + data + struct.pack(">I", crc)


HUGE = zlib.compress(bytes(3_000_000))
CHUNKS = {
    "EXIF of nonsense": chunk(b"eXIf", b"nonsense"),
    "no sum": chunk(b"tEXt", b"a\0b", crc=1),
    "too long": chunk(b"tEXt", b"a\0b", length=5000),
    "too short": chunk(b"tEXt", b"a\0bbbbbb", length=-3),
    "huge text": chunk(b"zTXt", b"a\0\0" + HUGE),
    "many texts": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))) * 70,
    "huge profile": chunk(b"iCCP", b"a\0\0" + HUGE),
    "short gAMA": chunk(b"gAMA", b"a"),
    "unknown chunk": chunk(b"\0\1\2\3", b"abc"),
}


@pytest.mark.parametrize("place", ["before the pixels", "after them"])
@pytest.mark.parametrize("kind", CHUNKS)
def test_a_png_with_a_broken_chunk(tmp_path, kind, place):
    whole = encoded("PNG")
    at = 33 if place.startswith("before") else len(whole) - 12
    pixels, note = read(tmp_path, whole[:at] + CHUNKS[kind] + whole[at:])
    assert (pixels == PIXELS).all()
    assert note or place == "after them"  # where Pillow minds few of them


def test_broken_text_does_not_cost_the_orientation(tmp_path):
    whole = encoded("PNG", exif=turned(6))
    pixels, note = read(tmp_path, whole[:33] + CHUNKS["no sum"] + whole[33:])
    assert note and (pixels == np.rot90(PIXELS, -1)).all()


def segment(kind: int, data: bytes) -> bytes:
    return bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data


@pytest.mark.parametrize(
    "broken", [segment(0xE2, b"ICC_PROFILE\0\1"), segment(0xE0, b"JFIF"), segment(0xEE, b"Adobe")],
    ids=["profile", "JFIF", "Adobe"],
)  # fmt: skip
def test_a_jpeg_with_a_broken_segment(tmp_path, broken):
    whole = encoded("JPEG", SMOOTH, quality=95, exif=turned(6))
    pixels, note = read(tmp_path, whole[:2] + broken + whole[2:])
    assert note and pixels.shape == (30, 20, 3)
    assert np.abs(pixels - np.rot90(SMOOTH, -1)).max() < 30
    with pytest.raises(UserError, match="x: "):  # the pixels themselves are cut off
        read(tmp_path, whole[:2] + broken + whole[2:-90])


def test_other_kinds_with_broken_metadata(tmp_path):
    webp = encoded("WEBP", lossless=True, exif=b"Exif\0\0nonsense")
    tiff = encoded("TIFF")
    (at,) = struct.unpack("<I", tiff[4:8])
    (count,) = struct.unpack("<H", tiff[at : at + 2])
    entries = [tiff[at + 2 + 12 * n :][:12] for n in range(count)]
    entries.append(struct.pack("<HHII", 270, 2, 500, 10**6))  # a description beyond the end
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2]))
    table = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    for data in (webp, tiff[:4] + struct.pack("<I", len(tiff)) + tiff[8:] + table):
        pixels, note = read(tmp_path, data)
        assert note and (pixels == PIXELS).all()


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation(tmp_path, orientation):
    data = encoded("PNG", exif=turned(orientation))
    with Image.open(io.BytesIO(data)) as file:
        expected = np.asarray(ImageOps.exif_transpose(file))
    pixels, note = read(tmp_path, data)
    assert not note and np.array_equal(pixels, expected)


def test_broken_pixels_are_refused(tmp_path):
    whole = encoded("PNG")
    text = CHUNKS["no sum"]
    for data in (whole[:-300], whole[:33] + text + whole[33:-300], whole[:60] + b"!" + whole[61:]):
        with pytest.raises(UserError, match=r"x: (cannot be read|not an image)"):
            read(tmp_path, data)


# --- folders ----------------------------------------------------------------------------------


def folder(root, **more: bytes):
    """Two classes, with pictures under names that say little about them, and what is none."""
    files = {
        "ant/1.JPG": encoded("JPEG"), "ant/2.jfif": encoded("JPEG"), "ant/3": encoded("PNG"),
        "ant/4.jp2": encoded("JPEG2000"), "ant/5.tga": encoded("TGA"),
        "bee/photo.txt": encoded("GIF"),
    }  # fmt: skip
    return write_files(root, files | more)


BAD = {"ant/notes.txt": b"hello", "ant/cut.png": encoded("PNG")[:-99], "bee/more/1.png": b"x",
       "list.csv": b"a,b", "bee/empty.jpg": b""}  # fmt: skip
LITTER = {f"{name}/x.png": b"x" for name in ("__MACOSX", ".git", "@eaDir")} | {
    f"ant/{name}": b"x" for name in ("Thumbs.db", "desktop.ini", "._1.JPG", ".DS_Store")
}


def test_what_is_no_picture_is_named_and_the_rest_is_read(tmp_path, capsys):
    root = folder(tmp_path / "r", **BAD, **LITTER)
    found = folder_set(root, 8, "photo")
    assert found.classes == ("ant", "bee") and list(found.labels) == [0, 0, 0, 0, 0, 1]
    stray, left_out = capsys.readouterr().err.splitlines()
    assert stray == f"warning: files in no class folder: 1 ({root}/list.csv)"
    named = re.findall(rf"{root}/([^:]+): (?:cannot be read|not an image)", left_out)
    assert named == ["ant/cut.png", "ant/notes.txt", "bee/empty.jpg"]
    assert left_out.startswith("warning: files left out: 4 (") and left_out.endswith("; ...)")


def test_broken_metadata_are_said_once(tmp_path, capsys):
    broken = encoded("PNG")[:33] + CHUNKS["no sum"] + encoded("PNG")[33:]
    root = folder(tmp_path / "r", **{f"bee/{n}.png": broken for n in range(5)})
    assert len(folder_set(root, 8, "photo")) == 11
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: images with broken metadata, read all the same: 5 (")


def test_a_class_without_a_single_picture(tmp_path):
    root = folder(tmp_path / "r", **{"cat/1.jpg": b"<html>"})
    with pytest.raises(UserError, match=r"r/cat: holds no images that can be read"):
        folder_set(root, 8, "photo")
    with pytest.raises(UserError, match=r"nowhere: no such folder \(expected .*nowhere/<class>/\)"):
        photos_of_folder(tmp_path / "nowhere", 8)


def test_an_import_names_them_too(tmp_path):
    bad = {"cut.png": encoded("PNG")[:99], "empty.jpg": b"", "text.jpg": b"<html>", "a.heic": b"?"}
    text = encoded("PNG")[:33] + CHUNKS["no sum"] + encoded("PNG")[33:]
    more = {"photo/dog/ünïcode ñame.jfif": encoded("JPEG"), "photo/dog/b.PNG": text}
    files = good_files() | more | {f"photo/dog/{name}": data for name, data in bad.items()}
    source = write_files(tmp_path / "s", files)
    manifest = import_data(PACS, [source], tmp_path / "out")
    origins = {name.removeprefix(f"{source}/") for name in manifest["files"].values()}
    assert origins == good_files().keys() | more.keys()
    left_out = manifest["left out"]
    named = [line.partition(": ")[0] for line in sorted(left_out["cannot be read"])]
    assert named == [f"{source}/photo/dog/{name}" for name in list(bad)[:3]]
    assert left_out["in other folders, or no images"] == ["s/photo/dog: 1 files"]
    assert manifest["imported all the same"] == {"broken metadata": [f"{source}/photo/dog/b.PNG"]}


def test_drawings_that_nobody_recognised_are_counted(tmp_path):
    bows = [
        json.loads(line) | {"recognized": n % 3 > 0} for n, line in enumerate(lines(9).splitlines())
    ]
    text = "\n".join(map(json.dumps, bows)).encode()
    source = write_files(tmp_path / "s", {"cat.ndjson": text, "dog.ndjson": lines(9, 60)})
    notes = import_data(QUICKDRAW, [source], tmp_path / "out")["imported all the same"]
    assert {k: sorted(v) for k, v in notes.items()} == {
        "not recognised in the game": [f"{source}/cat.ndjson: line {n}" for n in (1, 4, 7)]
    }
