"""Files from strangers: more than ten thousand broken and hostile ones, made by hypothesis.

Whatever is in a file, it is read, or refused with one UserError that names the file and a reason.
It is never executed, nothing is written outside the folder, and nobody waits for ever: each input
has a deadline.
"""

import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_export import coloured

from dfsbir_lite import adopt
from dfsbir_lite.__main__ import _changes
from dfsbir_lite.data import folder_set, read_image
from dfsbir_lite.files import load_state, load_weights, save_state, sha256_of, write_json
from dfsbir_lite.gallery import export_gallery, open_gallery, photos_of_set
from dfsbir_lite.models import SceneEstimator
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import UserError
from dfsbir_lite.students import load_encoders, new_encoders, save_encoders
from dfsbir_lite.synthesis import load_scenes, save_scenes
from dfsbir_lite.teachers import load_teacher, save_teacher
from importers.archives import unpack
from quickdraw import drawings

EACH = 700  # inputs for each of the tests below: together more than ten thousand
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

fuzz = settings(
    max_examples=EACH,
    deadline=timedelta(seconds=60),
    derandomize=True,  # the same inputs on every machine
    database=None,
    suppress_health_check=list(HealthCheck),
)

# --- ways to break a file ---------------------------------------------------------------------

EXTREME = [struct.pack("<q", n) for n in (0, -1, 1, 2**31 - 1, 2**31, 2**62, -(2**63))]
cuts = st.integers(0, 2**16)


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """`whole` with one to four wounds."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(cuts) % (len(data) + 1)
        until = at + draw(st.integers(0, 64))
        kind = draw(st.sampled_from(("flip", "cut", "lose", "repeat", "insert", "extreme")))
        if kind == "cut":
            del data[at:]
        elif kind == "lose":
            del data[at:until]
        elif kind == "repeat":
            data[at:at] = data[at:until]
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=16))
        elif kind == "extreme":
            data[at : at + 8] = draw(st.sampled_from(EXTREME))
        elif at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8)
)
values = st.recursive(
    plain,
    lambda more: (
        st.lists(more, max_size=4) | st.dictionaries(st.text(max_size=5), more, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def other_values(draw, whole: dict) -> dict:
    """`whole` with one or two of its values, at any depth, replaced or gone."""
    whole = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 2))):
        node = whole
        while True:
            if not node:
                break
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys))
            if isinstance(node[key], (dict, list)) and draw(st.booleans()):
                node = node[key]
                continue
            if draw(st.integers(0, 4)):
                node[key] = draw(values)
            else:
                del node[key]
            break
    return whole


def accepted(read, path, *arguments) -> bool:
    """Whether `read` took the file; if not, it told so as it should, and in no other way."""
    try:
        read(path, *arguments)
    except UserError as refusal:
        told = str(refusal)
        assert str(path.with_suffix("")) in told  # the file, its card, or what is in the folder
        assert len(told.replace(str(path), "")) > 10, "no reason is given"
        assert len(told) < 2000
        return False
    return True


# --- weights, cards and states ----------------------------------------------------------------


def with_card(path: Path, card: dict) -> None:
    """Puts `card` beside the file with the hash that the file has now, so that it gets further."""
    write_json(path.with_suffix(".json"), {**card, "sha256": sha256_of(path)})


@pytest.fixture
def student(tmp_path, tiny) -> Path:
    path = tmp_path / "student.safetensors"
    save_encoders(path, new_encoders(tiny, 3), {"name": "tiny"})
    return path


@pytest.fixture
def teacher(tmp_path, make_teacher) -> Path:
    path = tmp_path / "teacher.safetensors"
    save_teacher(path, make_teacher(("ant", "bee", "cat")), {"name": "tiny"})
    return path


def test_damaged_weights(student):
    whole, (_, card) = student.read_bytes(), load_weights(student)

    @fuzz
    @given(damaged(whole))
    def each(data):
        student.write_bytes(data)
        with_card(student, card)
        accepted(load_encoders, student)

    each()


def test_a_damaged_file_never_has_the_hash_of_its_card(student):
    whole = student.read_bytes()

    @fuzz
    @given(damaged(whole))
    def each(data):
        student.write_bytes(data)
        assert accepted(load_weights, student) == (data == whole)

    each()


@pytest.fixture
def scenes(tmp_path) -> Path:
    path = tmp_path / "scenes.safetensors"
    save_scenes(path, SceneEstimator(16, 5, 4, objects=2), {"name": "tiny"})
    return path


LOADERS = [("student", load_encoders), ("teacher", load_teacher), ("scenes", load_scenes)]


@pytest.mark.parametrize("kind, load", LOADERS)
def test_cards_that_tell_nonsense(request, kind, load):
    path = request.getfixturevalue(kind)
    _, card = load_weights(path)

    @fuzz
    @given(other_values(card))
    def each(other):
        with_card(path, other)
        accepted(load, path)

    each()


def test_cards_that_are_no_json(student):
    card = student.with_suffix(".json")
    whole = card.read_bytes()

    @fuzz
    @given(damaged(whole) | st.binary(max_size=64))
    def each(data):
        card.write_bytes(data)
        accepted(load_encoders, student)

    each()


def test_damaged_states(tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(path, {"index": 3, "rows": [torch.zeros(2, 2), {"deep": torch.ones(3)}]})
    whole = path.read_bytes()

    @fuzz
    @given(damaged(whole))
    def each(data):
        path.write_bytes(data)
        accepted(load_state, path)

    each()


# --- weights of others: never executed --------------------------------------------------------


class Bomb:
    """What a pickle can do: call any function with any arguments when it is opened."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_pth_files_are_never_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, mark = tmp_path / "mine.pth", tmp_path / "executed"
    safe, legacy = io.BytesIO(), io.BytesIO()
    state = {"fc.weight": torch.zeros(3, 4), "fc.bias": torch.zeros(3)}
    torch.save(state, safe)
    torch.save(state, legacy, _use_new_zipfile_serialization=False)
    bombs = [Bomb(Path.touch, mark), Bomb(os.system, f"touch {mark}"), Bomb(exec, "1/0")]
    files = [safe.getvalue(), legacy.getvalue(), *(pickle.dumps({"fc": bomb}) for bomb in bombs)]

    @fuzz
    @given(st.sampled_from(files).flatmap(damaged) | st.sampled_from(files[2:]))
    def each(data):
        path.write_bytes(data)
        accepted(adopt._read, path)
        assert not mark.exists()

    each()


# --- images and folders of them ---------------------------------------------------------------


def pictures() -> list[bytes]:
    """A small picture in each format that folders may hold."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    found = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
        file = io.BytesIO()
        image.save(file, kind)
        found.append(file.getvalue())
    return found


def test_damaged_images(tmp_path):
    path = tmp_path / "image.png"

    @fuzz
    @given(st.sampled_from(pictures()).flatmap(damaged) | st.binary(max_size=256))
    def each(data):
        path.write_bytes(data)
        if accepted(read_image, path, 16):
            assert read_image(path, 16).shape == (3, 16, 16)

    each()


def test_folders_with_any_names(tmp_path):
    png = pictures()[0]
    names = st.text(min_size=1, max_size=12).filter(
        lambda name: not set(name) & {"/", "\0"} and name not in (".", "..")
    )

    @fuzz
    @given(st.dictionaries(names, st.lists(names, max_size=2), max_size=3), st.integers())
    def each(classes, number):
        root = tmp_path / f"{number}"
        for folder, files in classes.items():
            try:
                (root / folder).mkdir(parents=True, exist_ok=True)
                for file in files:
                    (root / folder / f"{file}.png").write_bytes(png)
            except (OSError, UnicodeError):
                return  # a name that this file system does not have
        if accepted(folder_set, root, 16, "photo"):
            found = folder_set(root, 16, "photo")
            assert len(found) == len(found.labels) and len(found.classes) >= 2

    each()


# --- archives ---------------------------------------------------------------------------------

hostile = st.lists(
    st.sampled_from(["..", ".", "/", "a", "b.png", "C:", "\\", "con", "\0", "~", "é", " "]),
    min_size=1,
    max_size=5,
).map("/".join)


def zipped(members) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def tarred(members, mode="w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


PACKERS = {
    "a.zip": zipped,
    "a.tar": tarred,
    "a.tar.gz": lambda members: tarred(members, "w:gz"),
}


@pytest.mark.parametrize("kind", PACKERS)
def test_archives_never_write_outside(tmp_path, kind):
    path, folder = tmp_path / kind, tmp_path / "deep" / "unpacked"
    whole = PACKERS[kind]([("png/cat/1.png", b"one" * 99), ("png/dog/2.png", b"two")])
    members = st.lists(st.tuples(hostile, st.binary(max_size=40)), max_size=3)

    @fuzz
    @given(damaged(whole) | members.map(PACKERS[kind]))
    def each(data):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        path.write_bytes(data)
        accepted(unpack, path, folder)
        assert {p.name for p in tmp_path.iterdir()} == {kind, "deep"}
        assert [p.name for p in folder.parent.iterdir()] == ["unpacked"]
        assert not any(p.is_symlink() for p in folder.rglob("*"))

    each()


# --- Quick, Draw! -----------------------------------------------------------------------------

DRAWING = {"word": "cat", "drawing": [[[0, 10, 255], [0, 99, 255]], [[5, 7], [7, 5]]]}


def load_all(path: Path, reader) -> None:
    """Loads every item of a file; tells what is wrong with one as an import does."""
    for item in reader(path, str(path), 16, 5):
        assert item.load().mode == "RGB"


def test_drawings_that_are_none(tmp_path):
    path = tmp_path / "cat.ndjson"
    whole = json.dumps(DRAWING).encode()

    @fuzz
    @given(damaged(whole) | other_values(DRAWING).map(lambda x: json.dumps(x).encode()))
    def each(data):
        path.write_bytes(data + b"\n" + whole)
        accepted(load_all, path, drawings)

    each()


# --- exported galleries -----------------------------------------------------------------------


def test_damaged_galleries(tmp_path, tiny):
    folder = tmp_path / "out"
    encoders = new_encoders(tiny, 3).eval()
    export_gallery(folder, encoders, {"name": "tiny"}, photos_of_set(coloured(5)))
    files = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    index = folder / "gallery.json"

    @fuzz
    @given(st.data())
    def each(data):
        hurt = data.draw(st.sampled_from(sorted(files)))
        hurt.write_bytes(data.draw(damaged(files[hurt])))
        if data.draw(st.booleans()) and hurt != index:  # an index that knows of the damage
            told = json.loads(files[index])
            told["parts"][hurt.relative_to(folder).as_posix()] = sha256_of(hurt)
            index.write_text(json.dumps(told))
        try:
            open_gallery(folder)
        except UserError as refusal:
            assert str(folder) in str(refusal)
        finally:
            for path in (hurt, index):
                path.write_bytes(files[path])

    each()


def test_an_index_that_tells_nonsense(tmp_path, tiny):
    folder = tmp_path / "out"
    encoders = new_encoders(tiny, 3).eval()
    export_gallery(folder, encoders, {"name": "tiny"}, photos_of_set(coloured(5)))
    index = folder / "gallery.json"
    whole = json.loads(index.read_text())

    @fuzz
    @given(other_values(whole))
    def each(other):
        index.write_text(json.dumps(other))
        accepted(open_gallery, folder)

    each()


# --- settings ---------------------------------------------------------------------------------


def test_settings_are_taken_or_refused_by_name():
    known = sorted({**vars(recipe("kit")), **recipe("kit").weights.snapshot()}.keys() - {"weights"})
    names = st.sampled_from(known) | st.text(min_size=3, max_size=8)

    @fuzz
    @given(st.dictionaries(names, st.text(max_size=8) | st.floats().map(str), max_size=3))
    def each(changes):
        try:
            changed = recipe("kit", **_changes([f"{k}={v}" for k, v in changes.items()]))
        except UserError as refusal:
            names = {name.partition("=")[0] for name in changes}
            assert any(n in str(refusal) or repr(n) in str(refusal) for n in names)
        else:
            assert all(0 <= weight < float("inf") for weight in vars(changed.weights).values())

    each()
