"""A student and its gallery go to one folder and come back whole, or not at all."""

import io
import json
import pickle
import shutil
import subprocess
import sys
import weakref
from math import log, sqrt
from pathlib import Path

import nbformat
import pytest
import torch
from PIL import Image

from dfsbir_lite import retrieval
from dfsbir_lite.__main__ import main
from dfsbir_lite.data import ImageSet, folder_set
from dfsbir_lite.files import save_state, sha256_of, write_json
from dfsbir_lite.gallery import (
    Photos,
    export_gallery,
    onnx_bytes,
    open_gallery,
    photos_of_folder,
    photos_of_set,
)
from dfsbir_lite.models import Encoders
from dfsbir_lite.runtime import PROFILES, UserError
from dfsbir_lite.students import load_encoders, new_encoders, save_encoders
from dfsbir_lite.widgets import DrawAndSearch

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "05_draw_and_search.ipynb"
CLASSES = ("ant", "bee", "cat")
COUNT = 70  # photos: a sheet of 64, and six more


def colour(place: int) -> torch.Tensor:
    return torch.tensor([3 * place, 255 - 3 * place, 40])


def coloured(count: int = COUNT) -> ImageSet:
    """Photos of one colour each, of the classes in turn."""
    images = torch.stack([colour(n) for n in range(count)]).byte().view(-1, 3, 1, 1)
    labels = torch.arange(count) % len(CLASSES)
    return ImageSet(images.expand(-1, -1, 16, 16), labels, CLASSES, "photo")


@pytest.fixture
def encoders(tiny):
    return new_encoders(tiny, len(CLASSES)).eval()


@pytest.fixture
def folder(tmp_path, encoders):
    """An export with two sheets."""
    export_gallery(tmp_path / "out", encoders, {"name": "tiny"}, photos_of_set(coloured()))
    return tmp_path / "out"


# --- what is in it ----------------------------------------------------------------------------


def test_embeddings_worked_out_by_hand(tmp_path):
    encoders = Encoders((8, 16), embed_dim=2, classes=2, temperature=1.0).eval()
    with torch.no_grad():
        encoders.proxies.copy_(torch.eye(2))
        encoders.photo.fc.weight.zero_()  # so every photo lies at the bias
        encoders.photo.fc.bias.copy_(torch.tensor([log(3.0), 0.0]))
    export_gallery(tmp_path / "out", encoders, {}, photos_of_set(coloured(2)))
    gallery = open_gallery(tmp_path / "out")
    # softmax (3/4, 1/4), less 1/2 each: (1/4, -1/4), of length 1
    expected = torch.tensor([[1, -1], [1, -1]]) / sqrt(2)
    assert torch.allclose(gallery.embeddings, expected, atol=1e-6)
    assert gallery.embeddings.dtype == torch.float32


def test_each_thumbnail_is_where_it_belongs(folder):
    gallery = open_gallery(folder)
    with Image.open(folder / "sheets" / "0000.jpg") as sheet:
        assert sheet.size == (8 * 16, 8 * 16)
        expected = colour(8 + 2).tolist()  # second row, third column
        assert sheet.getpixel((2 * 16 + 15, 16)) == pytest.approx(expected, abs=3)
    assert len(list((folder / "sheets").iterdir())) == 2
    assert len(gallery) == len(gallery.images) == COUNT
    for place in (0, 7, 8, 63, 64, 69, -1):
        assert gallery.thumbnails[place].shape == (3, 16, 16)
        wanted = colour(place % COUNT).view(3, 1, 1)
        assert (gallery.thumbnails[place].int() - wanted).abs().max() <= 3
    with pytest.raises(IndexError):
        gallery.thumbnails[COUNT]


def test_thumbnails_may_be_larger_than_what_the_encoder_sees(tmp_path, encoders):
    def large(place):
        picture = torch.zeros(3, 48, 48, dtype=torch.uint8)
        picture[:, :24] = 200  # the upper half
        return picture

    export_gallery(tmp_path / "out", encoders, {}, photos_of_set(coloured(3), large))
    gallery = open_gallery(tmp_path / "out")
    assert gallery.thumbnails.shape == (3, 3, 48, 48) and gallery.images.shape == (3, 3, 16, 16)
    assert gallery.images[2].shape == (3, 16, 16) and gallery.images[2].dtype == torch.uint8
    rows = gallery.images[2].float().mean((0, 2))
    assert rows.tolist() == pytest.approx([200] * 8 + [0] * 8, abs=6)


def test_labels_classes_names_card_and_weights_come_back(folder, encoders):
    gallery = open_gallery(folder)
    assert gallery.classes == CLASSES and gallery.size == 16
    assert torch.equal(gallery.labels, torch.arange(COUNT) % 3)
    assert gallery.files[:2] == ["ant/0", "bee/1"] and len(gallery.files) == COUNT
    assert gallery.card["name"] == "tiny" and gallery.card["embed_dim"] == 8
    for was, now in zip(encoders.state_dict().values(), gallery.encoders.state_dict().values()):
        assert torch.allclose(was, now, atol=1e-3)  # half precision
    images = coloured().images
    own = retrieval.embed(gallery.encoders.embed, images, "photo")
    assert torch.allclose(own, gallery.embeddings, atol=1e-5)


def test_a_folder_of_photos_gives_what_its_images_give(tmp_path, encoders, write_folders):
    root = write_folders(tmp_path)[0] / "test"
    export_gallery(tmp_path / "out", encoders, {}, photos_of_folder(root, 16))
    gallery, photos = open_gallery(tmp_path / "out"), folder_set(root, 16, "photo")
    own = retrieval.embed(gallery.encoders.embed, photos.images, "photo")
    assert torch.allclose(own, gallery.embeddings, atol=1e-5)
    assert torch.equal(gallery.labels, photos.labels) and gallery.classes == photos.classes
    assert gallery.files[3:5] == ["left/3.png", "right/0.png"]
    assert gallery.thumbnails.shape == (12, 3, 96, 96)
    assert str(tmp_path) not in "".join(p.read_text() for p in (tmp_path / "out").glob("*.json"))


def test_one_draws_and_searches_in_it_as_in_memory(folder):
    gallery, photos = open_gallery(folder), coloured()
    readouts = {"student": gallery.encoders.embed}
    known = {"student": gallery.embeddings}
    there = DrawAndSearch(readouts, gallery, gallery.thumbnails.__getitem__, rows=known)
    here = DrawAndSearch(readouts, photos)
    assert there.names() == here.names() and len(there.names()) == 10
    assert torch.allclose(there.found[0], here.found[0], atol=1e-5)
    there.explain.value = True
    assert "<img" in there.views.value and there.shown()[1].shape == (10, 3, 16, 16)


def test_only_one_sheet_of_pictures_is_in_memory_at_a_time(tmp_path, encoders):
    alive, most = set(), 0

    def read(place):
        nonlocal most
        picture = torch.zeros(3, 16, 16, dtype=torch.uint8)
        weakref.finalize(picture, alive.remove, place)
        alive.add(place)
        most = max(most, len(alive))
        return picture, picture

    export_gallery(tmp_path / "out", encoders, {}, Photos(CLASSES, [0] * 640, [""] * 640, 16, read))
    assert len(open_gallery(tmp_path / "out")) == 640 and most <= 2 * 64


# --- never half a folder ----------------------------------------------------------------------


def failing(place: int, error: BaseException) -> Photos:
    """Photos of which the one at `place` cannot be read."""
    good = photos_of_set(coloured())

    def read(n):
        if n == place:
            raise error
        return good.read(n)

    return Photos(CLASSES, good.labels, good.files, 16, read)


@pytest.mark.parametrize("error", [UserError("no image"), OSError("disk"), KeyboardInterrupt()])
def test_an_error_in_the_middle_leaves_nothing(tmp_path, encoders, error):
    with pytest.raises(type(error)):
        export_gallery(tmp_path / "out", encoders, {}, failing(66, error))
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_middle_leaves_the_older_export(folder, encoders):
    before = open_gallery(folder).embeddings
    with pytest.raises(OSError, match="disk"):
        export_gallery(folder, encoders, {}, failing(66, OSError("disk")))
    assert torch.equal(open_gallery(folder).embeddings, before)
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


def test_an_older_export_comes_back_if_the_new_one_cannot_be_moved(folder, encoders, monkeypatch):
    rename = Path.rename

    def only_old_ones(self, target):
        if self.name.startswith(".out") and not self.name.endswith(".old"):
            raise OSError("in use")
        return rename(self, target)

    with monkeypatch.context() as disk:
        disk.setattr(Path, "rename", only_old_ones)
        with pytest.raises(OSError, match="in use"):
            export_gallery(folder, encoders, {}, photos_of_set(coloured(5)))
    assert len(open_gallery(folder)) == COUNT
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


def test_an_export_and_an_empty_folder_are_replaced(folder, encoders):
    export_gallery(folder, encoders, {}, photos_of_set(coloured(5)))
    assert len(open_gallery(folder)) == 5
    assert [p.name for p in (folder / "sheets").iterdir()] == ["0000.jpg"]
    (folder.parent / "empty").mkdir()
    export_gallery(folder.parent / "empty", encoders, {}, photos_of_set(coloured(5)))
    assert sorted(p.name for p in folder.parent.iterdir()) == ["empty", "out"]


@pytest.mark.parametrize(
    "name, told",
    [
        ("thesis/chapter.tex", "thesis: holds something else than an export"),
        ("out/notes.txt", r"out: holds notes\.txt, which is not of the export"),
        ("out/sheets/mine.jpg", r"out: holds sheets/mine\.jpg"),
        ("file", "file: a file"),
    ],
)
def test_what_is_no_export_is_not_replaced(folder, encoders, name, told):
    path = folder.parent / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("years of work")
    with pytest.raises(UserError, match=told):
        export_gallery(folder.parent / Path(name).parts[0], encoders, {}, photos_of_set(coloured()))
    assert path.read_text() == "years of work" and len(open_gallery(folder)) == COUNT


def test_a_student_without_sense_and_a_gallery_without_photos_are_refused(tmp_path, encoders):
    with pytest.raises(UserError, match="at least one photo"):
        export_gallery(tmp_path / "out", encoders, {}, photos_of_set(coloured().only(())))
    with torch.no_grad():
        encoders.proxies.fill_(float("nan"))
    with pytest.raises(UserError, match="not all of unit length"):
        export_gallery(tmp_path / "out", encoders, {}, photos_of_set(coloured()))
    assert list(tmp_path.iterdir()) == []


# --- what is damaged is refused, by name ------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


PARTS = (
    "student.safetensors",
    "student.json",
    "embeddings.safetensors",
    "photos.json",
    "sheets/0000.jpg",
    "sheets/0001.jpg",
)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", [Path.unlink, cut, flip, empty])
def test_a_damaged_part_is_named(folder, part, damage):
    damage(folder / part)
    told = "no such file" if damage is Path.unlink else "damaged, or not the file that gallery.json"
    with pytest.raises(UserError, match=f"{part}: {told}"):
        open_gallery(folder)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_another_export_is_named(folder, tiny, part):
    other = folder.with_name("other")
    images = coloured(COUNT + 1).images[1:]
    photos = ImageSet(images, torch.zeros(COUNT).long(), CLASSES, "photo")
    export_gallery(other, new_encoders(tiny, 3, seed=5).eval(), {}, photos_of_set(photos))
    shutil.copy(other / part, folder / part)
    with pytest.raises(UserError, match=f"{part}: damaged, or not the file"):
        open_gallery(folder)


def change(index: dict, **facts) -> str:
    return json.dumps({**index, **facts})


def without(index: dict, name: str) -> str:
    return change(index, parts={k: v for k, v in index["parts"].items() if k != name})


@pytest.mark.parametrize(
    "spoil, told",
    [
        (lambda index: "", "not the index of an export"),
        (lambda index: "[]", "not the index of an export"),
        (lambda index: json.dumps(index)[:-9], "not the index of an export"),
        (lambda index: change(index, format="recipe"), "not the index of an export"),
        (lambda index: change(index, version=2), "of format 2; this version reads 1"),
        (lambda index: change(index, photos="many"), "damaged: photos, size, thumbnail are"),
        (lambda index: change(index, size=0), "damaged: photos, size, thumbnail are"),
        (lambda index: change(index, photos=1000), "does not list the files of 1000 photos"),
        (lambda index: change(index, parts=[]), "does not list the files"),
        (lambda index: without(index, "photos.json"), "does not list the files"),
        (
            lambda index: change(index, parts={**index["parts"], "../secret": "0"}),
            "does not list the files",
        ),
    ],
)
def test_a_damaged_index_is_named(folder, spoil, told):
    path = folder / "gallery.json"
    path.write_text(spoil(json.loads(path.read_text())))
    with pytest.raises(UserError, match=rf"gallery\.json: .*{told}"):
        open_gallery(folder)


def test_what_is_no_export_is_not_opened(tmp_path, folder):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=rf"{path}/gallery\.json: no such file"):
            open_gallery(path)


def sign(folder: Path, part: str) -> None:
    """Makes the index vouch for a changed part."""
    path = folder / "gallery.json"
    index = json.loads(path.read_text())
    index["parts"][part] = sha256_of(folder / part)
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    "rows",
    [torch.ones(COUNT, 8), torch.full((COUNT, 8), float("nan")), torch.eye(8), torch.eye(COUNT), 7],
)
def test_embeddings_that_do_not_fit_are_named(folder, rows):
    save_state(folder / "embeddings.safetensors", {"embeddings": rows})
    sign(folder, "embeddings.safetensors")
    with pytest.raises(UserError, match=r"embeddings\.safetensors: does not hold 70 rows of 8"):
        open_gallery(folder)


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"labels": [0] * 69}, "69 labels, 70 files for 70 photos"),
        ({"files": []}, "70 labels, 0 files"),
        ({"labels": [3] * 70}, "not of one of the 3 classes"),
        ({"labels": [-1] * 70}, "not of one of the 3 classes"),
        ({"labels": ["ant"] * 70}, "not of one of the 3 classes"),
        ({"classes": None}, "needs lists of classes"),
    ],
)
def test_a_table_that_does_not_fit_is_named(folder, changes, told):
    table = json.loads((folder / "photos.json").read_text())
    write_json(folder / "photos.json", {**table, **changes})
    sign(folder, "photos.json")
    with pytest.raises(UserError, match=rf"photos\.json: .*{told}"):
        open_gallery(folder)


def test_a_sheet_that_is_no_image_is_named_when_it_is_looked_at(folder):
    (folder / "sheets" / "0001.jpg").write_text("no image")
    sign(folder, "sheets/0001.jpg")
    gallery = open_gallery(folder)
    assert gallery.thumbnails[63].shape == (3, 16, 16)
    with pytest.raises(UserError, match=r"sheets/0001\.jpg: not an image"):
        gallery.thumbnails[64]


class Bomb:
    """Unpickled, it ends the test."""

    def __reduce__(self):
        return pytest.exit, ("unpickled",)


@pytest.mark.parametrize("part", ["student.safetensors", "embeddings.safetensors"])
def test_nothing_is_unpickled(folder, part):
    buffer = io.BytesIO()
    torch.save({"embeddings": Bomb()}, buffer)
    for data in (pickle.dumps(Bomb()), buffer.getvalue()):
        (folder / part).write_bytes(data)
        card = json.loads((folder / "student.json").read_text())
        write_json(folder / "student.json", {**card, "sha256": sha256_of(folder / part)})
        sign(folder, "student.json")
        sign(folder, part)
        with pytest.raises(UserError, match=r"safetensors: (not a readable|damaged)"):
            open_gallery(folder)


# --- ONNX -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_onnx_gives_the_same_embeddings(tmp_path, encoders):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"needs {package}: pip install {package}")
    import onnxruntime

    export_gallery(tmp_path / "out", encoders, {}, photos_of_set(coloured()), onnx=True)
    saved = open_gallery(tmp_path / "out").encoders
    for modality in ("photo", "sketch"):
        data = (tmp_path / "out" / f"{modality}.onnx").read_bytes()
        assert b".py" not in data  # nor the folders that it was made in
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        assert session.get_inputs()[0].shape == ["batch", 3, 16, 16]
        for count in (1, 5):
            images = torch.rand(count, 3, 16, 16)
            (rows,) = session.run(["embeddings"], {"images": images.numpy()})
            assert rows.shape == (count, 8)
            expected = saved.embed(images, modality)
            assert torch.allclose(torch.from_numpy(rows), expected, atol=1e-4)


def test_onnx_files_are_checked_like_the_others(folder):
    path = folder / "photo.onnx"
    path.write_bytes(b"a network")
    sign(folder, "photo.onnx")
    assert len(open_gallery(folder)) == COUNT
    cut(path)
    with pytest.raises(UserError, match=r"photo\.onnx: damaged, or not the file"):
        open_gallery(folder)


def test_a_missing_package_is_told_before_any_work(tmp_path, encoders, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="pip install onnx onnxscript"):
        onnx_bytes(encoders, "photo", 16)
    with pytest.raises(UserError, match="pip install onnx onnxscript"):
        export_gallery(tmp_path / "out", encoders, {}, failing(0, OSError()), onnx=True)
    assert list(tmp_path.iterdir()) == []


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch, tiny, encoders, write_folders):
    """`command(*more)` exports a tiny student and folders of photos; returns the exit status."""
    monkeypatch.setitem(PROFILES, "tiny", tiny)
    monkeypatch.setenv("DFSBIR_QUIET", "1")
    monkeypatch.chdir(tmp_path)
    save_encoders("student.safetensors", encoders, {"name": "mine"})
    write_folders(tmp_path)
    given = ["export", "--profile", "tiny", "--device", "cpu", "--student", "student.safetensors"]
    return lambda *more: main([*given, "--photos", "photos/test", *more])


def test_the_command_exports_a_student_and_its_photos(command, capsys):
    assert command() == 0
    told = capsys.readouterr().out
    assert told == "the student and 12 photos of 3 classes: runs/gallery\n"
    gallery = open_gallery("runs/gallery")
    assert gallery.card["name"] == "mine" and gallery.files[0] == "left/0.png"
    saved = load_encoders("student.safetensors").state_dict()
    assert all(torch.equal(v, saved[k]) for k, v in gallery.encoders.state_dict().items())


def test_without_photos_the_gallery_is_toybox(command):
    assert command("--photos", "", "--out", "toys") == 0
    gallery = open_gallery("toys")
    assert len(gallery) == 16 * 3 and len(gallery.classes) == 16
    assert gallery.thumbnails.shape == (48, 3, 96, 96) and gallery.images.shape[-1] == 16


@pytest.mark.parametrize(
    "more, told",
    [
        (["--student", "none.safetensors"], "none.safetensors: no such file"),
        (["--profile", "laptop"], "student.safetensors: not of the sizes of profile laptop"),
        (["--photos", "nowhere"], "nowhere: no such folder"),
        (["--out", "photos"], "photos: holds something else than an export"),
    ],
)
def test_mistakes_are_told_in_one_line(command, more, told, capsys):
    assert command(*more) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and told in err and err.count("\n") == 1


def test_a_photo_that_cannot_be_read_is_named(command, capsys):
    Path("photos/test/left/3.png").write_bytes(b"no picture")
    assert command() == 2
    assert "photos/test/left/3.png: not an image" in capsys.readouterr().err
    assert list(Path("runs").iterdir()) == []


def test_an_interruption_leaves_nothing_and_says_so(command, capsys, monkeypatch):
    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("dfsbir_lite.data.open_image", interrupted)
    assert command() == 2
    assert capsys.readouterr().err == "error: stopped; nothing was written\n"
    assert list(Path("runs").iterdir()) == []


@pytest.mark.slow
def test_the_notebook_runs_on_an_export(tmp_path, write_folders):
    student = Encoders((4, 8, 16), embed_dim=8, classes=3).eval()
    photos = photos_of_folder(write_folders(tmp_path)[0] / "test", 48)
    export_gallery(tmp_path / "mine", student, {}, photos)
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = "\n".join(["", *(cell.source for cell in cells if cell.cell_type == "code")])
    assert code.count("\nFOLDER = None") == 1
    code = code.replace("\nFOLDER = None", "\nFOLDER = 'mine'").replace("\n%", "\n# ")
    code += "\nprint(tuple(search.sketch.shape), len(search.photos))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("(3, 48, 48) 12\n")
