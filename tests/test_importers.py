"""Real data sets in their true formats, small: into one layout, whole or not at all."""

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cifar10_quickdraw import CIFAR10, CIFAR10_QUICKDRAW
from pacs import PACS
from PIL import Image
from sketchy import SKETCHY
from test_importers_archives import write_tar, write_zip
from tuberlin import TUBERLIN

from dfsbir_lite.data import folder_pair, read_image
from dfsbir_lite.runtime import UserError
from importers import importing
from importers.cli import main
from importers.dataset import Item
from importers.importing import import_data
from importers.names import key, spellings, tidy
from importers.splits import assign
from quickdraw import QUICKDRAW, drawn

DATA = Path(os.environ.get("DFSBIR_DATA_ROOT", "nowhere"))
needs_data = pytest.mark.skipif(
    not (DATA / "pacs" / "photo").is_dir() or not (DATA / "quickdraw").is_dir(),
    reason="DFSBIR_DATA_ROOT does not name a folder with pacs and quickdraw",
)
SEVEN = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")


def pixels(name: str) -> Image.Image:
    """A picture that no other name has."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8))


def picture(name: str) -> bytes:
    """That picture as a PNG file, which Pillow reads under any name."""
    file = io.BytesIO()
    pixels(name).save(file, "PNG")
    return file.getvalue()


def pictures(*names: str) -> dict[str, bytes]:
    """Files of those names, each with a picture of its own."""
    return {name: picture(name) for name in names}


def good_files(each: int = 4, classes=("dog", "horse")) -> dict[str, bytes]:
    return pictures(
        *(f"{m}/{c}/{n}.png" for m in ("photo", "sketch") for c in classes for n in range(each))
    )


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tree(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


def parts(manifest: dict) -> Counter:
    """Pictures by modality and split."""
    return Counter("/".join(name.split("/")[:2]) for name in manifest["files"])


def test_tidy_names():
    assert tidy("Hot-air_Balloon") == "hot air balloon" and tidy("car_(sedan)") == "car (sedan)"
    assert tidy("A\u0308pfel") == "äpfel"  # an A and two dots in two code points
    assert tidy("../x") == "x" and tidy("a/b\\c:d") == "a b c d" and tidy(".hidden.") == "hidden"


def test_spellings_of_one_class():
    found = ("hotairballoon", "hot-air_balloon", "bearanimal", "Bear (animal)", "Griaffe", "mouse")
    right = spellings(found, {"griaffe": "giraffe", "mouse": "mouse (animal)"})
    assert list(right.values()) == [
        "hot air balloon", "hot air balloon", "bear (animal)", "bear (animal)", "giraffe",
        "mouse (animal)",
    ]  # fmt: skip
    assert key("cat") != key("cats") and key("STRASSE") == key("Straße")


def test_the_published_lists():
    lists = [(*d.unseen.items(),) for d in (SKETCHY, TUBERLIN, QUICKDRAW)]
    found = [(name, len(set(map(tidy, classes)))) for splits in lists for name, classes in splits]
    assert found == [
        ("zeroshot25", 25), ("zeroshot21", 21), ("zeroshot30", 30), ("zeroshot30", 30)
    ]  # fmt: skip


def item(modality, stem, label="cat", split=None) -> Item:
    return Item(f"{modality}/{label}/{stem}", modality, label, stem, lambda: None, split)


def origins_in_test(items: list[Item], unseen=()) -> set[str]:
    return {item.origin for item in assign(items, unseen) if item.split == "test"}


def test_sketches_stay_with_the_photo_they_were_drawn_from():
    photos = [item("photo", f"n01_{n}") for n in range(40)]  # 0 to 19 have been drawn
    sketches = [item("sketch", f"n01_{n}-{k}") for n in range(20) for k in (1, 2, 3)]
    found = origins_in_test(photos + sketches)
    drawn = [n for n in range(20) if f"photo/cat/n01_{n}" in found]
    others = [n for n in range(20, 40) if f"photo/cat/n01_{n}" in found]
    assert len(drawn) == len(others) == 2  # a tenth of each
    assert found == {
        *(f"photo/cat/n01_{n}" for n in drawn + others),
        *(f"sketch/cat/n01_{n}-{k}" for n in drawn for k in (1, 2, 3)),
    }
    assert found == origins_in_test((photos + sketches)[::-1])


def test_photos_and_sketches_that_share_only_a_number_are_split_on_their_own():
    photos = [item("photo", f"{n:05}") for n in range(60, 70)]
    sketches = [item("sketch", f"{n:05}") for n in range(100)]
    together = origins_in_test(photos + sketches)
    apart = origins_in_test(photos), origins_in_test(sketches)
    assert together == apart[0] | apart[1] and [len(part) for part in apart] == [1, 10]


def test_the_test_is_a_tenth_in_the_order_of_a_hash():
    lowest = sorted(range(20), key=lambda n: hashlib.sha256(f"cat/{n}".encode()).hexdigest())
    assert origins_in_test([item("sketch", str(n)) for n in range(20)]) == {
        f"sketch/cat/{n}" for n in lowest[:2]
    }
    assert len(origins_in_test([item("sketch", str(n)) for n in range(2)])) == 1
    assert origins_in_test([item("photo", "lonely")]) == set()


def test_unseen_classes_are_for_the_test_and_given_splits_hold():
    items = [item("photo", str(n), "dog", "train") for n in range(3)]
    items += [item("photo", str(n), "cat", ("train", "test")[n % 2]) for n in range(4)]
    assert [i.split for i in assign(items, {"dog"})] == ["test"] * 3 + ["train", "test"] * 2


def test_pacs(tmp_path, capsys):
    files = pictures(
        *(f"kfold/photo/{c}/056_{n:04}.jpg" for c in SEVEN for n in range(10)),
        *(f"kfold/sketch/{c}/{n}.png" for c in SEVEN for n in range(10)),
        *(f"kfold/art_painting/{c}/pic_{n}.jpg" for c in SEVEN for n in range(2)),
        "kfold/photo/dog/.hidden.jpg",
        "__MACOSX/kfold/photo/dog/._056_0001.jpg",
    ) | {"kfold/readme.txt": b"hello"}
    archive = write_zip(tmp_path / "PACS.zip", files)
    out = tmp_path / "new" / "pacs"
    main(PACS, ["import", str(archive), "--out", str(out), "--size", "16"])
    assert capsys.readouterr().out.splitlines() == [
        f"{out}/photo/test: 7 pictures",
        f"{out}/photo/train: 63 pictures",
        f"{out}/sketch/test: 7 pictures",
        f"{out}/sketch/train: 63 pictures",
        f"left out, in other folders, or no images: 10 (named in {out}/manifest.json)",
        f"python -m dfsbir_lite run --photos {out}/photo --sketches {out}/sketch",
    ]
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["counts"] == {
        f"{m}/{s}/{c}": 9 if s == "train" else 1
        for m in ("photo", "sketch") for s in ("train", "test") for c in SEVEN
    }  # fmt: skip
    assert sorted(manifest["left out"].pop("in other folders, or no images")) == [
        "PACS/__MACOSX/kfold/photo/dog: 1 files",
        *(f"PACS/kfold/art_painting/{c}: 2 files" for c in SEVEN),
        "PACS/kfold/photo/dog: 1 files",  # the hidden one
        "PACS/kfold: 1 files",  # the text
    ]
    assert not any(manifest["left out"].values())
    assert (manifest["size"], manifest["split"], manifest["unseen"]) == (16, "seen", [])
    assert tree(out) == {*manifest["files"], "manifest.json"} and len(manifest["files"]) == 140
    name = next(name for name in manifest["files"] if name.startswith("sketch/train/dog"))
    source = pixels(manifest["files"][name].removeprefix(f"{archive}/"))
    expected = np.asarray(source.resize((16, 16), Image.Resampling.LANCZOS))
    assert np.array_equal(read_image(out / name, 16).transpose(1, 2, 0), expected)

    assert sorted(p.name for p in out.parent.iterdir()) == ["pacs"]  # nothing else is left


def sketchy_files(classes, photos=2, sketches=2, extended=1) -> dict[str, bytes]:
    names = []
    for c in classes:
        for crop in ("tx_000000000000", "tx_000100000000"):
            for n in range(photos):
                names.append(f"256x256/photo/{crop}/{c}/n0269_{n}.jpg")
                names += [
                    f"256x256/sketch/{crop}/{c}/n0269_{n}-{k + 1}.png" for k in range(sketches)
                ]
        names += [f"EXTEND_image_sketchy/{c}/n0269_{n + 900}.jpg" for n in range(extended)]
    return pictures(*names)


def test_sketchy(tmp_path):
    classes = ["hot-air_balloon", "jack-o-lantern", "car_(sedan)"]
    source = write_files(tmp_path / "Sketchy", sketchy_files(classes, 10, 3, 10))
    manifest = import_data(SKETCHY, [source], tmp_path / "out", size=16)
    assert manifest["counts"] == {  # a tenth of 10 drawn and of 10 other photos
        f"{part}/{c}": n
        for part, n in (
            ("photo/train", 18), ("photo/test", 2), ("sketch/train", 27), ("sketch/test", 3)
        )
        for c in ("hot air balloon", "jack o lantern", "car (sedan)")
    }  # fmt: skip
    # the other crop: in each of 6 folders
    assert len(manifest["left out"]["in other folders, or no images"]) == 6


def test_tuberlin_and_its_misspelt_photos(tmp_path):
    misspelt = {
        "giraffe": "griaffe", "mouse (animal)": "mouse", "wrist-watch": "wristwatching",
        "space shuttle": "spacesshuttle", "flying bird": "flyingbird", "t-shirt": "tshirt",
        "computer-mouse": "computermouse", "head-phones": "headphones",
    }  # fmt: skip
    sketches = pictures(*(f"png/{c}/{n}.png" for c in misspelt for n in range(5)))
    photos = pictures(*(f"{c}/n0_{n}.JPEG" for c in misspelt.values() for n in range(5)))
    write_zip(tmp_path / "sketches_png.zip", sketches)
    write_zip(tmp_path / "ImageResized.zip", photos)  # only its name says that they are photos
    import_data(TUBERLIN, [tmp_path], tmp_path / "out")
    pair = folder_pair(tmp_path / "out/photo", tmp_path / "out/sketch", "test", 16)
    assert pair[0].classes == (
        "computer mouse", "flying bird", "giraffe", "head phones", "mouse (animal)",
        "space shuttle", "t shirt", "wrist watch",
    )  # fmt: skip
    assert len(pair[0]) == len(pair[1]) == 8


def test_sketches_without_photos(tmp_path, capsys):
    names = (f"png/{c}/{n}.png" for c in ("ant", "bus") for n in range(3))
    archive = write_zip(tmp_path / "sketches_png.zip", pictures(*names))
    out = tmp_path / "out"
    command = ["import", str(archive), "--out", str(out), "--split", "zeroshot30"]
    with pytest.raises(SystemExit, match="error: no pictures of banana, bottle opener,"):
        main(TUBERLIN, command)
    main(TUBERLIN, [*command, "--classes", "Ant,bus"])
    assert capsys.readouterr().out == f"{out}/sketch/test: 6 pictures\n"  # no command to run


def lines(count: int, offset: int = 0) -> bytes:
    """Drawings of a bow each, in the simplified format."""
    bows = [{"drawing": [[[0, 128, 255], [n + offset, 255, 128]]]} for n in range(count)]
    return b"".join(json.dumps(bow).encode() + b"\n" for bow in bows)


def test_quickdraw(tmp_path):
    balloon, tower = "full_simplified_hot air balloon.ndjson", "The Eiffel Tower.ndjson"
    source = write_files(tmp_path / "raw", {balloon: lines(30), tower: lines(9, 60)})
    manifest = import_data(QUICKDRAW, [source], tmp_path / "out", per_class=10)
    assert manifest["counts"] == {
        "sketch/train/hot air balloon": 9, "sketch/test/hot air balloon": 1,
        "sketch/train/eiffel tower": 8, "sketch/test/eiffel tower": 1,
    }  # fmt: skip
    origins = {origin.rpartition("/")[2] for origin in manifest["files"].values()}
    assert origins == {  # the first ten lines
        *(f"{balloon}: line {n}" for n in range(1, 11)),
        *(f"{tower}: line {n}" for n in range(1, 10)),
    }


def test_quickdraw_extended(tmp_path):
    names = [f"{c}/{n}.png" for c in ("bat", "cruise_ship") for n in range(4)]
    photos = pictures(*(f"QuickDraw_images_final/{name}" for name in names))
    paths = [
        write_zip(tmp_path / "QuickDraw_sketches_final.zip", pictures(*names)),
        write_zip(tmp_path / "QuickDraw_images_final.zip", photos),
    ]
    assert parts(import_data(QUICKDRAW, paths, tmp_path / "out")) == {
        "photo/train": 6, "photo/test": 2, "sketch/train": 6, "sketch/test": 2
    }  # fmt: skip


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """A folder as `download` leaves it. Photo i of a file has one value, and a red corner."""
    names = [*"0123456789"]
    names[0], names[3], names[4], names[8] = "airplane", "cat", "deer", "ship"
    files = {"batches.meta": pickle.dumps({"label_names": names}, 2)}
    for name, first in (("data_batch_1", 0), ("data_batch_2", 20), ("test_batch", 40)):
        data = np.repeat(np.arange(first, first + 12, dtype=np.uint8)[:, None], 3072, 1)
        data[:, 0] = 255
        files[name] = pickle.dumps({"data": data, "labels": [0, 3, 4, 8] * 3}, 2)
    folder = write_files(
        tmp_path / "downloads",
        {"airplane.ndjson": lines(10), "cat.ndjson": lines(10, 40), "ship.ndjson": lines(10, 80)},
    )
    members = {f"cifar-10-batches-py/{name}": content for name, content in files.items()}
    write_tar(folder / "cifar-10-python.tar.gz", members)
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    train = [[name, sums[name]] for name in ("data_batch_1", "data_batch_2")]
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})
    return folder


def test_cifar10_with_drawings(cifar, tmp_path):
    out = tmp_path / "out"
    manifest = import_data(CIFAR10_QUICKDRAW, [cifar], out, size=32)
    assert manifest["counts"] == {
        f"{part}/{c}": n
        for part, n in (
            ("photo/train", 6), ("photo/test", 3), ("sketch/train", 9), ("sketch/test", 1)
        )
        for c in ("airplane", "cat", "cruise ship")
    }  # fmt: skip
    assert manifest["left out"]["only photos or only sketches"] == ["deer"]
    origin = f"{cifar}/cifar-10-python.tar.gz/cifar-10-batches-py/batches.meta: train_00017"
    name = {origin: name for name, origin in manifest["files"].items()}[origin]
    assert name.startswith("photo/train/cat/")
    expected = np.full((3, 32, 32), 20 + 5, np.uint8)  # number 5 of the second batch
    expected[0, 0, 0] = 255
    assert np.array_equal(read_image(out / name, 32), expected)


def test_cifar10_is_not_unpickled_unless_it_is_as_published(cifar, tmp_path, monkeypatch):
    monkeypatch.undo()  # the published checksums again
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(UserError, match=r"batches\.meta: its folder is not CIFAR-10 as published"):
        import_data(CIFAR10_QUICKDRAW, [cifar], tmp_path / "out")


def test_strokes_are_drawn_in_the_middle_with_a_margin():
    line = json.dumps({"drawing": [[[10, 210], [50, 50]]]}).encode()  # one level line
    image = np.asarray(drawn(line, "x", 100))
    assert image.shape == (100, 100, 3) and (image[..., 0] == image[..., 2]).all()
    ink = np.argwhere(image[..., 0] < 160)
    assert abs(ink[:, 0].mean() - 49.5) < 1 and abs(ink[:, 1].mean() - 49.5) < 1
    low, high = ink[:, 1].min(), ink[:, 1].max()
    assert 9 <= low <= 12 and 87 <= high <= 90  # 78 of 100 pixels are the drawing
    assert 1 <= np.ptp(ink[:, 0]) + 1 <= 3  # a thin pen, whatever the size


@pytest.mark.parametrize(
    "line, reason",
    [
        (b"", "not a drawing"),
        (b'{"word": "cat"}', "not a drawing"),
        (b'{"drawing": [[[1, 2], [1]]]}', "not a drawing"),
        (b'{"drawing": [[[], []]]}', "without strokes"),
        (b'{"drawing": [[[1, NaN], [1, 1]]]}', "without strokes, or with broken"),
        (b'{"drawing": [[[1, 1e300], [1, 1]]]}', "without strokes, or with broken"),
        (b"[" * 99_999, "not a drawing"),
    ],
)
def test_lines_that_are_no_drawings(line, reason):
    with pytest.raises(UserError, match=rf"cat\.ndjson: line 3: .*{reason}"):
        drawn(line, "cat.ndjson: line 3", 32)


def test_classes_that_only_one_side_has(tmp_path):
    files = good_files() | pictures("photo/giraffe/1.png", "sketch/guitar/1.png")
    source = write_files(tmp_path / "s", files)
    manifest = import_data(PACS, [source], tmp_path / "out")
    assert manifest["left out"]["only photos or only sketches"] == ["giraffe", "guitar"]
    assert {folder.rpartition("/")[2] for folder in manifest["counts"]} == {"dog", "horse"}
    with pytest.raises(UserError, match=r"fewer than two classes are left"):
        import_data(PACS, [source], tmp_path / "out2", classes=("Dog",))


def test_pictures_that_are_there_twice(tmp_path):
    """In one part, in both parts, and in two classes; the test keeps its own."""
    classes = [f"{m}/{s}/{c}" for m in ("photo", "sketch") for s in ("train", "test") for c in "ab"]
    files = pictures(*(f"{folder}/{n}.png" for folder in classes for n in range(3))) | {
        "photo/train/a/copy.png": picture("photo/train/a/1.png"),
        "photo/train/a/leak.png": picture("photo/test/a/2.png"),
        "photo/train/b/foal.png": picture("photo/train/a/0.png"),
        "sketch/train/a/photo.png": picture("photo/test/a/0.png"),  # no repetition
    }
    source = write_files(tmp_path / "s", files)
    manifest = import_data(PACS, [source], tmp_path / "out")
    top = f"{source}/photo"
    assert manifest["left out"]["repeated"] == [
        f"{top}/train/a/copy.png: the same picture as {top}/train/a/1.png",
        f"{top}/train/a/leak.png: the same picture as {top}/test/a/2.png",
        f"{top}/train/b/foal.png: the same picture as {top}/train/a/0.png",
    ]
    assert manifest["counts"] == dict.fromkeys(classes, 3) | {"sketch/train/a": 4}


def test_so_many_of_a_class_always_the_same(tmp_path):
    source = write_files(tmp_path / "s", good_files(each=30))
    small = import_data(PACS, [source], tmp_path / "small", per_class=10)["files"].values()
    large = import_data(PACS, [source], tmp_path / "large", per_class=20)["files"].values()
    assert len(small) == 2 * 2 * (10 + 3) and len(large) == 2 * 2 * (20 + 3)
    assert set(small) < set(large)


def test_another_layout(tmp_path):
    files = pictures("images/0.png", "images/1.png", "pics/cats/1.png", "photo/!!!/1.png")
    source = write_files(tmp_path / "s", files)
    with pytest.raises(SystemExit) as refused:
        main(PACS, ["import", str(source), "--out", str(tmp_path / "out")])
    assert refused.value.code == (
        f"error: {source}: nothing of PACS in it; expected files like photo/*/*, photo/train/*/*, "
        "photo/test/*/*, sketch/*/*, sketch/train/*/*, sketch/test/*/*; found "
        "s/images (2 files), s/photo/!!! (1 files), s/pics/cats (1 files)"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_wishes_that_cannot_be_met(tmp_path):
    source = write_files(tmp_path / "good", good_files())
    (tmp_path / "empty").mkdir()
    (tmp_path / "data.rar").write_bytes(b"Rar!")
    for name, options, reason in (
        ("empty", {}, "found no files"),
        ("nowhere", {}, r"nowhere: no such folder or archive \(.zip"),
        ("data.rar", {}, r"data\.rar: no such folder or archive \(.zip"),
        ("good", {"classes": ("dog", "cow")}, "no pictures of cow, .*; there are dog, horse"),
        ("good", {"size": 0}, "--size must be at least 8"),
        ("good", {"per_class": 1}, "--per-class at least 2"),
    ):
        with pytest.raises(UserError, match=reason):
            import_data(PACS, [tmp_path / name], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists() and tree(source)


def test_folders_above_the_source_say_nothing(tmp_path):
    files = good_files() | pictures("overview.png")
    source = write_files(tmp_path / "sketch" / "mydl", files)
    manifest = import_data(PACS, [source], tmp_path / "out")
    assert manifest["left out"]["in other folders, or no images"] == ["mydl: 1 files"]
    assert sum(manifest["counts"].values()) == 16


def test_an_archive_that_is_cut_off_leaves_nothing(tmp_path):
    archive = write_zip(tmp_path / "PACS.zip", good_files())
    archive.write_bytes(archive.read_bytes()[:-1000])
    with pytest.raises(SystemExit, match=r"PACS.zip: cannot be unpacked \(ReadError"):
        main(PACS, ["import", str(archive), "--out", str(tmp_path / "out")])
    assert [p.name for p in tmp_path.iterdir()] == ["PACS.zip"]


def test_what_is_there_is_never_replaced(tmp_path):
    source = write_files(tmp_path / "s", good_files())
    mine = write_files(tmp_path / "mine", {"thesis.txt": b"years of work"})
    with pytest.raises(SystemExit, match=f"^error: {mine}: already there; delete it"):
        main(PACS, ["import", str(source), "--out", str(mine)])
    assert tree(mine) == {"thesis.txt"}


@pytest.mark.slow  # imports torch in a new process
def test_a_script_runs_from_anywhere(tmp_path):
    script = Path(importing.__file__).parent.parent / "quickdraw.py"
    command = [sys.executable, str(script), "import", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "zeroshot30" in done.stdout


@needs_data
def test_real_drawings(tmp_path):
    manifest = import_data(QUICKDRAW, [DATA / "quickdraw"], tmp_path / "out", size=32)
    assert manifest["counts"] == {
        f"sketch/{part}/{c}": n
        for part, n in (("train", 23), ("test", 2))  # round(2.5) is 2
        for c in ("airplane", "cat", "eiffel tower", "hot air balloon")
    }
    for path in manifest["files"]:
        image = read_image(tmp_path / "out" / path, 32)
        assert np.percentile(image, 60) > 240 and image.min() < 120  # lines on paper
        edge = np.concatenate([image[:, [0, -1]].ravel(), image[:, :, [0, -1]].ravel()])
        assert edge.min() > 240  # a margin all around
