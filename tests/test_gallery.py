"""A student and its gallery go to one folder and come back whole, or not at all."""

import json
import re
from math import log, sqrt
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from dfsbir_lite import retrieval
from dfsbir_lite.__main__ import main
from dfsbir_lite.data import ImageSet, folder_set
from dfsbir_lite.files import sha256_of, write_json
from dfsbir_lite.gallery import (
    Photos,
    export,
    export_gallery,
    open_gallery,
    photos_below,
    photos_of_folder,
    photos_of_set,
)
from dfsbir_lite.models import Encoders
from dfsbir_lite.runtime import UserError
from dfsbir_lite.strokes import redraw
from dfsbir_lite.students import new_encoders
from dfsbir_lite.teachers import save_teacher
from dfsbir_lite.widgets import DrawAndSearch

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
    # softmax (3/4, 1/4), less 1/2 each: (1/4, -1/4), of length 1
    expected = torch.tensor([[1, -1], [1, -1]]) / sqrt(2)
    torch.testing.assert_close(open_gallery(tmp_path / "out").embeddings, expected)


def test_each_thumbnail_is_where_it_belongs(folder):
    gallery = open_gallery(folder)
    with Image.open(folder / "sheets" / "0000.jpg") as sheet:
        assert sheet.size == (8 * 16, 8 * 16)
        expected = colour(8 + 2).tolist()  # second row, third column
        assert sheet.getpixel((2 * 16 + 15, 16)) == pytest.approx(expected, abs=3)
    assert len(list((folder / "sheets").iterdir())) == 2
    assert len(gallery) == COUNT
    for place in (0, 7, 8, 63, 64, 69, -1):
        assert gallery.thumbnails[place].shape == (3, 16, 16)
        wanted = colour(place % COUNT).view(3, 1, 1)
        assert (gallery.thumbnails[place].int() - wanted).abs().max() <= 3
    with pytest.raises(IndexError):
        gallery.thumbnails[COUNT]


def test_thumbnails_may_be_larger_than_what_the_encoder_sees(tmp_path, encoders):
    large = torch.zeros(3, 48, 48, dtype=torch.uint8)
    large[:, :24] = 200  # the upper half
    photos = photos_of_set(coloured(3), lambda place: large)
    export_gallery(tmp_path / "out", encoders, {}, photos)
    gallery = open_gallery(tmp_path / "out")
    assert gallery.thumbnails.shape == (3, 3, 48, 48) and gallery.images.shape == (3, 3, 16, 16)
    assert gallery.images[2].shape == (3, 16, 16) and gallery.images[2].dtype == torch.uint8
    rows = gallery.images[2].float().mean((0, 2))
    assert rows.tolist() == pytest.approx([200] * 8 + [0] * 8, abs=6)


def test_a_folder_of_photos_gives_what_its_images_give(tmp_path, encoders, write_folders):
    root = write_folders(tmp_path)[0] / "test"
    export_gallery(tmp_path / "out", encoders, {"name": "tiny"}, photos_of_folder(root, 16))
    gallery, photos = open_gallery(tmp_path / "out"), folder_set(root, 16, "photo")
    own = retrieval.embed(gallery.encoders.embed, photos.images, "photo")
    assert torch.allclose(own, gallery.embeddings, atol=1e-5)
    assert torch.equal(gallery.labels, photos.labels) and gallery.classes == photos.classes
    assert gallery.files[3:5] == ["left/3.png", "right/0.png"]
    assert gallery.card["name"] == "tiny" and gallery.card["embed_dim"] == 8
    for was, now in zip(encoders.state_dict().values(), gallery.encoders.state_dict().values()):
        assert torch.allclose(was, now, atol=1e-3)  # half precision
    assert gallery.thumbnails.shape == (12, 3, 96, 96)
    assert str(tmp_path) not in "".join(p.read_text() for p in (tmp_path / "out").glob("*.json"))


def test_a_sketch_finds_the_same_photos_in_it_as_in_memory(folder):
    gallery, photos = open_gallery(folder), coloured()
    readouts, known = {"student": gallery.encoders.embed}, {"student": gallery.embeddings}
    there = DrawAndSearch(readouts, gallery, gallery.thumbnails.__getitem__, rows=known)
    here = DrawAndSearch(readouts, photos)
    assert there.names() == here.names() and len(there.names()) == 10
    assert torch.allclose(there.found[0], here.found[0], atol=1e-5)
    assert there.shown()[1].shape == (10, 3, 16, 16)


# --- never half a folder ----------------------------------------------------------------------


def failing(place: int, error: BaseException) -> Photos:
    """Photos of which the one at `place` cannot be read."""
    good = photos_of_set(coloured())

    def read(n):
        if n == place:
            raise error
        return good.read(n)

    return Photos(CLASSES, good.labels, good.files, 16, read)


def test_an_export_is_replaced_when_the_new_one_is_whole(folder, encoders, tiny):
    before = open_gallery(folder).embeddings
    for error in (OSError("disk"), KeyboardInterrupt()):
        for name in ("out", "new"):
            with pytest.raises(type(error)):
                export_gallery(folder.with_name(name), encoders, {}, failing(66, error))
    untrained = new_encoders(tiny, 3)
    torch.nn.init.constant_(untrained.proxies, float("nan"))
    with pytest.raises(UserError, match="not all of proxies is finite"):
        export_gallery(folder, untrained, {}, photos_of_set(coloured()))
    assert torch.equal(open_gallery(folder).embeddings, before)
    export_gallery(folder, encoders, {}, photos_of_set(coloured(5)))
    assert len(open_gallery(folder)) == 5
    assert [p.name for p in (folder / "sheets").iterdir()] == ["0000.jpg"]
    assert [p.name for p in folder.parent.iterdir() if p.name[0] != "."] == ["out"]


@pytest.mark.parametrize(
    "name, reason",
    [
        ("thesis/chapter.tex", "thesis: something else than an export"),
        ("out/notes.txt", r"out: holds notes\.txt, which is not of the export"),
        ("out/sheets/mine.jpg", r"out: holds sheets/mine\.jpg"),
        ("file", "file: something else than an export"),
    ],
)
def test_what_is_no_export_is_not_replaced(folder, encoders, name, reason):
    path = folder.parent / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("years of work")
    with pytest.raises(UserError, match=reason):
        export_gallery(folder.parent / Path(name).parts[0], encoders, {}, photos_of_set(coloured()))
    assert path.read_text() == "years of work" and len(open_gallery(folder)) == COUNT


# --- two classifiers and any folder of photos -------------------------------------------------

GROUPS = [[0, 1], [2], []]


def by_colour(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of three, of photos that show something known if they are not blue."""
    means = images.float().mean((2, 3)) + 1
    return means, means[:, 2] < means[:, :2].amax(1)


def write_photos(root: Path) -> None:
    """70 photos in folders of all kinds, and what lies about besides."""
    for n in range(COUNT):
        path = root / ("" if n % 3 else f"trip {n}/deep") / f"{n:02}<b>.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        rgb = (0, 0, 250) if n == 7 else tuple(colour(n).tolist())
        Image.new("RGB", (30 + n, 40), rgb).save(path)
    (root / "notes.txt").write_text("a foreign file")
    (root / "half.png").write_bytes((root / "01<b>.png").read_bytes()[:60])
    for litter in (".hidden.png", "trip 9/@eaDir/01<b>.png", "__MACOSX/a.png", "Thumbs.db"):
        (root / litter).parent.mkdir(exist_ok=True)
        (root / litter).write_bytes((root / "01<b>.png").read_bytes())


def matched_reader(folder: Path, make_teacher) -> dict[str, bytes]:
    look = {"size": 16, "fill": 0.9, "thinnest": 0.04, "thickest": 0.04, "paper": 255, "ink": 0}
    teacher = make_teacher(("ant", "bee", "cat", "dog"), 5)
    save_teacher(folder / "sketch.safetensors", teacher, {"rendering": look})
    reader = {path.name: path.read_bytes() for path in folder.glob("sketch.*")}
    return reader | {"matching.json": json.dumps({"groups": GROUPS}).encode()}


def matched_folder(tmp_path: Path, make_teacher) -> Path:
    """An export of two classifiers."""
    write_photos(tmp_path / "photos")
    photos = photos_below(tmp_path / "photos", 24, 16)
    summary = export(tmp_path / "out", matched_reader(tmp_path, make_teacher), photos, by_colour)
    assert summary == (COUNT, ["half.png", "notes.txt"], 1)
    return tmp_path / "out"


def test_any_folder_is_exported_and_what_is_no_photo_named(tmp_path, make_teacher):
    gallery = open_gallery(matched_folder(tmp_path, make_teacher))
    assert gallery.files[:2] == ["01<b>.png", "02<b>.png"]
    assert gallery.files[4] == "07<b>.png (no drawing for it)" == gallery.classes[gallery.labels[4]]
    assert gallery.files[-1] == "trip 9/deep/09<b>.png"
    means = torch.tensor([3 * 9, 255 - 3 * 9, 40]) + 1.0
    torch.testing.assert_close(gallery.embeddings[-1], means / means.norm(), atol=2e-3, rtol=0)
    assert gallery.thumbnails.shape == (COUNT, 3, 96, 96) and gallery.images.shape[-1] == 16
    assert (gallery.rendering.thickest, gallery.rendering.ink) == (0.04, 0)
    search = DrawAndSearch({"": gallery.encoders.embed}, gallery, rows={"": gallery.embeddings})
    assert search.sketch[0, 0, 0] == 255 and len(set(search.names())) == 10


def test_an_export_goes_on_where_it_was_interrupted(tmp_path, make_teacher):
    write_photos(tmp_path / "photos")
    photos = photos_below(tmp_path / "photos", 24, 16)
    reader, seen = matched_reader(tmp_path, make_teacher), []

    def interrupted(images):
        seen.append(len(images))
        if seen == [64, 6]:
            raise KeyboardInterrupt
        return by_colour(images)

    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "out", reader, photos, interrupted)
    assert not (tmp_path / "out").exists()
    export(tmp_path / "out", reader, photos, interrupted)
    assert seen == [64, 6, 6]
    export(tmp_path / "once", reader, photos, by_colour)
    indices = [(tmp_path / name / "gallery.json").read_text() for name in ("out", "once")]
    assert indices[0] == indices[1]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_folder_without_photos_is_named(tmp_path, make_teacher):
    reader, root = matched_reader(tmp_path, make_teacher), tmp_path / "photos"
    with pytest.raises(UserError, match="photos: no folder with files"):
        photos_below(root, 24, 16)
    root.mkdir()
    (root / "notes.txt").write_text("no photo")
    with pytest.raises(UserError, match=r"notes\.txt, \.\.\.: none of 1 files is a picture"):
        export(tmp_path / "out", reader, photos_below(root, 24, 16), by_colour)
    assert not [*tmp_path.glob("*out*"), *tmp_path.glob(".out*")]


class Stub:
    """A matching that looks at the red of photos alone."""

    report = "two groups"

    def __init__(self, photo, sketch):
        self.sketch_groups = GROUPS

    def photo_rows(self, logits):
        return logits.softmax(1)

    def known(self, logits):
        return torch.where(torch.arange(len(logits)) == 1, 0.4, 0.6)


def test_a_folder_of_photos_is_searched_by_the_drawing_in_a_file(
    tmp_path, monkeypatch, capsys, make_teacher
):
    monkeypatch.setattr("dfsbir_lite.adopt.Matching", Stub, raising=False)
    write_photos(tmp_path / "photos")
    matched_reader(tmp_path, make_teacher)
    save_teacher(tmp_path / "photo.safetensors", make_teacher(CLASSES, 3), {})
    given = ["--teachers", str(tmp_path), "--photos", str(tmp_path / "photos")]
    page, out = tmp_path / "page.html", tmp_path / "out"
    assert main(["export", *given, "--out", str(out), "--page", str(page), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "two groups" in said and f"{COUNT} photos" in said
    assert "2 files are no pictures: half.png, notes.txt" in said
    assert "2 photos show nothing" in said and page.is_file()  # the second of each sheet
    line, blank = (str(tmp_path / f"{name}.png") for name in ("line", "blank"))
    Image.new("RGB", (200, 100), "white").save(blank)
    drawing = Image.new("RGB", (200, 100), "white")
    drawing.paste("navy", (40, 20, 160, 26))
    drawing.save(line)
    nothing = Image.new("RGBA", (200, 100), (0, 0, 0, 0))
    nothing.paste("white", (40, 20, 160, 26))
    nothing.save(tmp_path / "white on nothing.png")
    gallery = open_gallery(out)
    query = retrieval.embed(gallery.encoders.embed, redraw(drawing, gallery.rendering)[None], "")
    cosines, places = (each[0].tolist() for each in retrieval.search(query, gallery.embeddings, 3))
    expected = [f"{cosine:.2f}  {gallery.files[n]}" for cosine, n in zip(cosines, places)]
    sheet = tmp_path / "found.png"
    for name in (line, str(tmp_path / "white on nothing.png")):
        assert main(["search", str(out), name, "-k", "3", "--show", str(sheet)]) == 0
        first, *rest = capsys.readouterr().out.splitlines()
        assert re.fullmatch(r"read as ant \d\d%, cat \d\d%", first)
        assert rest == expected and sheet.is_file()
        sheet.unlink()
    for wrong in ([str(out), blank], [str(tmp_path), line], [str(out), "missing.png"]):
        assert main(["search", *wrong]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].endswith("blank.png: nothing is drawn here")
    assert errors[1].endswith("gallery.json: no such file")
    assert errors[2] == "error: missing.png: no such file"
    assert main(["export", *given, "--out", str(tmp_path / "photos/out"), "--device", "cpu"]) == 2
    assert "--out lies in the folder of photos" in capsys.readouterr().err
    (tmp_path / "photo.safetensors").unlink()
    assert main(["export", *given, "--out", str(out), "--device", "cpu"]) == 2
    assert "photo.safetensors: no such file" in capsys.readouterr().err


# --- what is damaged is refused, by name ------------------------------------------------------


PARTS = ("student.safetensors", "student.json", "embeddings.safetensors", "photos.json")
PARTS += ("sheets/0000.jpg", "sheets/0001.jpg")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_a_damaged_part_is_named(folder, part, damage):
    damage(folder / part)
    with pytest.raises(UserError, match=rf"gallery\.json: not the index of .*{part}"):
        open_gallery(folder)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"version": 2}, "not of a dfsbir_lite gallery of version 1"),
        ({"parts": []}, "not the index of .*no attribute"),
    ],
)
def test_a_damaged_index_is_named(folder, changes, reason):
    path = folder / "gallery.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(UserError, match=rf"gallery\.json: {reason}"):
        open_gallery(folder)


def test_an_export_of_an_earlier_version_of_the_kit_still_opens(folder):
    """Its embeddings have another name in their file."""
    path = folder / "embeddings.safetensors"
    rows = load_file(path)["embeddings"].clone()
    save_file({"/embeddings": rows}, path, metadata={"skeleton": "{}"})
    index = json.loads((folder / "gallery.json").read_text())
    index["parts"][path.name] = sha256_of(path)
    write_json(folder / "gallery.json", index)
    assert torch.equal(open_gallery(folder).embeddings, rows)
