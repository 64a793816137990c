"""`python -m dfsbir_lite`: its commands on tiny data, one line for every mistake, Ctrl-C."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.models import resnet18

from dfsbir_lite import __main__ as cli
from dfsbir_lite import pipeline
from dfsbir_lite.__main__ import main
from dfsbir_lite.runtime import PROFILES, Profile
from dfsbir_lite.teachers import save_teacher

READOUTS = ("teacher features", "teacher logits", "teacher posteriors")
ROWS = (*READOUTS, "data-free student", "real-data student")
SMALL = ("batch=8", "noise_dim=8", "encoder_steps=2", "catch_up=1")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch, tiny):
    """A profile that takes a second, in a folder with a blank and umlauts, on the CPU."""
    place = tmp_path / "mit Ümläuten"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("DFSBIR_QUIET", "1")
    monkeypatch.setitem(PROFILES, "tiny", tiny)


@pytest.fixture
def folders(write_folders):
    return write_folders(Path())


def run(*arguments, folders=None, recipe=SMALL):
    """`main` with the tiny profile; returns the exit status."""
    given = ["run", "--profile", "tiny", "--device", "cpu", *arguments]
    given += [] if "--minutes" in arguments else ["--steps", "2"]
    given += [word for change in recipe for word in ("--set", change)]
    if folders:
        given += ["--photos", str(folders[0]), "--sketches", str(folders[1])]
    return main(given)


def complaint(capsys) -> str:
    """The one line on stderr; nothing may be on stdout."""
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


def scores(folder) -> dict:
    return json.loads(Path(folder, "scores.json").read_text())


# --- mistakes ---------------------------------------------------------------------------------


def test_folders_that_are_missing_or_empty(folders, capsys):
    assert run(folders=(folders[0], "nowhere")) == 2
    assert "error: nowhere/train: no such folder" in complaint(capsys)
    Path("empty/train").mkdir(parents=True)
    assert run(folders=("empty", folders[1])) == 2
    assert "error: empty/train: needs at least two class folders" in complaint(capsys)


def test_an_image_that_cannot_be_read(folders, capsys):
    (folders[1] / "test" / "top" / "bad.jpg").write_bytes(b"no picture")
    assert run(folders=folders) == 0
    assert "left out: 1 (sketches/test/top/bad.jpg: not an image" in capsys.readouterr().err


def test_classes_that_differ(folders, capsys):
    for kind in folders:
        (kind / "test" / "down").mkdir()
        Image.new("L", (9, 9)).save(kind / "test" / "down" / "x.png")
    assert run(folders=folders) == 2
    assert "train and test folders differ in down" in complaint(capsys)
    (folders[0] / "train" / "up").mkdir()
    assert run(folders=folders) == 2
    assert "up (only photos)" in complaint(capsys)


@pytest.mark.parametrize(
    "unseen, reason", [("right,cow", "unseen class 'cow'"), ("right,top", "at least two classes")]
)
def test_unseen_classes_that_do_not_work(unseen, reason, folders, capsys):
    assert run("--unseen", unseen, folders=folders) == 2
    assert reason in complaint(capsys)


@pytest.mark.parametrize(
    "change, reason",
    [
        ("batch", "write it as name=value"),
        ("sugar=1", "a recipe has no 'sugar'"),
        ("batch=many", "'many' is not of type int"),
        ("relabel=perhaps", "'perhaps' is not of type bool"),
    ],
)
def test_settings_that_are_none(change, reason, capsys):
    assert run(recipe=[change]) == 2
    assert reason in complaint(capsys)


def test_settings_get_the_type_of_their_default(monkeypatch, folders):
    seen = []
    monkeypatch.setattr(pipeline, "run", lambda *args, **options: seen.append(args[3]) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(folders=folders, recipe=["relabel=False", "adv=0.5", "batch=4", "labels=teacher"])
    (settings,) = seen
    assert settings.relabel is False and settings.weights.adv == 0.5
    assert settings.batch == 4 and settings.labels == "teacher"


@pytest.mark.parametrize("value", ["--steps 0", "--minutes nan", "--steps 3 --minutes 1"])
def test_values_that_the_parser_refuses(value, capsys):
    with pytest.raises(SystemExit):
        main(["run", *value.split()])
    assert capsys.readouterr().err.splitlines()[-1].startswith("python -m dfsbir_lite run: error:")


def test_profiles_that_do_not_ship(capsys):
    assert main(["run", "--profile", "laptop-64", "--device", "cpu"]) == 2
    assert "nothing ships for profile laptop-64: give --photos" in complaint(capsys)
    assert main(["bench", "quality", "--profile", "paper", "--device", "cpu"]) == 2
    assert "nothing ships for profile paper" in complaint(capsys)
    assert main(["export", "--profile", "laptop-64"]) == 2
    assert "laptop-64/student.safetensors: no such file" in complaint(capsys)


def test_a_loss_that_is_no_number(folders, capsys, monkeypatch):
    monkeypatch.setattr("dfsbir_lite.losses.matching", lambda *given: torch.tensor(float("nan")))
    assert run(folders=folders) == 2
    assert "error: match is nan; try a lower weight or learning rate" in complaint(capsys)


# --- run --------------------------------------------------------------------------------------


def times(folder: str) -> dict[str, int]:
    """When each network in `folder` was written."""
    return {p.name: p.stat().st_mtime_ns for p in Path(folder).glob("*.safetensors")}


def test_a_run_on_folders_from_end_to_end(folders, write_folders, capsys, monkeypatch):
    assert run("--out", "out", folders=folders) == 0
    printed = capsys.readouterr().out
    assert all(row in printed for row in ("chance", *ROWS)) and "everything is in out" in printed
    rows = scores("out")
    assert tuple(rows) == ROWS
    for name, row in rows.items():
        assert row.keys() == ({"seen", "seconds"} if "student" in name else {"seen"})
        assert all(0 <= value <= 1 for value in row["seen"].values())
        assert row["seen"]["chance"] == pytest.approx(1 / 3)
    written = times("out")
    networks = ("photo", "sketch", "modality", "student", "real_student")
    assert written.keys() == {f"{name}.safetensors" for name in networks}
    assert not list(Path("out").glob("*state*"))
    card = json.loads(Path("out/student.json").read_text())
    assert card["data"] == "none" and card["steps"] == 2 and card["batch"] == 8

    # the same command again: nothing is trained, the scores stay
    with monkeypatch.context() as second:
        for name in ("train_teacher", "distill", "RealDataStudent.__post_init__"):
            second.setattr(f"dfsbir_lite.pipeline.{name}", lambda *args, **options: 1 / 0)
        assert run("--out", "out", folders=folders) == 0
    assert [r["seen"] for r in scores("out").values()] == [r["seen"] for r in rows.values()]
    assert times("out") == written
    capsys.readouterr()

    # another recipe, another length, another seed, other images: not in this folder
    assert run("--out", "out", folders=folders, recipe=(*SMALL, "adv=0")) == 2
    assert "out: holds a run with another weights" in complaint(capsys)
    assert run("--out", "out", "--minutes", "3", folders=folders) == 2
    assert "out: holds a run with another steps" in complaint(capsys)
    assert run("--out", "out", "--seed", "1", folders=folders) == 2
    assert "out/photo.safetensors: trained on other images or settings" in complaint(capsys)
    assert run("--out", "out", folders=write_folders(Path("others"), each=3)) == 2
    assert "out/photo.safetensors: trained on other images or settings" in complaint(capsys)
    assert times("out") == written


def test_given_teachers_must_know_the_classes(folders, capsys):
    assert run("--out", "first", "--unseen", "right", folders=folders) == 0
    rows = scores("first")
    assert all({"seen", "unseen"} <= row.keys() for row in rows.values())
    assert rows["teacher logits"]["unseen"]["chance"] == 1  # one class only
    capsys.readouterr()
    assert run("--out", "second", "--teachers", "nowhere", folders=folders) == 2
    assert "nowhere/photo.safetensors: no such file" in complaint(capsys)
    given = ("--out", "second", "--teachers", "first")
    assert run(*given, "--unseen", "top", folders=folders) == 2
    assert "'top' cannot be unseen: the teachers know it" in complaint(capsys)
    assert run(*given) == 2
    assert "the teachers know left, top: not the classes of ToyBox" in complaint(capsys)
    assert not Path("second").exists()
    assert run(*given, "--start", "teachers", folders=folders) == 0
    assert "both teachers know: 2 (left, top)" in capsys.readouterr().out
    assert scores("second")["teacher logits"] == rows["teacher logits"]  # "right" became unseen
    assert not Path("second/photo.safetensors").exists()
    for part in folders:
        shutil.rmtree(part / "train")  # what teachers know already need not be shown to them
    assert run("--out", "third", "--teachers", "first", folders=folders) == 0
    assert scores("third").keys() == rows.keys() - {"real-data student"}
    assert scores("third")["teacher logits"] == rows["teacher logits"]
    capsys.readouterr()
    assert run("--out", "fourth", folders=folders) == 2
    assert "photos/train: no such folder" in complaint(capsys)


def test_given_teachers_of_other_sizes_and_architectures(
    folders, make_teacher, capsys, monkeypatch
):
    save_teacher("mine/photo.safetensors", make_teacher(("left", "top")), {})
    torch.save(resnet18(num_classes=3).state_dict(), "sketch.pth")
    Path("sketch.txt").write_bytes(b"\xef\xbb\xbfTop\r\nleft\r\nfish")  # as from Windows
    assert adopt("sketch", "sketch.txt") == 0
    assert "mine/sketch.safetensors: resnet18 of 3 classes, 32 px" in capsys.readouterr().out
    monkeypatch.setitem(PROFILES, "tiny", Profile("tiny", 24, (8, 16), 8, 8, 1, 1, 1))
    assert run("--out", "out", "--teachers", "mine", folders=folders) == 0
    printed = capsys.readouterr().out
    assert "both teachers know: 2 (left, top)" in printed
    assert "the sketch teacher alone knows: 1 (fish)" in printed
    assert "the photo teacher reads 16 px: pictures of 24 px are scaled for it" in printed
    assert "the sketch teacher reads 32 px" in printed
    assert scores("out").keys() == set(ROWS) - {"teacher features"}  # 16 and 512 numbers


def test_a_class_that_one_teacher_knows_is_neither_seen_nor_unseen(folders, make_teacher, capsys):
    for role, names in (("photo", ("left", "right", "top")), ("sketch", ("top", "left"))):
        save_teacher(f"mine/{role}.safetensors", make_teacher(names), {})
    save_teacher("mine/modality.safetensors", make_teacher(("photo", "sketch")), {})
    assert run("--out", "out", "--teachers", "mine", folders=folders) == 0
    rows = scores("out")
    assert all("unseen" not in row for row in rows.values())
    assert rows["teacher logits"]["seen"]["chance"] == 0.5
    given = ("--teachers", "mine", "--unseen", "right")
    assert run("--out", "other", *given, folders=folders) == 2
    assert "'right' cannot be unseen: the teachers know it" in capsys.readouterr().err
    for role in ("photo", "sketch"):  # other teachers of the same classes
        save_teacher(f"mine/{role}.safetensors", make_teacher(("left", "top"), 5), {})
    assert run("--out", "out", "--teachers", "mine", folders=folders) == 2
    assert "out: holds a run with another" in capsys.readouterr().err


def test_runs_of_different_kinds_get_places_of_their_own():
    kinds = ["", "--start teachers", "--set align=0", "--unseen dog", "--seed 1", "--minutes 3"]
    options = [cli._parser().parse_args(["run", *kind.split()]) for kind in kinds]
    assert len(set(map(cli._default_folder, options))) == len(kinds)


# --- the other commands -----------------------------------------------------------------------


def adopt(role: str, classes: str) -> int:
    given = ["adopt", "resnet18", f"{role}.pth", "--classes", classes, "--size", "32"]
    return main([*given, "--role", role, "--out", "mine"])


def test_adopting_with_a_wrong_list_of_classes(capsys):
    torch.save(resnet18(num_classes=4).state_dict(), "photo.pth")
    Path("three.txt").write_text("ant\nbee\ncat\n")
    Path("bytes.txt").write_bytes(b"\xff\xfe\x00")
    for classes, reason in (
        ("three.txt", "photo.pth: not of this ResNet: size mismatch for fc."),
        ("nowhere.txt", "nowhere.txt"),
        ("bytes.txt", "bytes.txt: not a list of names"),
    ):
        assert adopt("photo", classes) == 2
        assert reason in complaint(capsys)
    assert not Path("mine").exists()


def test_export_of_a_student_of_ones_own(folders, capsys):
    assert run("--out", "out", folders=folders) == 0
    given = ["export", "--student", "out/student.safetensors", "--photos", "photos/test"]
    assert main([*given, "--profile", "tiny", "--device", "cpu", "--out", "gallery"]) == 0
    assert "12 photos: gallery" in capsys.readouterr().out
    assert main([*given, "--device", "cpu", "--out", "other"]) == 2
    assert "student.safetensors: not of the sizes of profile laptop" in complaint(capsys)


def bench(*arguments, folders=()):
    given = ["bench", "quality", "--profile", "tiny", "--device", "cpu", "--out", "b", "--steps"]
    given += ["1", "--seeds", "1", "--workers", "1", *arguments]
    pairs = zip(("--photos", "--sketches"), map(str, folders))
    return main([*given, *(word for pair in pairs for word in pair)])


def test_bench_folders_must_be_those_it_began_with(folders, write_folders, capsys):
    assert bench("--rows", "teacher logits", folders=folders) == 0
    stored = json.loads(Path("b/quality-tiny.json").read_text())
    assert [list(run) for run in stored["runs"]] == [["teacher logits"]]
    capsys.readouterr()
    assert bench(folders=write_folders(Path("others"))) == 2
    assert "holds a run with another source" in complaint(capsys)
    assert bench("--rows", "cake", folders=folders) == 2
    assert "no row 'cake'" in complaint(capsys)


# --- Ctrl-C -----------------------------------------------------------------------------------


EXPORT = ("--photos", "photos/test", "--device", "cpu")


def press(*args, **options):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "place, command",
    [
        ("dfsbir_lite.pipeline.train_teacher", run),
        ("dfsbir_lite.students.Distillation.__next__", run),
        ("dfsbir_lite.pipeline.RealDataStudent.__next__", run),
        ("dfsbir_lite.pipeline.train_teacher", bench),
        ("dfsbir_lite.gallery.export_gallery", lambda folders: main(["export", *EXPORT])),
    ],
)
def test_ctrl_c_means_one_thing_whatever_is_running(place, command, folders, capsys, monkeypatch):
    monkeypatch.setattr(place, press)
    assert command(folders=folders) == 130
    assert complaint(capsys) == "interrupted; the same command goes on from what was saved last\n"
