"""Names: equal if they look equal, shown if they only look so, short enough for a path."""

import shlex
from pathlib import Path

import pytest
import torch
from cifar10_quickdraw import CIFAR10_QUICKDRAW
from pacs import PACS
from PIL import Image
from sketchy import SKETCHY
from test_importers import pictures, write_files
from tuberlin import TUBERLIN

from dfsbir_lite import __main__ as command_line
from dfsbir_lite.data import ImageSet, class_key, file_name, folder_pair, save_folders
from dfsbir_lite.pipeline import open_benchmark
from dfsbir_lite.runtime import PROFILES, UserError
from importers import cli
from importers.names import key, tidy
from quickdraw import QUICKDRAW

DOG = "hot dog"


@pytest.fixture
def folders(tmp_path):
    """`folders({"photos/train": [names], ...})`: a picture a class, of a grey of its own."""

    def write(names: dict):
        for part, classes in names.items():
            for n, name in enumerate(classes):
                (tmp_path / part / name).mkdir(parents=True)
                Image.new("L", (9, 9), 50 * n).save(tmp_path / part / name / "1.png")
        return tmp_path / "photos", tmp_path / "sketches"

    return write


@pytest.mark.parametrize(
    "other",
    ["Hot_Dog", "hot-dog", "HOT\u00a0DOG", "\ufeffhot dog", "hot  dog ", "ho\u00adt dog",
     "hot\u2011dog", "h\u200bot\u200d dog", "ｈｏｔ dog", "hot\tdog\r"],
)  # fmt: skip
def test_spellings_of_one_name(other):
    assert class_key(other) == class_key(DOG) == DOG and tidy(other) == DOG


def test_names_that_are_not_the_same():
    names = ("hotdog", "hot dogs", "h\u043et dog", "कि", "का", "cat", "猫")
    assert len(set(map(class_key, names))) == len(set(map(key, names))) == len(names)
    assert class_key("Äpfel") == class_key("A\u0308PFEL")
    assert class_key("\u0390") == class_key("\u03aa\u0301")  # folding takes the latter apart
    assert tidy("हिन्दी") == "हिन्दी"  # the marks upon letters are not blanks


def test_photos_and_sketches_in_other_spellings_and_another_order(folders):
    photos, sketches = folders({"photos/t": ("bee", "cat"), "sketches/t": ("\u200bCAT", "Bee")})
    pair = folder_pair(photos, sketches, "t", 8)
    assert pair[0].classes == pair[1].classes == ("bee", "cat")
    shown = [dict(zip(p.labels.tolist(), p.images[:, 0, 0, 0].tolist())) for p in pair]
    assert shown == [{0: 0, 1: 50}, {0: 50, 1: 0}]  # of the sketches, "CAT" was the first


def test_train_test_and_unseen_in_other_spellings(folders, tiny):
    train, test = ("ant", "bee", "hot dog"), ("Ant", "BEE", "Hot_Dog", "cat")
    parts = {
        f"{m}/{s}": n for m in ("photos", "sketches") for s, n in (("train", train), ("test", test))
    }
    benchmark = open_benchmark(*folders(parts), tiny, unseen=("hot-dog", "\ufeffCAT"))
    assert benchmark.classes == benchmark.train[1].classes == ("Ant", "BEE")
    assert benchmark.unseen[0].classes == ("Hot_Dog", "cat")


def test_names_that_only_look_alike_are_shown_with_their_codes(folders, tiny):
    photos, sketches = folders(
        {"photos/test": ("cat", "dog"), "sketches/test": ("dog", "\u0441at")}
    )
    with pytest.raises(
        UserError, match=r"cat \(only photos\), сat \('\\u0441at'\) \(only sketches"
    ):
        folder_pair(photos, sketches, "test", 8)
    with pytest.raises(
        UserError, match=r"unseen class 'сat \('\\u0441at'\)' is not among cat, dog"
    ):
        open_benchmark(photos, photos, tiny, ("\u0441at",), known=("cat", "dog"))


def test_two_folders_of_one_name(folders):
    photos, _ = folders({"photos/test": ("Äpfel", "A\u0308pfel", "dog")})
    with pytest.raises(UserError, match=r"A\\u0308pfel'\) and .*\\xc4pfel'\) are one name"):
        folder_pair(photos, photos, "test", 8)


def test_toybox_has_unseen_classes_of_its_own(tiny):
    with pytest.raises(UserError, match="leave out --unseen"):
        open_benchmark(None, None, tiny, ("dog",))


# --- names in commands and paths --------------------------------------------------------------


def options(*words: str):
    return command_line._parser().parse_args(["run", *words])


@pytest.mark.parametrize(
    "text, names",
    [
        ("dog, hot dog", ("dog", "hot dog")),
        ('dog,"jar, glass", 12" ruler,', ("dog", "jar, glass", '12" ruler')),
        ("dog\ncat\n", ("dog", "cat")),
        ("", ()),
    ],
)
def test_lists_of_names(text, names):
    assert options("--unseen", text).unseen == names


def test_names_of_files():
    assert file_name("Hot dog (large)") == "Hot dog (large)"
    long = [file_name("ä" * 300 + end) for end in "ab"]
    assert len({*long}) == 2 and all(name.startswith("ä" * 50 + "-") for name in long)
    for odd in ("a/b", "a\\b", "a:b", "a\0b"):
        assert file_name(odd).startswith("a_b-")
    assert len(tidy("x" * 300).encode()) < 120


@pytest.mark.parametrize(
    "words",
    [
        ("--unseen", ",".join(QUICKDRAW.unseen["zeroshot30"])),
        ("--teachers", "x" * 250),
        ("--set", "labels=" + "y/" * 200),
    ],
)
def test_folders_of_results_have_short_names(words):
    name = command_line._default_folder(options("--photos", "p", *words))
    top, _, name = name.partition("/")
    assert top == "runs" and "/" not in name and len(name) < 120
    assert name != command_line._default_folder(options("--photos", "p", *words, "--set", "adv=0"))


def test_folders_of_classes_that_no_file_may_be_called(tmp_path):
    classes = "car/truck", "y" * 300
    save_folders(ImageSet(torch.zeros(2, 3, 4, 4).byte(), torch.arange(2), classes, "x"), tmp_path)
    assert len(list(tmp_path.glob("*/*.png"))) == 2


SPLITS = [(d, s) for d in (SKETCHY, TUBERLIN, QUICKDRAW) for s in d.unseen]
SPLITS += [(PACS, "seen"), (CIFAR10_QUICKDRAW, "seen")]


@pytest.mark.slow
@pytest.mark.parametrize("dataset, split", SPLITS, ids=lambda x: getattr(x, "title", x))
def test_the_command_that_an_importer_prints_can_be_run(
    dataset, split, tmp_path, monkeypatch, capsys, tiny
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PROFILES, "laptop", tiny)
    unseen = dataset.unseen.get(split, ())
    classes = ["ant's nest", "x" * 200, *unseen]
    names = (f"{m}/{c}/{n}.png" for m in ("photo", "sketch") for c in classes for n in range(2))
    write_files(tmp_path / "s", pictures(*names))
    given = ["import", "s", "--out", "my data", "--size", "8", "--split", split]
    cli.main(dataset, given)
    assert not any(Path("my data/sketch/train", name).exists() for name in unseen)
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert words[:4] == ["python", "-m", "dfsbir_lite", "run"]
    small = ["--steps", "1", "--device", "cpu", "--set", "batch=8", "--set", "noise_dim=8"]
    assert command_line.main([*words[3:], *small]) == 0
    assert "everything is in runs/" in capsys.readouterr().out
