"""Real data sets in their true formats, small: into one layout, whole or not at all."""

import hashlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import ClassVar

import cifar10_quickdraw
import numpy as np
import pytest
from cifar10_quickdraw import CIFAR10_QUICKDRAW
from pacs import PACS
from PIL import Image
from sketchy import SKETCHY
from tuberlin import TUBERLIN

from dfsbir_lite.data import folder_pair, read_image
from dfsbir_lite.pipeline import open_benchmark
from dfsbir_lite.runtime import PROFILES, UserError
from importers import importing
from importers.cli import main
from importers.dataset import Item
from importers.importing import Wish, check, import_data
from importers.names import key, repairer, tidy
from importers.sources import picture
from importers.splits import assign
from importers.strokes import drawn
from quickdraw import QUICKDRAW

DATA = Path(os.environ.get("DFSBIR_DATA_ROOT", "nowhere"))
needs_data = pytest.mark.skipif(
    not (DATA / "pacs" / "photo").is_dir() or not (DATA / "quickdraw").is_dir(),
    reason="DFSBIR_DATA_ROOT does not name a folder with pacs and quickdraw",
)
SEVEN = PACS.classes


def pixels(name: str, side: int = 12) -> Image.Image:
    """A picture that no other name has."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8))


def encoded(image: Image.Image, suffix: str) -> bytes:
    file = io.BytesIO()
    kind = {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF"}.get(suffix.lower(), suffix.upper())
    image.save(file, kind)
    return file.getvalue()


def pictures(*names: str) -> dict[str, bytes]:
    """Files of those names, each with a picture of its own."""
    return {name: encoded(pixels(name), name.rpartition(".")[2]) for name in names}


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tree(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


def counts(manifest: dict) -> dict[str, int]:
    """Pictures by modality and split."""
    return {
        f"{modality} {split}": sum(labels.values())
        for modality, splits in manifest["counts"].items()
        for split, labels in splits.items()
    }


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "found, name",
    [
        ("Hot-air_Balloon", "hot air balloon"),
        ("car_(sedan)", "car (sedan)"),
        ("  two   spaces ", "two spaces"),
        ("T-Shirt", "t shirt"),
        ("ÄPFEL", "äpfel"),
        ("A\u0308pfel", "äpfel"),  # the same letter in two code points
        ("猫", "猫"),
        ("../x", "x"),
        ("a/b\\c:d", "a b c d"),
        (".hidden.", "hidden"),
    ],
)
def test_tidy_names(found, name):
    assert tidy(found) == name


def test_spellings_of_one_class():
    spellings = ("hot air balloon", "hot-air_balloon", "HotAirBalloon", "hot  air (balloon)")
    assert {key(name) for name in spellings} == {"hotairballoon"}
    assert key("cat") != key("cats") and key("ﬁsh") == "fish" and key("STRASSE") == key("Straße")


def test_repaired_names():
    repair = repairer(["hot air balloon", "bear (animal)"], {"griaffe": "giraffe"})
    assert repair("hotairballoon") == "hot air balloon" and repair("bearanimal") == "bear (animal)"
    assert repair("Griaffe") == repair("GIRAFFE") == "giraffe"
    assert repair("Flying_Bird") == repair("flyingbird") == "flying bird"  # the first one's
    with pytest.raises(UserError, match="'--': a class name needs letters or digits"):
        repair("--")


def test_the_published_lists():
    """Their sizes; none of another split's classes; all of them classes of the data set."""
    sizes = {"zeroshot25": (25, 125), "zeroshot21": (21, 125), "zeroshot30": (30, None)}
    for dataset, total in ((SKETCHY, 125), (TUBERLIN, 250), (QUICKDRAW, 30)):
        assert len(set(dataset.classes)) == len(dataset.classes) == total
        assert all(tidy(name) == name for name in dataset.classes)
        assert len({key(name) for name in dataset.classes}) == total
        for name, unseen in dataset.unseen.items():
            assert len(set(unseen)) == sizes[name][0] and set(unseen) <= set(dataset.classes)
    for wrong, right in TUBERLIN.misspelt.items():
        assert right in TUBERLIN.classes and wrong not in TUBERLIN.classes


# --- splits -----------------------------------------------------------------------------------


def item(modality, stem, label="cat", split=None) -> Item:
    return Item(f"{modality}/{label}/{stem}", modality, label, stem, lambda size: None, split)


def test_sketches_stay_with_the_photo_they_were_drawn_from():
    photos = [item("photo", f"n01_{n}") for n in range(40)]  # 0 to 19 have been drawn
    sketches = [item("sketch", f"n01_{n}-{k}") for n in range(20) for k in (1, 2, 3)]
    splits = assign(photos + sketches, (), 0.1)
    drawn = [splits[f"photo/cat/n01_{n}"] for n in range(20)]
    for n in range(20):
        assert {splits[f"sketch/cat/n01_{n}-{k}"] for k in (1, 2, 3)} == {drawn[n]}
    others = [splits[f"photo/cat/n01_{n}"] for n in range(20, 40)]
    assert drawn.count("test") == others.count("test") == 2  # a tenth of each
    assert splits == assign((photos + sketches)[::-1], (), 0.1)


@pytest.mark.parametrize("share, expected", [(0.001, 1), (0.3, 3), (0.34, 3), (0.999, 9)])
def test_both_parts_have_something(share, expected):
    splits = assign([item("sketch", str(n)) for n in range(10)], (), share)
    assert list(splits.values()).count("test") == expected
    lowest = sorted(range(10), key=lambda n: hashlib.sha256(f"cat/{n}".encode()).hexdigest())
    assert splits[f"sketch/cat/{lowest[0]}"] == "test"
    assert splits[f"sketch/cat/{lowest[-1]}"] == "train"


def test_photos_and_sketches_that_share_only_a_number_are_split_on_their_own():
    photos = [item("photo", f"{n:05}") for n in range(60, 70)]  # none of these sketches is a test
    sketches = [item("sketch", f"{n:05}") for n in range(100)]
    splits = assign(photos + sketches, (), 0.1)
    assert splits == assign(photos, (), 0.1) | assign(sketches, (), 0.1)
    assert [splits[photo.origin] for photo in photos].count("test") == 1
    assert [splits[sketch.origin] for sketch in sketches].count("test") == 10


def test_unseen_classes_are_for_the_test_and_given_splits_hold():
    items = [item("photo", str(n), "dog", "train") for n in range(3)]
    items += [item("photo", str(n), "cat", ("train", "test")[n % 2]) for n in range(4)]
    splits = assign(items, ("dog",), 0.5)
    assert list(splits.values()) == ["test"] * 3 + ["train", "test"] * 2
    assert assign([item("photo", "lonely")], (), 0.5) == {"photo/cat/lonely": "train"}


# --- each data set ----------------------------------------------------------------------------


def pacs_files(each: int = 10) -> dict[str, bytes]:
    return pictures(
        *(f"kfold/photo/{c}/056_{n:04}.jpg" for c in SEVEN for n in range(each)),
        *(f"kfold/sketch/{c}/{n}.png" for c in SEVEN for n in range(each)),
        *(f"kfold/art_painting/{c}/pic_{n}.jpg" for c in SEVEN for n in range(2)),
        "kfold/photo/dog/.hidden.jpg",
        "__MACOSX/kfold/photo/dog/._056_0001.jpg",
    ) | {"kfold/readme.txt": b"hello"}


def test_pacs(tmp_path, capsys):
    archive = write_zip(tmp_path / "PACS.zip", pacs_files())
    out = tmp_path / "new" / "pacs"
    assert main(PACS, ["import", str(archive), "--out", str(out), "--size", "16"]) == 0
    told = capsys.readouterr().out
    assert "photo: 63 for train, 7 for test" in told and "7 classes, 0 of them unseen" in told
    assert "outside the expected folders: 17 (in" in told  # 14 paintings, a text, two hidden files
    assert f"run --photos {out}/photo --sketches {out}/sketch" in told

    manifest = json.loads((out / "manifest.json").read_text())
    assert counts(manifest) == {
        "photo train": 63, "photo test": 7, "sketch train": 63, "sketch test": 7
    }  # fmt: skip
    assert manifest["counts"]["photo"]["test"] == dict.fromkeys(SEVEN, 1)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert manifest["sources"] == {str(archive): f"sha256:{digest}"}
    assert manifest["size"] == 16 and manifest["split"] == "seen" and manifest["unseen"] == []
    outside = manifest["skipped"]["outside the expected folders"]
    assert {f"{archive}: kfold/art_painting/{c}": 2 for c in SEVEN}.items() <= outside.items()
    assert outside[f"{archive}: kfold"] == 1  # the text
    assert manifest["skipped"]["bad"] == manifest["skipped"]["repeated"] == {}

    assert tree(out) == {*manifest["files"], "manifest.json"} and len(manifest["files"]) == 140
    one = next(name for name in manifest["files"] if name.startswith("sketch/train/dog"))
    assert manifest["files"][one] == hashlib.sha256((out / one).read_bytes()).hexdigest()
    source = pixels(f"kfold/sketch/dog/{Path(one).name}")
    expected = np.asarray(source.resize((16, 16), Image.Resampling.LANCZOS))
    assert np.array_equal(read_image(out / one, 16).transpose(1, 2, 0), expected)

    train, test = (folder_pair(out / "photo", out / "sketch", s, 16) for s in ("train", "test"))
    assert [len(part) for part in (*train, *test)] == [63, 63, 7, 7]
    assert train[0].classes == SEVEN
    assert sorted(p.name for p in out.parent.iterdir()) == ["pacs"]  # nothing else is left


def sketchy_files(classes, photos=2, sketches=2, extended=1) -> dict[str, bytes]:
    places = ("{0}", "sketch", "EXTEND_image_sketchy")
    names = []
    for place in ("tx_000000000000", "tx_000100000000"):
        for c in classes:
            top = [f"256x256/photo/{place}/{c}", f"256x256/sketch/{place}/{c}"]
            names += [f"{top[0]}/n0269_{n}.jpg" for n in range(photos)]
            names += [
                f"{top[1]}/n0269_{n}-{k + 1}.png" for n in range(photos) for k in range(sketches)
            ]
    names += [f"{places[2]}/{c}/n0269_{n + 900}.jpg" for c in classes for n in range(extended)]
    return pictures(*names)


def underlined(names) -> list[str]:
    """As Sketchy's folders are called."""
    special = {"hot air balloon": "hot-air_balloon", "jack o lantern": "jack-o-lantern"}
    return [special.get(name, name.replace(" ", "_")) for name in names]


def test_sketchy(tmp_path):
    classes = ["hot-air_balloon", "jack-o-lantern", "car_(sedan)"]
    source = write_files(tmp_path / "Sketchy", sketchy_files(classes, 10, 3, 10))
    manifest = import_data(SKETCHY, [source], tmp_path / "out", Wish(size=16))
    assert counts(manifest) == {  # of 10 photos that were drawn thrice, and of 10 others, one each
        "photo train": 54, "photo test": 6, "sketch train": 81, "sketch test": 9
    }  # fmt: skip
    assert manifest["renamed"]["hot-air_balloon"] == "hot air balloon"
    assert set(manifest["counts"]["photo"]["train"]) == {
        "hot air balloon", "jack o lantern", "car (sedan)"
    }  # fmt: skip
    names = {m: {s: set() for s in ("train", "test")} for m in ("photo", "sketch")}
    for path in manifest["files"]:
        modality, split, label, name = path.split("/")
        names[modality][split].add((label, name.partition(".")[0].partition("-")[0]))
    assert names["sketch"]["test"] <= names["photo"]["test"]
    assert not names["sketch"]["train"] & names["photo"]["test"]  # no leak by way of a photo
    unused = manifest["skipped"]["outside the expected folders"]
    assert sum(unused.values()) == 3 * (10 + 30)  # the other way to cut them


@pytest.mark.parametrize("split", ["zeroshot25", "zeroshot21"])
def test_sketchy_with_unseen_classes(tmp_path, split, monkeypatch):
    unseen = SKETCHY.unseen[split]
    seen = [c for c in SKETCHY.classes if c not in unseen][:3]
    archive = write_zip(tmp_path / "a.zip", sketchy_files(underlined([*seen, *unseen])))
    out = tmp_path / "out"
    manifest = import_data(SKETCHY, [archive], out, Wish(size=8, split=split))
    assert manifest["unseen"] == sorted(unseen)
    train, test = (manifest["counts"]["photo"][s] for s in ("train", "test"))
    assert sorted(train) == seen and set(test) == {*seen, *unseen}
    assert {test[c] for c in unseen} == {3}  # all there are: two photos and one of Extended
    profile = PROFILES["laptop"]
    benchmark = open_benchmark(out / "photo", out / "sketch", profile, tuple(sorted(unseen)))
    assert benchmark.classes == tuple(seen) and set(benchmark.unseen[0].classes) == set(unseen)
    with pytest.raises(UserError, match="the train and test folders differ in"):
        open_benchmark(out / "photo", out / "sketch", profile, tuple(sorted(unseen)[1:]))


def test_sketchy_from_a_7z(tmp_path):
    py7zr = pytest.importorskip("py7zr")
    with py7zr.SevenZipFile(tmp_path / "rendered_256x256.7z", "w") as file:
        for name, content in sketchy_files(["ape", "bee"], 4, 2, 0).items():
            file.writestr(content, name)
    manifest = import_data(SKETCHY, [tmp_path / "rendered_256x256.7z"], tmp_path / "o", Wish())
    assert counts(manifest) == {
        "photo train": 6, "photo test": 2, "sketch train": 12, "sketch test": 4
    }  # fmt: skip


def test_tuberlin_and_its_misspelt_photos(tmp_path):
    misspelt = {
        "giraffe": "griaffe", "mouse (animal)": "mouse", "wrist-watch": "wristwatching",
        "space shuttle": "spacesshuttle", "flying bird": "flyingbird", "t-shirt": "tshirt",
        "computer-mouse": "computermouse", "head-phones": "headphones",
    }  # fmt: skip
    sketches = pictures(*(f"png/{c}/{n}.png" for c in misspelt for n in range(5)))
    sketches["png/filelist.txt"] = b"giraffe/1.png"
    photos = pictures(*(f"{c}/n0_{n}.JPEG" for c in misspelt.values() for n in range(5)))
    folder = tmp_path / "downloads"
    folder.mkdir()
    write_zip(folder / "sketches_png.zip", sketches)
    write_zip(folder / "ImageResized.zip", photos)  # only its name says that they are photos
    manifest = import_data(TUBERLIN, [folder], tmp_path / "out", Wish(test_share=0.2))
    assert counts(manifest) == {
        "photo train": 32, "photo test": 8, "sketch train": 32, "sketch test": 8
    }  # fmt: skip
    assert set(manifest["sources"]) == {
        str(folder), f"{folder}/sketches_png.zip", f"{folder}/ImageResized.zip"
    }  # fmt: skip
    expected = [
        "computer mouse", "flying bird", "giraffe", "head phones", "mouse (animal)",
        "space shuttle", "t shirt", "wrist watch",
    ]  # fmt: skip
    assert sorted(manifest["counts"]["photo"]["train"]) == expected
    assert manifest["renamed"]["wristwatching"] == "wrist watch"
    pair = folder_pair(tmp_path / "out/photo", tmp_path / "out/sketch", "test", 16)
    assert list(pair[0].classes) == expected


def test_sketches_without_photos(tmp_path, capsys):
    archive = write_zip(
        tmp_path / "sketches_png.zip",
        pictures(*(f"png/{c}/{n}.png" for c in ("ant", "bus") for n in range(3))),
    )
    command = ["import", str(archive), "--out", str(tmp_path / "out"), "--split", "zeroshot30"]
    assert main(TUBERLIN, command) == 2
    assert "needs classes that are not there: banana, bottle opener" in capsys.readouterr().err
    assert main(TUBERLIN, [*command, "--classes", "Ant,bus"]) == 0
    told = capsys.readouterr().out
    assert "sketch: 0 for train, 6 for test\n2 classes, 2 of them unseen" in told
    assert main(TUBERLIN, [*command[:-2], "--again"]) == 0
    told = capsys.readouterr().out
    assert "sketch: 4 for train, 2 for test" in told and "photo" not in told


def lines(count: int, offset: int = 0) -> bytes:
    """Drawings of a bow each, in the simplified format."""
    strokes = [[[[0, 128, 255], [n + offset, 255, 128]]] for n in range(count)]
    return b"".join(
        json.dumps({"word": "x", "recognized": True, "drawing": drawing}).encode() + b"\n"
        for drawing in strokes
    )


def test_quickdraw_strokes_and_bitmaps(tmp_path):
    source = write_files(
        tmp_path / "raw",
        {
            "full_simplified_hot air balloon.ndjson": lines(30),
            "The Eiffel Tower.ndjson": lines(9, 60),
        },
    )
    rows = np.random.default_rng(0).integers(0, 256, (20, 784), np.uint8)
    np.save(source / "full_numpy_bitmap_cat.npy", rows)
    out = tmp_path / "out"
    manifest = import_data(QUICKDRAW, [source], out, Wish(size=28, per_class=10))
    assert manifest["counts"]["sketch"] == {
        "train": {"cat": 9, "eiffel tower": 8, "hot air balloon": 9},
        "test": {"cat": 1, "eiffel tower": 1, "hot air balloon": 1},
    }
    numbers = [int(Path(p).stem) for p in manifest["files"] if "/hot air balloon/" in p]
    assert sorted(numbers) == list(range(1, 11))  # the first ten lines
    one = next(p for p in manifest["files"] if p.startswith("sketch/test/cat"))
    bitmap = 255 - rows[int(Path(one).stem)].reshape(28, 28)  # as published: white on black
    assert np.array_equal(read_image(out / one, 28), np.stack([bitmap] * 3))


def test_quickdraw_extended(tmp_path):
    sketches = pictures(*(f"{c}/{n}.png" for c in ("bat", "cruise ship") for n in range(4)))
    photos = pictures(
        *(
            f"QuickDraw_images_final/{c}/image_{n:05}.jpg"
            for c in ("bat", "cruise_ship")
            for n in range(4)
        )
    )
    paths = [
        write_zip(tmp_path / "QuickDraw_sketches_final.zip", sketches),
        write_zip(tmp_path / "QuickDraw_images_final.zip", photos),
    ]
    manifest = import_data(QUICKDRAW, paths, tmp_path / "out", Wish())
    assert counts(manifest) == {
        "photo train": 6, "photo test": 2, "sketch train": 6, "sketch test": 2
    }  # fmt: skip


class Python2(pickle._Pickler):
    """Pickles bytes as Python 2 did its strings: what CIFAR-10 was published with."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        self.write(b"T" + struct.pack("<i", len(value)) + value)

    dispatch[bytes] = save_string
    dispatch[str] = lambda self, value: self.save_string(value.encode())


def batch(first: int, labels: list[int]) -> bytes:
    """One batch: image i has only the value first + i, its red corner 255."""
    data = np.repeat(np.arange(first, first + len(labels), dtype=np.uint8)[:, None], 3072, 1)
    data[:, 0] = 255
    file = io.BytesIO()
    Python2(file, 2).dump({b"data": data, b"labels": labels, b"batch_label": b"x"})
    return file.getvalue()


@pytest.fixture
def cifar(tmp_path):
    """A folder as `download` leaves it: the archive, and drawings of three classes."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    labels = [0, 3, 4, 8] * 3
    files = {
        "data_batch_1": batch(0, labels),
        "data_batch_2": batch(20, labels),
        "test_batch": batch(40, labels[:8]),
        "batches.meta": b"labels",
    }
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    for n, name in enumerate(("airplane", "cat", "cruise ship")):
        (folder / f"{name}.ndjson").write_bytes(lines(10, 40 * n))
    return folder


def test_cifar10_with_drawings(cifar, tmp_path):
    out = tmp_path / "out"
    manifest = import_data(CIFAR10_QUICKDRAW, [cifar], out, Wish(size=32))
    classes = ["airplane", "cat", "cruise ship"]  # nobody drew the deer
    assert manifest["counts"] == {
        "photo": {"train": dict.fromkeys(classes, 6), "test": dict.fromkeys(classes, 2)},
        "sketch": {"train": dict.fromkeys(classes, 9), "test": dict.fromkeys(classes, 1)},
    }
    expected = np.full((3, 32, 32), 20 + 5, np.uint8)  # number 5 of the second batch, a cat
    expected[0, 0, 0] = 255
    assert np.array_equal(read_image(out / "photo/train/cat/data_batch_2_00005.png", 32), expected)


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "value, refused",
    [
        (Evil(os.mkdir, "owned"), "posix.mkdir"),
        (Evil(eval, "__import__('os').mkdir('owned')"), ".eval"),
        ({"data": Evil(getattr, "x", "upper")}, ".getattr"),
        ({"data": Path("x")}, "pathlib.PosixPath"),
        (np.float64(1), ".multiarray.scalar"),
    ],
    ids=["mkdir", "eval", "getattr", "path", "scalar"],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_can_only_make_arrays(tmp_path, monkeypatch, value, refused, protocol):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps(value, protocol))
    with pytest.raises(UserError, match=rf"not a batch of CIFAR-10 \(it wants \S*{refused}"):
        cifar10_quickdraw.read_batch(path, "data_batch_1")
    assert tree(tmp_path) == {"data_batch_1"} and not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "value",
    [
        [1],
        {"data": np.zeros((2, 3072), np.uint8), "labels": [0]},
        {"data": np.zeros((1, 3072), np.uint8), "labels": [10]},
        {"data": np.zeros((1, 3072), np.float32), "labels": [1]},
        {"data": [0] * 3072, "labels": [1]},
    ],
)
def test_other_pickles_are_no_batches(tmp_path, value):
    with (tmp_path / "test_batch").open("wb") as file:
        Python2(file, 2).dump(value)
    with pytest.raises(UserError, match="test_batch: not a batch of CIFAR-10"):
        cifar10_quickdraw.read_batch(tmp_path / "test_batch", "test_batch")
    (tmp_path / "test_batch").write_bytes(batch(0, [1, 2])[:-5])
    with pytest.raises(UserError, match="test_batch: not a batch of CIFAR-10"):
        cifar10_quickdraw.read_batch(tmp_path / "test_batch", "test_batch")


# --- strokes ----------------------------------------------------------------------------------


def test_strokes_are_drawn_in_the_middle_with_a_margin():
    line = json.dumps({"drawing": [[[10, 210], [50, 50]]]}).encode()  # one level line
    image = np.asarray(drawn(line, 100, "x"))
    assert image.shape == (100, 100, 3) and (image[..., 0] == image[..., 2]).all()
    ink = np.argwhere(image[..., 0] < 160)
    assert abs(ink[:, 0].mean() - 49.5) < 1 and abs(ink[:, 1].mean() - 49.5) < 1
    low, high = ink[:, 1].min(), ink[:, 1].max()
    assert 9 <= low <= 12 and 87 <= high <= 90  # 78 of 100 pixels are the drawing
    assert 1 <= np.ptp(ink[:, 0]) + 1 <= 3  # a thin pen, whatever the size
    assert len(np.unique(image)) > 3  # neither ink nor paper: its edges are smooth


def test_raw_drawings_and_dots():
    raw = json.dumps({"drawing": [[[100, 900], [500, 500], [0, 17]]]}).encode()  # with times
    simple = json.dumps({"drawing": [[[10, 210], [50, 50]]]}).encode()
    gap = np.abs(np.asarray(drawn(raw, 32, "x"), int) - np.asarray(drawn(simple, 32, "x"), int))
    assert gap.mean() < 2
    assert np.asarray(drawn(b'{"drawing": [[[7], [9]]]}', 32, "x")).min() < 200


@pytest.mark.parametrize(
    "line, told",
    [
        (b"", "not a drawing"),
        (b"{broken", "not a drawing"),
        (b"[1, 2]", "not a drawing"),
        (b'{"word": "cat"}', "not a drawing"),
        (b'{"drawing": [[[1, 2], [1]]]}', "not a drawing"),
        (b'{"drawing": [[["a"], ["b"]]]}', "not a drawing"),
        (b'{"drawing": 7}', "not a drawing"),
        (b'{"drawing": []}', "without strokes"),
        (b'{"drawing": [[[], []]]}', "without strokes"),
        (b'{"drawing": [[[1, 2]]]}', "without strokes, or with broken"),
        (b'{"drawing": [[[1, NaN], [1, 1]]]}', "without strokes, or with broken"),
        (b'{"drawing": [[[1, 1e300], [1, 1]]]}', "without strokes, or with broken"),
        (b'{"drawing": [[[1, %s], [1, 1]]]}' % (b"9" * 401), "not a drawing"),
        (b"[" * 99_999, "not a drawing"),
    ],
)
def test_lines_that_are_no_drawings(line, told):
    with pytest.raises(UserError, match=rf"cat\.ndjson: line 3: .*{told}"):
        drawn(line, 32, "cat.ndjson: line 3")


def test_arrays_that_are_no_bitmaps(tmp_path):
    source = write_files(tmp_path / "raw", {"dog.ndjson": lines(4), "cat.ndjson": lines(4, 50)})
    np.save(source / "ant.npy", np.zeros((5, 28, 28), np.uint8))
    np.save(source / "bee.npy", np.array([{}, 1], dtype=object))  # a pickle
    (source / "cow.npy").write_bytes(b"\x93NUMPY")
    (source / "owl.npy").write_bytes(b"")
    manifest = import_data(QUICKDRAW, [source], tmp_path / "out", Wish(skip_bad=True))
    bad = {Path(origin).name: reason for origin, reason in manifest["skipped"]["bad"].items()}
    assert set(bad) == {"ant.npy", "bee.npy", "cow.npy", "owl.npy"}
    assert bad["ant.npy"] == "expected bitmaps, uint8 (N, 784), found uint8 (5, 28, 28)"
    assert "not an array that can be read" in bad["bee.npy"]


# --- bad input --------------------------------------------------------------------------------


def good_files(each: int = 4, classes=("dog", "horse")) -> dict[str, bytes]:
    return pictures(
        *(f"{m}/{c}/{n}.png" for m in ("photo", "sketch") for c in classes for n in range(each))
    )


@pytest.fixture
def trouble(tmp_path):
    """A folder with every kind of bad file, and with odd ones that are good."""
    frames = [pixels(str(n)) for n in range(3)]
    moving, still = io.BytesIO(), pixels("still", 30)
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    sixteen = Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 160)
    files = good_files(each=20) | {
        "photo/dog/corrupt.png": encoded(still, "png")[:700],
        "photo/dog/empty.jpg": b"",
        "photo/dog/text.jpg": b"<html>not found</html>",
        "photo/dog/moving.gif": moving.getvalue(),
        "photo/dog/dot.png": encoded(Image.new("L", (1, 1)), "png"),
        "photo/dog/thin.png": encoded(Image.new("L", (300, 7)), "png"),
        "photo/dog/float.tif": encoded(Image.fromarray(np.ones((9, 9), np.float32)), "tif"),
        "photo/horse/cmyk.jpg": encoded(pixels("c").convert("CMYK"), "jpg"),
        "photo/horse/grey.png": encoded(pixels("g").convert("L"), "png"),
        "photo/horse/glass.png": encoded(pixels("a").convert("RGBA"), "png"),
        "photo/horse/sixteen.png": encoded(sixteen, "png"),
        "photo/horse/palette.gif": encoded(pixels("p"), "gif"),
        "photo/horse/ünïcode ñame.png": encoded(pixels("u"), "png"),
    }
    return write_files(tmp_path / "source", files)


BAD = {
    "corrupt.png": "cannot be read",
    "empty.jpg": "not an image that can be read",
    "text.jpg": "not an image that can be read",
    "moving.gif": "animated, or several pictures in one file (3)",
    "dot.png": "only 1 × 1 pixels",
    "thin.png": "only 300 × 7 pixels",
    "float.tif": "cannot be read (its pixels are floating-point numbers)",
}


def test_bad_files_are_refused(trouble, tmp_path, capsys):
    before = tree(trouble)
    assert main(PACS, ["import", str(trouble), "--out", str(tmp_path / "out")]) == 2
    out, told = capsys.readouterr()
    assert out == "" and told.count("\n") == 1
    assert "nothing imported, because of 7 thing(s) that cannot be used (--bad skip" in told
    assert sum(f"photo/dog/{name}: {BAD[name]}" in told for name in BAD) == 5
    assert "and 2 more" in told
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"] and tree(trouble) == before


def test_bad_files_are_skipped_and_named(trouble, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(PACS, ["import", str(trouble), "--out", str(out), "--bad", "skip"]) == 0
    assert f"bad: 7 (in {out}/manifest.json)" in capsys.readouterr().out
    manifest = check(out)
    bad = manifest["skipped"]["bad"]
    assert {Path(origin).name for origin in bad} == set(BAD)
    for origin, reason in bad.items():
        assert reason.startswith(BAD[Path(origin).name])
    assert sum(counts(manifest).values()) + len(bad) == len(tree(trouble))  # nothing is lost
    stems = {Path(name).stem for name in manifest["files"]}
    assert {"cmyk", "grey", "glass", "sixteen", "palette", "ünïcode ñame"} <= stems


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp", "bmp"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damage_of_any_kind_is_bad_and_nothing_worse(tmp_path, suffix):
    """Pillow raises many things for broken files."""
    draw = np.random.default_rng(0)
    whole = np.frombuffer(encoded(pixels("whole", 24), suffix), np.uint8)
    refused = 0
    for _ in range(60):
        data = whole[: draw.integers(len(whole))].copy() if draw.random() < 0.2 else whole.copy()
        places = draw.integers(0, min(len(whole), 60), 8)
        data[places[places < len(data)]] = draw.integers(256)
        (tmp_path / "x").write_bytes(data)
        try:
            assert picture(str(tmp_path / "x"), "a name", 8).mode == "RGB"
        except UserError as told:
            refused += 1
            assert str(told).startswith("a name: ")
    assert refused > 20


def test_a_folder_that_cannot_be_read(trouble, tmp_path, monkeypatch):
    scan = os.scandir

    def closed(path):
        if str(path).endswith("sketch/dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(UserError, match=r"source/sketch/dog: cannot be read \(Permission denied\)"):
        import_data(PACS, [trouble], tmp_path / "out", Wish())


def test_a_linked_folder_is_named(tmp_path):
    source = write_files(tmp_path / "source", good_files(classes=("dog", "horse", "house")))
    (source / "photo" / "guitar").symlink_to(source / "photo" / "dog", target_is_directory=True)
    manifest = import_data(PACS, [source], tmp_path / "out", Wish(skip_bad=True))
    assert manifest["skipped"]["bad"] == {
        str(source / "photo" / "guitar"): "a link to a folder, which is not followed"
    }


def test_a_folder_whose_name_has_no_letters(tmp_path):
    source = write_files(tmp_path / "s", good_files() | pictures("photo/!!!/1.png"))
    bad, reason = f"{source}/photo/!!!/1.png", "'!!!': a class name needs letters or digits"
    with pytest.raises(UserError, match=f"--bad skip leaves them out.*: {bad}: {reason}"):
        import_data(PACS, [source], tmp_path / "out", Wish())
    manifest = import_data(PACS, [source], tmp_path / "out", Wish(skip_bad=True))
    assert manifest["skipped"]["bad"] == {bad: reason} and len(manifest["files"]) == 16


def test_classes_that_differ_in_case_are_one(tmp_path):
    files = good_files() | {
        f"photo/DOG/{n}.png": encoded(pixels(f"other {n}"), "png") for n in range(4)
    }
    manifest = import_data(
        PACS, [write_files(tmp_path / "s", files)], tmp_path / "out", Wish(test_share=0.25)
    )
    assert manifest["counts"]["photo"]["train"]["dog"] == 6 and manifest["renamed"] == {
        "DOG": "dog"
    }
    names = {name for name in manifest["files"] if name.startswith("photo/train/dog")}
    assert len(names) == 6 and {n.rpartition("/")[2] for n in names} > {"1-2.png"}


def test_classes_that_only_one_side_has(tmp_path):
    files = good_files() | pictures("photo/giraffe/1.png", "sketch/guitar/1.png")
    source = write_files(tmp_path / "s", files)
    with pytest.raises(UserError, match="giraffe: has no sketches; guitar: has no photos"):
        import_data(PACS, [source], tmp_path / "out", Wish())
    manifest = import_data(PACS, [source], tmp_path / "out", Wish(skip_bad=True))
    assert set(manifest["counts"]["photo"]["train"]) == {"dog", "horse"}
    picked = Wish(classes=("Dog", "horse"))
    assert import_data(PACS, [source], tmp_path / "out2", picked)["skipped"]["bad"] == {}


def test_classes_without_a_part(tmp_path):
    classes = ("dog", "horse", "house")
    files = good_files(classes=classes)
    for n in range(1, 4):
        del files[f"photo/house/{n}.png"]
    source = write_files(tmp_path / "s", files)
    with pytest.raises(UserError, match="house: has no pictures for photo test"):
        import_data(PACS, [source], tmp_path / "out", Wish())
    manifest = import_data(PACS, [source], tmp_path / "out", Wish(skip_bad=True))
    assert set(manifest["counts"]["sketch"]["train"]) == {"dog", "horse"}
    assert not any("house" in name for name in tree(tmp_path / "out"))
    assert check(tmp_path / "out") == json.loads(json.dumps(manifest))
    with pytest.raises(UserError, match=r"needs two classes; there is \['dog'\]"):
        import_data(PACS, [source], tmp_path / "out2", Wish(classes=("dog",)))


def test_pictures_that_are_there_twice(tmp_path):
    """In the same part, as a leak, and in two classes; the test keeps its own."""
    files = {
        f"{m}/{s}/{c}/{n}.png": encoded(pixels(f"{m}{s}{c}{n}"), "png")
        for m in ("photo", "sketch") for s in ("train", "test")
        for c in ("dog", "horse") for n in range(3)
    }  # fmt: skip
    files["photo/train/dog/copy.bmp"] = encoded(pixels("phototraindog1"), "bmp")
    files["photo/train/dog/leak.tif"] = encoded(pixels("phototestdog2"), "tif")
    files["photo/train/dog/foal.png"] = encoded(pixels("phototrainhorse0"), "png")
    files["sketch/train/dog/photo.png"] = encoded(pixels("phototestdog0"), "png")  # no repetition
    source = write_files(tmp_path / "s", files)
    manifest = import_data(PACS, [source], tmp_path / "out", Wish())
    repeated = {
        Path(k).relative_to(source).as_posix(): v
        for k, v in manifest["skipped"]["repeated"].items()
    }
    assert len(repeated) == 3
    top = f"the same picture as {source}/photo"
    assert repeated.pop("photo/train/dog/leak.tif") == (
        f"{top}/test/dog/2.png, a leak: that one is for the test"
    )
    mixed = {"photo/train/dog/foal.png", "photo/train/horse/0.png"} & set(repeated)
    assert len(mixed) == 1 and ", of class " in repeated.pop(mixed.pop())
    assert set(repeated) < {"photo/train/dog/copy.bmp", "photo/train/dog/1.png"}
    assert counts(manifest) == {
        "photo train": 6, "photo test": 6, "sketch train": 7, "sketch test": 6
    }  # fmt: skip


def test_so_many_of_a_class(tmp_path):
    files = good_files(each=30)
    files["photo/dog/0.bmp"] = encoded(pixels("photo/dog/1.png"), "bmp")  # makes room for another
    source = write_files(tmp_path / "s", files)
    manifest = import_data(PACS, [source], tmp_path / "out", Wish(per_class=10, test_share=0.2))
    for splits in manifest["counts"].values():
        assert splits == {"train": {"dog": 8, "horse": 8}, "test": {"dog": 2, "horse": 2}}
    more = import_data(PACS, [source], tmp_path / "o2", Wish(per_class=20, test_share=0.2))
    assert set(manifest["files"]) < set(more["files"])
    pairs = import_data(PACS, [source], tmp_path / "o3", Wish(per_class=2, test_share=0.9))
    assert pairs["counts"]["photo"] == {
        "train": {"dog": 1, "horse": 1},
        "test": {"dog": 1, "horse": 1},
    }


# --- what was expected ------------------------------------------------------------------------


def test_another_layout(tmp_path, capsys):
    files = pictures("images/0.png", "images/1.png", "pics/cats/1.png", "list.csv.png", "a/b.png")
    source = write_files(tmp_path / "s", files)
    assert main(PACS, ["import", str(source), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "nothing of PACS in it; expected photo/<class>/<image>, sketch/<class>/<image>" in told
    assert f"found {source}/images (2 files)" in told and "and 1 more folders" in told
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="found no files"):
        import_data(PACS, [tmp_path / "empty"], tmp_path / "out", Wish())
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        import_data(PACS, [tmp_path / "nowhere"], tmp_path / "out", Wish())
    (tmp_path / "data.rar").write_bytes(b"Rar!")
    with pytest.raises(UserError, match=r"data\.rar: neither a folder nor an archive; expected"):
        import_data(PACS, [tmp_path / "data.rar"], tmp_path / "out", Wish())
    with pytest.raises(UserError, match="no class 'cow': there are dog, horse"):
        source = write_files(tmp_path / "good", good_files())
        import_data(PACS, [source], tmp_path / "out", Wish(classes=("dog", "cow")))
    assert not (tmp_path / "out").exists()


def test_an_archive_deep_in_a_folder_is_named(tmp_path):
    source = write_files(tmp_path / "s", good_files())
    write_zip(source / "photo" / "more.zip", good_files())
    manifest = import_data(PACS, [source], tmp_path / "out", Wish())
    assert manifest["skipped"]["outside the expected folders"] == {f"{source}/photo": 1}
    with pytest.raises(UserError, match=r"no split 'zeroshot25': choose seen"):
        import_data(PACS, [source], tmp_path / "o2", Wish(split="zeroshot25"))


def test_the_folder_with_the_classes_itself(tmp_path):
    source = write_files(tmp_path, sketchy_files(["ape", "bee"], 4, 1, 0)) / "256x256"
    paths = [source / "photo" / "tx_000000000000", source / "sketch" / "tx_000000000000"]
    manifest = import_data(SKETCHY, paths, tmp_path / "out", Wish())
    assert sum(counts(manifest).values()) == 16
    assert manifest["sources"] == {str(path): "a folder" for path in paths}


def test_folders_above_the_one_that_was_given_say_nothing(tmp_path):
    files = good_files() | pictures("overview.png")
    source = write_files(tmp_path / "sketch" / "mydl", files)
    manifest = import_data(PACS, [source], tmp_path / "out", Wish())
    assert manifest["skipped"]["outside the expected folders"] == {str(source): 1}
    assert manifest["skipped"]["bad"] == {} and len(manifest["files"]) == 16
    parts = [source / "photo", source / "sketch"]  # their own names do say something
    assert counts(import_data(PACS, parts, tmp_path / "o2", Wish())) == counts(manifest)


def test_an_archive_that_is_cut_off(tmp_path, capsys):
    archive = write_zip(tmp_path / "PACS.zip", pacs_files())
    archive.write_bytes(archive.read_bytes()[:-1000])
    assert main(PACS, ["import", str(archive), "--out", str(tmp_path / "out")]) == 2
    assert "PACS.zip: cut off or damaged" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["PACS.zip"]


# --- whole or not at all ----------------------------------------------------------------------


def test_ctrl_c_leaves_nothing(tmp_path, monkeypatch, capsys):
    source = write_files(tmp_path / "s", good_files(each=20))
    calls, fit = [], importing.fit

    def interrupted(image, size):
        calls.append(size)
        if len(calls) == 30:
            assert not (tmp_path / "out").exists()
            raise KeyboardInterrupt
        return fit(image, size)

    monkeypatch.setattr(importing, "fit", interrupted)
    assert main(PACS, ["import", str(source), "--out", str(tmp_path / "out")]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["s"] and len(calls) < 80


def test_what_is_there_stays_until_the_new_one_is_whole(tmp_path, capsys):
    source = write_files(tmp_path / "s", good_files())
    out = tmp_path / "out"
    command = ["import", str(source), "--out", str(out)]
    assert main(PACS, command) == 0
    before = {name: (out / name).read_bytes() for name in tree(out)}
    assert main(PACS, command) == 2
    assert "out: already there; --again replaces it" in capsys.readouterr().err
    write_files(source, {"photo/dog/bad.png": b"x"})
    assert main(PACS, [*command, "--again", "--size", "16"]) == 2
    assert {name: (out / name).read_bytes() for name in tree(out)} == before
    (source / "photo/dog/bad.png").unlink()
    assert main(PACS, [*command, "--again", "--size", "16"]) == 0
    assert check(out)["size"] == 16 and sorted(p.name for p in tmp_path.iterdir()) == ["out", "s"]


def test_other_folders_are_never_replaced(tmp_path):
    source = write_files(tmp_path / "s", good_files())
    mine = write_files(tmp_path / "mine", {"thesis.txt": b"years of work"})
    with pytest.raises(UserError, match="was not made by these scripts"):
        import_data(PACS, [source], mine, Wish(), again=True)
    assert tree(mine) == {"thesis.txt"}
    write_files(mine, {"manifest.json": b'{"name": "my web page", "files": ["thesis.txt"]}'})
    with pytest.raises(UserError, match=r"manifest\.json: was not made by these scripts"):
        import_data(PACS, [source], mine, Wish(), again=True)
    assert tree(mine) == {"thesis.txt", "manifest.json"}
    with pytest.raises(UserError, match="was not made by these scripts"):
        import_data(PACS, [source], mine / "thesis.txt", Wish(), again=True)


def test_files_that_were_put_into_a_data_set_are_never_replaced(tmp_path, monkeypatch):
    source = write_files(tmp_path / "s", good_files())
    out = tmp_path / "out"
    import_data(PACS, [source], out, Wish())
    write_files(out, {"run/student.json": b"hours of work"})
    before = tree(out)
    with pytest.raises(UserError, match=r"out: holds run/student\.json, which is not of"):
        import_data(PACS, [source], out, Wish(), again=True)
    assert tree(out) == before
    (out / "run" / "student.json").unlink()
    (out / "photo" / "train" / "dog" / "more").symlink_to(source, target_is_directory=True)
    with pytest.raises(UserError, match="out: holds photo/train/dog/more, which"):
        import_data(PACS, [source], out, Wish(), again=True)

    fit = importing.fit

    def while_importing(image, size):
        write_files(tmp_path / "late", {"thesis.txt": b"years of work"})
        return fit(image, size)

    monkeypatch.setattr(importing, "fit", while_importing)
    with pytest.raises(UserError, match="late: already there"):
        import_data(PACS, [source], tmp_path / "late", Wish())
    assert tree(tmp_path / "late") == {"thesis.txt"}


def test_a_rename_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    source = write_files(tmp_path / "s", good_files())
    out = tmp_path / "out"
    before, rename = import_data(PACS, [source], out, Wish()), Path.rename

    def failing(path, target):
        if path.name == "new":
            raise OSError("the disk is gone")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        import_data(PACS, [source], out, Wish(size=16), again=True)
    assert check(out)["size"] == before["size"] == 64
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "s"]
    monkeypatch.undo()
    assert import_data(PACS, [source], out, Wish(size=16), again=True).keys() == importing.KEYS
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "s"]


def test_the_same_again_gives_the_same(tmp_path):
    source = write_files(tmp_path / "s", good_files(each=12))
    one, two = (import_data(PACS, [source], tmp_path / n, Wish()) for n in ("one", "two"))
    assert one == two and tree(tmp_path / "one") == tree(tmp_path / "two")


def test_check_notices(tmp_path, capsys):
    source = write_files(tmp_path / "s", good_files())
    out = tmp_path / "out"
    manifest = import_data(PACS, [source], out, Wish())
    assert main(PACS, ["check", str(out)]) == 0
    assert "photo: 6 for train, 2 for test" in capsys.readouterr().out
    first, second = list(manifest["files"])[:2]
    (out / first).unlink()
    (out / second).write_bytes(b"x")
    write_files(out, {"photo/train/dog/new.png": b"x"})
    assert main(PACS, ["check", str(out)]) == 2
    told = capsys.readouterr().err
    for wrong in (f"{first} is missing", f"{second} has changed", "new.png is not in the manifest"):
        assert wrong in told
    (out / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json: damaged"):
        check(out)
    with pytest.raises(UserError, match=r"has no manifest\.json"):
        check(source)


def test_photos_are_jpeg_where_that_does_not_show(tmp_path):
    source = write_files(tmp_path / "s", good_files())
    for size, suffix in ((64, ".png"), (65, ".jpg")):
        out = tmp_path / str(size)
        import_data(PACS, [source], out, Wish(size=size))
        assert {p.suffix for p in out.glob("photo/*/*/*")} == {suffix}
        assert {p.suffix for p in out.glob("sketch/*/*/*")} == {".png"}


def test_a_script_runs_from_anywhere(tmp_path):
    script = Path(importing.__file__).parent.parent / "quickdraw.py"
    command = [sys.executable, str(script), "import", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "zeroshot30" in done.stdout


# --- real data --------------------------------------------------------------------------------


@needs_data
def test_real_drawings(tmp_path):
    out = tmp_path / "out"
    manifest = import_data(QUICKDRAW, [DATA / "quickdraw"], out, Wish(size=32, test_share=0.2))
    classes = ["airplane", "cat", "eiffel tower", "hot air balloon"]
    assert manifest["counts"]["sketch"] == {
        "train": dict.fromkeys(classes, 20), "test": dict.fromkeys(classes, 5)
    }  # fmt: skip
    assert manifest["renamed"] == {"The Eiffel Tower": "eiffel tower"}
    for path in manifest["files"]:
        image = read_image(out / path, 32)
        assert np.percentile(image, 60) > 240 and image.min() < 120  # lines on paper
        edge = np.concatenate([image[:, [0, -1]].ravel(), image[:, :, [0, -1]].ravel()])
        assert edge.min() > 240  # a margin all around


@needs_data
def test_real_photos_and_sketches(tmp_path):
    manifest = import_data(PACS, [DATA / "pacs"], tmp_path / "out", Wish(size=16, per_class=20))
    assert counts(manifest) == {  # the slice has test folders
        "photo train": 126, "photo test": 14, "sketch train": 126, "sketch test": 14
    }  # fmt: skip
    assert manifest["skipped"] == {"bad": {}, "repeated": {}, "outside the expected folders": {}}
    photos, sketches = folder_pair(tmp_path / "out/photo", tmp_path / "out/sketch", "train", 16)
    assert photos.classes == SEVEN and len(photos) == len(sketches) == 126
    grey = [part.images.float().std(1).mean().item() for part in (photos, sketches)]
    assert grey[0] > 10 > 1 > grey[1]  # photos have colours


@needs_data
def test_real_photos_with_real_drawings_of_one_class_fewer(tmp_path):
    """Photos of one data set, drawings of another, are put together by their classes."""
    archive = write_zip(
        tmp_path / "QuickDraw_images.zip",
        pictures(*(f"{c}/{n}.png" for c in ("Airplane", "Cat", "Truck") for n in range(3))),
    )
    paths = [archive, DATA / "quickdraw"]
    wish = Wish(classes=("cat", "airplane"), per_class=12)
    manifest = import_data(QUICKDRAW, paths, tmp_path / "out", wish)
    assert counts(manifest) == {
        "photo train": 4, "photo test": 2, "sketch train": 22, "sketch test": 2
    }  # fmt: skip
