"""`python -m dfsbir_lite`: one line for every mistake, and a run that goes on where it stopped."""

import json
import os
import shutil
from functools import partial, partialmethod
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torchvision.models import resnet18

from dfsbir_lite import __main__ as cli
from dfsbir_lite import pipeline
from dfsbir_lite.__main__ import main
from dfsbir_lite.runtime import PROFILES, Profile
from dfsbir_lite.synthesis import Synthesis
from dfsbir_lite.teachers import Teachers, save_teacher

METHODS = ("teacher features", "teacher logits", "teacher posteriors")
ROWS = (*METHODS, "data-free student", "real-data student")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch, tiny):
    """A profile that takes a second, in a folder of its own, on the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DFSBIR_QUIET", "1")
    monkeypatch.setitem(PROFILES, "tiny", tiny)


@pytest.fixture
def folders(write_folders, tmp_path):
    return write_folders(tmp_path)


def run(*arguments, folders=None, recipe=("batch=8", "noise_dim=8")):
    """`main` with the tiny profile; returns the exit status."""
    given = ["run", "--profile", "tiny", "--device", "cpu", "--steps", "2", *arguments]
    for change in recipe:
        given += ["--set", change]
    if folders:
        given += ["--photos", str(folders[0]), "--sketches", str(folders[1])]
    return main(given)


def complaint(capsys) -> str:
    """The one line on stderr; nothing may be on stdout."""
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("error: ")
    return err


# --- mistakes ---------------------------------------------------------------------------------


def test_folders_that_are_missing_or_empty(folders, capsys, tmp_path):
    assert run(folders=(folders[0], tmp_path / "nowhere")) == 2
    assert "nowhere/train: no such folder" in complaint(capsys)
    (tmp_path / "empty" / "train").mkdir(parents=True)
    assert run(folders=(tmp_path / "empty", folders[1])) == 2
    assert "empty/train: needs at least two class folders" in complaint(capsys)


def test_an_image_that_cannot_be_read(folders, capsys):
    (folders[1] / "test" / "top" / "bad.jpg").write_bytes(b"no picture")
    assert run(folders=folders) == 2
    assert "sketches/test/top/bad.jpg: not an image" in complaint(capsys)


def test_classes_that_differ(folders, capsys):
    for kind in folders:
        (kind / "test" / "down").mkdir()
        Image.new("L", (9, 9)).save(kind / "test" / "down" / "x.png")
    assert run(folders=folders) == 2
    assert "train and test folders differ in down" in complaint(capsys)
    (folders[0] / "train" / "up").mkdir()
    assert run(folders=folders) == 2
    assert "up (only photos)" in complaint(capsys)


@pytest.mark.parametrize("option", ["--photos", "--sketches"])
def test_one_folder_of_two(option, folders, capsys):
    assert run(option, str(folders[0])) == 2
    assert "give both --photos and --sketches" in complaint(capsys)


@pytest.mark.parametrize(
    "unseen, told", [("right,cow", "unseen class 'cow'"), ("right,top", "at least two classes")]
)
def test_unseen_classes_that_do_not_work(unseen, told, folders, capsys):
    assert run("--unseen", unseen, folders=folders) == 2
    assert told in complaint(capsys)


@pytest.mark.parametrize(
    "change, told",
    [
        ("batch", "write it as name=value"),
        ("sugar=1", "a recipe has no 'sugar'"),
        ("weights=1", "a recipe has no 'weights'"),
        ("batch=many", "'many' is not of type int"),
        ("batch=0", "batch is 0"),
        ("encoder_lr=nan", "encoder_lr is nan"),
        ("relabel=perhaps", "'perhaps' is not of type bool"),
        ("adv=-1", "weight adv is -1"),
        ("adv=nan", "weight adv is nan"),
    ],
)
def test_settings_that_are_none(change, told, capsys):
    assert run(recipe=[change]) == 2
    assert told in complaint(capsys)


@pytest.mark.parametrize("text, value", [("True", True), ("true", True), ("False", False)])
def test_settings_that_are_switches(text, value, monkeypatch, folders):
    seen = []
    monkeypatch.setattr(pipeline, "run", lambda *args, **options: seen.append(args[3]) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(folders=folders, recipe=[f"relabel={text}", "adv=0.5", "batch=4", "labels=teacher"])
    settings = seen[0]
    assert settings.relabel is value and settings.weights.adv == 0.5
    assert settings.batch == 4 and settings.labels == "teacher"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_where_there_is_none(capsys):
    assert main(["run", "--device", "cuda"]) == 2
    assert "torch sees no GPU" in complaint(capsys)


def test_a_place_that_cannot_be_written_to(folders, capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert run("--out", "file", folders=folders) == 2
    assert "file" in complaint(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--steps", "0"],
        ["--steps", "x"],
        ["--profile", "huge"],
        ["--minutes", "0"],
        ["--minutes", "nan"],
        ["--steps", "3", "--minutes", "1"],
    ],
)
def test_values_that_the_parser_refuses(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["run", *arguments])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("python -m dfsbir_lite run: error:")


# --- runs -------------------------------------------------------------------------------------


def times(folder: Path) -> dict[str, int]:
    """When each network in `folder` was written."""
    return {p.name: p.stat().st_mtime_ns for p in folder.glob("*.safetensors")}


def test_a_run_on_folders_from_end_to_end(folders, capsys, monkeypatch, tmp_path):
    out = tmp_path / "out"
    assert run("--out", "out", folders=folders) == 0
    printed = capsys.readouterr().out
    assert all(row in printed for row in ("chance", *ROWS)) and "everything is in out" in printed
    rows = json.loads((out / "scores.json").read_text())
    assert tuple(rows) == ROWS
    for name, row in rows.items():
        assert row.keys() == ({"seen", "seconds"} if "student" in name else {"seen"})
        assert all(0 <= value <= 1 for value in row["seen"].values())
        assert row["seen"]["chance"] == pytest.approx(1 / 3)
    written = times(out)
    networks = {"photo", "sketch", "modality", "student"}
    assert {f"{name}.safetensors" for name in networks} <= written.keys()
    card = json.loads((out / "student.json").read_text())
    assert card["data"] == "none" and card["steps"] == 2 and card["batch"] == 8

    # the same command again: nothing is trained, the scores stay
    def trains(*args, **options):
        raise AssertionError("trained again")

    with monkeypatch.context() as second:
        for name in ("train_teacher", "distill", "RealDataStudent"):
            second.setattr(pipeline, name, trains)
        assert run("--out", "out", folders=folders) == 0
    again = json.loads((out / "scores.json").read_text())
    assert [r["seen"] for r in again.values()] == [r["seen"] for r in rows.values()]
    assert times(out) == written
    capsys.readouterr()

    # another setting, another profile, other classes: not in this folder
    assert run("--out", "out", "--seed", "1", folders=folders) == 2
    assert "out: holds a run with another seed" in complaint(capsys)
    assert run("--out", "out", folders=folders, recipe=("batch=8", "noise_dim=8", "adv=0")) == 2
    assert "another weights" in complaint(capsys)
    monkeypatch.setitem(PROFILES, "other", Profile("other", 16, (8, 16), 8, 8, 1, 1, 1))
    assert run("--out", "out", "--profile", "other", folders=folders) == 2
    assert "another profile" in complaint(capsys)
    monkeypatch.setitem(PROFILES, "tiny", Profile("tiny", 24, (8, 16), 8, 8, 1, 1, 1))
    assert run("--out", "out", folders=folders) == 2
    assert "teachers of 16 px; profile tiny has 24 px" in complaint(capsys)
    assert times(out) == written


def test_given_teachers_must_know_the_classes(folders, write_folders, capsys, tmp_path):
    assert run("--out", "first", "--unseen", "right", folders=folders) == 0
    rows = json.loads(Path("first/scores.json").read_text())
    assert all({"seen", "unseen"} <= row.keys() for row in rows.values())
    assert rows["teacher logits"]["unseen"]["chance"] == 1  # one class only
    capsys.readouterr()
    assert run("--out", "second", "--teachers", "nowhere", folders=folders) == 2
    assert "nowhere/photo.safetensors: no such file" in complaint(capsys)
    assert run("--out", "second", "--teachers", "first", "--unseen", "top", folders=folders) == 2
    assert "'top' cannot be unseen: the teachers know it" in complaint(capsys)
    assert run("--out", "second", "--teachers", "first") == 2
    assert "the teachers know left, top: not the classes of ToyBox" in complaint(capsys)
    assert not Path("second").exists()
    given = ("--teachers", "first", "--start", "teachers")
    assert run("--out", "second", *given, folders=folders) == 0
    assert "both teachers know: 2 (left, top)" in capsys.readouterr().out
    again = json.loads(Path("second/scores.json").read_text())
    assert again["teacher logits"] == rows["teacher logits"]  # "right" was taken as unseen
    assert not Path("second/photo.safetensors").exists()
    for part in folders:
        shutil.rmtree(part / "train")  # what teachers know already need not be shown to them
    assert run("--out", "third", "--teachers", "first", folders=folders) == 0
    third = json.loads(Path("third/scores.json").read_text())
    assert third.keys() == rows.keys() - {"real-data student"}
    assert third["teacher logits"] == rows["teacher logits"]
    capsys.readouterr()
    assert run("--out", "fourth", folders=folders) == 2
    assert "photos/train: no such folder" in complaint(capsys)


def test_adopted_teachers_that_know_more_than_the_folders_hold(folders, capsys, monkeypatch):
    """From two .pth files to a student and its scores, by the command line alone."""
    monkeypatch.setitem(PROFILES, "tiny", Profile("tiny", 32, (8, 16), 8, 8, 1, 1, 1))
    for role, names in (("photo", "left Right top eel"), ("sketch", "top left fish right")):
        torch.save(resnet18(num_classes=4).state_dict(), f"{role}.pth")
        Path(f"{role}.txt").write_text("\n".join(names.split()) + "\n\n")
        given = ["adopt", "resnet18", f"{role}.pth", "--classes", f"{role}.txt", "--size", "32"]
        assert main([*given, "--role", role, "--out", "mine"]) == 0
    assert "mine/sketch.safetensors: a resnet18 of 4 classes, 32 px" in capsys.readouterr().out
    assert run("--out", "out", "--teachers", "mine", folders=folders) == 0
    told = capsys.readouterr().out
    assert "both teachers know: 3 (left, Right, top)" in told
    assert "the sketch teacher alone knows: 1 (fish)" in told
    assert tuple(json.loads(Path("out/scores.json").read_text())) == ROWS


def test_a_class_that_one_teacher_knows_is_neither_seen_nor_unseen(folders, make_teacher, capsys):
    guidance = make_teacher(("photo", "sketch"))
    for role, names in (("photo", ("left", "right", "top")), ("sketch", ("top", "left"))):
        save_teacher(f"mine/{role}.safetensors", make_teacher(names), {})
    save_teacher("mine/modality.safetensors", guidance, {})
    assert run("--out", "out", "--teachers", "mine", folders=folders) == 0
    rows = json.loads(Path("out/scores.json").read_text())
    assert all("unseen" not in row for row in rows.values())
    assert rows["teacher logits"]["seen"]["chance"] == 0.5
    capsys.readouterr()
    given = ("--teachers", "mine", "--unseen", "right")
    assert run("--out", "other", *given, folders=folders) == 2
    assert "'right' cannot be unseen: the teachers know it" in complaint(capsys)


def test_other_teachers_are_another_run(folders, make_teacher, capsys):
    for seed in (1, 2):
        for role in ("photo", "sketch"):
            teacher = make_teacher(("left", "right", "top"), seed)
            save_teacher(f"mine{seed}/{role}.safetensors", teacher, {})
        save_teacher(f"mine{seed}/modality.safetensors", make_teacher(("photo", "sketch")), {})
    assert run("--out", "out", "--teachers", "mine1", folders=folders) == 0
    capsys.readouterr()
    assert run("--out", "out", "--teachers", "mine2", folders=folders) == 2
    assert "out: holds a run with another teachers" in capsys.readouterr().err


def test_a_real_data_student_that_starts_as_teachers_has_its_own_order(make_teacher):
    names = ("top", "left", "right")
    teachers = Teachers(
        make_teacher(names, 1), make_teacher(names, 2), make_teacher(("photo", "sketch"))
    )
    sorted_ones = pipeline.in_order(teachers, ("left", "right"))
    images = torch.rand(2, 3, 16, 16)
    expected = teachers.photo(images).logits[:, [1, 2]]
    torch.testing.assert_close(sorted_ones.photo(images).logits, expected)
    assert sorted_ones.classes == ("left", "right")


def test_profiles_that_do_not_ship(capsys):
    assert main(["run", "--profile", "laptop-64", "--device", "cpu"]) == 2
    assert "nothing ships for profile laptop-64: give --photos" in complaint(capsys)
    assert main(["bench", "quality", "--profile", "paper", "--device", "cpu"]) == 2
    assert "nothing ships for profile paper" in complaint(capsys)


def test_adopting_with_a_wrong_list_of_classes(capsys):
    torch.save(resnet18(num_classes=4).state_dict(), "a.pth")
    given = ["adopt", "resnet18", "a.pth", "--role", "photo", "--out", "mine", "--classes"]
    Path("twice.txt").write_text("ant\nhot dog\nhot dog\n")
    assert main([*given, "twice.txt"]) == 2
    assert "twice.txt: 'hot dog' is there twice" in complaint(capsys)
    Path("three.txt").write_text("ant\nbee\ncat\n")
    assert main([*given, "three.txt"]) == 2
    assert "a.pth: fc." in complaint(capsys)
    assert main([*given, "nowhere.txt"]) == 2
    assert "nowhere.txt" in complaint(capsys)
    Path("bytes.txt").write_bytes(b"\xff\xfe\x00")
    assert main([*given, "bytes.txt"]) == 2
    assert "bytes.txt: not a list of names" in complaint(capsys)
    assert not Path("mine").exists()


def test_time_and_memory_are_told_before_a_run(folders, capsys, monkeypatch):
    monkeypatch.delenv("DFSBIR_QUIET")
    minute = iter(range(0, 6000, 60))  # a clock on which every reading is a minute after the last
    monkeypatch.setattr(pipeline.time, "perf_counter", lambda: next(minute))
    monkeypatch.setattr("dfsbir_lite.budget.peak_memory", lambda device: 3_000_000_000)
    assert run("--out", "told", "--steps", "7", folders=folders) == 0
    told = capsys.readouterr().err
    # a minute for an estimator step, none more for an encoder step with it; six estimator steps
    # more after each refresh, which comes with every twenty-fifth: 7 * 1.24 = 8.68
    assert "student: 7 iterations, ≈9 min, ≈3.0 GB of memory\n" in told
    assert "student on real data: 42 steps, ≈42 min\n" in told
    assert run("--out", "short", "--steps", "1", folders=folders) == 0  # nothing to foretell
    monkeypatch.setenv("DFSBIR_QUIET", "1")
    assert run("--out", "untold", "--steps", "7", folders=folders) == 0
    told, untold = (Path(p, "student.safetensors").read_bytes() for p in ("told", "untold"))
    assert told == untold  # the forecast uses up a run of its own


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands but for `pace` seconds an estimator step, and an iteration's rest."""
    clock = SimpleNamespace(now=0.0, pace=1.0)
    for name in ("perf_counter", "monotonic"):
        monkeypatch.setattr(pipeline.time, name, lambda: clock.now)

    def timed(advance, loop):
        step = advance(loop)
        clock.now += clock.pace
        return step

    for kind in (pipeline.Distillation, Synthesis):
        monkeypatch.setattr(kind, "__next__", partialmethod(partial(timed, kind.__next__)))
    return clock


# an estimator step and an encoder step an iteration, no refreshes
EVEN = ("batch=8", "noise_dim=8", "encoder_steps=1", "refresh_every=0")


def run_for(minutes, out, folders, recipe=EVEN):
    """`main` with a budget of time in place of `--steps`."""
    given = ["run", "--profile", "tiny", "--device", "cpu", "--minutes", minutes, "--out", out]
    given += [word for change in recipe for word in ("--set", change)]
    return main([*given, "--photos", str(folders[0]), "--sketches", str(folders[1])])


def made_in(out) -> tuple[int, int, bytes]:
    """The iterations that were chosen and those that the student took; its weights."""
    chosen = json.loads(Path(out, "settings.json").read_text())["steps"]
    card = json.loads(Path(out, "student.json").read_text())
    return chosen, card["steps"], Path(out, "student.safetensors").read_bytes()


def test_a_budget_of_time_sets_the_iterations(folders, clock, capsys, monkeypatch):
    # measuring: six estimator steps of a second and six iterations of two, 18 seconds in all;
    # (0.95 * 120 - 18) / 2 = 48
    monkeypatch.delenv("DFSBIR_QUIET")
    assert run_for("2", "out", folders) == 0
    told = capsys.readouterr().err
    assert "2 minutes are enough for ≈48 iterations\nstudent: 48 iterations, ≈2 min" in told
    assert "slower than measured" not in told
    assert made_in("out")[:2] == (48, 48)
    assert clock.now == 18 + 48 * 2  # and not measured twice
    seconds = json.loads(Path("out/scores.json").read_text())["data-free student"]["seconds"]
    assert seconds == 18 + 48 * 2

    # six catch-up steps with every third estimator step, two of which make an iteration, three
    # encoder steps: 2 * (1 + 6 / 3) * 1 + 3 * 1 = 9, and (0.95 * 180 - 18) / 9 = 17
    more = ("estimator_steps=2", "encoder_steps=3", "refresh_every=3", "catch_up=6")
    assert run_for("3", "more", folders, (*EVEN[:2], *more)) == 0
    assert made_in("more")[0] == 17

    # 0.7 would be just enough: (10 * 2 + 18) / 0.95 / 60 = 0.67
    capsys.readouterr()
    assert run_for("0.5", "short", folders) == 2
    assert "0.5 minutes are too few for 10 iterations here: give at least --minutes 0.8" in (
        capsys.readouterr().err
    )
    assert not Path("short/settings.json").exists()
    assert run_for("0.8", "short", folders) == 0 and made_in("short")[0] == 13


def test_a_budget_of_time_is_kept_on_a_machine_that_became_slower(folders, clock, monkeypatch):
    """And a run that was interrupted goes on with the iterations that were chosen at first."""
    advance, stops, slower = pipeline.Distillation.__next__, [], []

    def take(loop):
        if len(loop) > 6 and loop.index in stops:  # and not while it is measured
            raise KeyboardInterrupt(stops.remove(loop.index))
        if len(loop) > 6 and loop.index in slower:
            clock.pace = 2.0
        return advance(loop)

    monkeypatch.setattr(pipeline.Distillation, "__next__", take)
    assert run_for("2", "whole", folders) == 0
    stops.append(20)
    assert run_for("2", "parts", folders) == 2
    assert run_for("2", "parts", folders) == 0
    assert made_in("parts") == made_in("whole")

    slower.append(10)  # the iterations from there on take four seconds in place of two
    began, clock.pace = clock.now, 1.0
    assert run_for("2", "late", folders) == 0
    chosen, taken, _ = made_in("late")
    assert chosen == 48 and 18 + 10 * 2 + (taken - 10) * 4 == clock.now - began <= 120
    assert taken > 24  # it uses the time: 30 fit, seen at once
    stops.append(20)
    clock.pace = 1.0
    assert run_for("2", "later", folders) == 2
    assert run_for("2", "later", folders) == 0  # with the length that the checkpoint has
    assert made_in("later")[0] == 48 and 20 < made_in("later")[1] < 48


@pytest.fixture
def press_at(monkeypatch):
    """`press_at(loop, index)`: Ctrl-C, once, before that step of such a loop, which saves after
    every step. Returns the list of the steps that it takes."""

    def arrange(loop: type, index: int) -> list[int]:
        advance, pressed, taken = loop.__next__, [True], []

        def take(self):
            if self.index == index and pressed:
                raise KeyboardInterrupt(pressed.pop())
            taken.append(self.index)
            return advance(self)

        monkeypatch.setattr(loop, "__next__", take)
        monkeypatch.setattr(pipeline, "run_to_end", partial(pipeline.run_to_end, save_every=0))
        return taken

    return arrange


def test_an_interrupted_run_goes_on(folders, capsys, press_at):
    """Stopped at the second step, and begun again: the student of an uninterrupted run."""
    assert run("--out", "whole", "--steps", "4", folders=folders) == 0
    capsys.readouterr()
    taken = press_at(pipeline.Distillation, 2)
    assert run("--out", "parts", "--steps", "4", folders=folders) == 2
    assert "stopped; the same command goes on from step 2 of 4" in complaint(capsys)
    assert run("--out", "parts", "--steps", "4", folders=folders) == 0
    assert taken == [0, 1, 2, 3, 4]  # the last call finds that it is done
    whole, parts = (Path(p, "student.safetensors").read_bytes() for p in ("whole", "parts"))
    assert whole == parts


def test_an_interrupted_student_of_real_data_goes_on(folders, capsys, press_at):
    assert run("--out", "whole", "--steps", "2", folders=folders) == 0
    capsys.readouterr()
    taken = press_at(pipeline.RealDataStudent, 3)
    assert run("--out", "parts", "--steps", "2", folders=folders) == 2
    assert "stopped; the same command goes on from step 3 of" in complaint(capsys)
    before = len(taken)
    assert run("--out", "parts", "--steps", "2", folders=folders) == 0
    assert taken[before] == 3 and not list(Path("parts").glob("*state*"))
    whole, parts = (json.loads(Path(p, "scores.json").read_text()) for p in ("whole", "parts"))
    seen = [rows["real-data student"]["seen"] for rows in (whole, parts)]
    assert seen[0] == seen[1]


@pytest.mark.slow
@pytest.mark.skipif(
    "DFSBIR_DATA_ROOT" not in os.environ,
    reason="DFSBIR_DATA_ROOT does not name a folder with pacs/photo and pacs/sketch",
)
def test_a_run_on_real_data(capsys, monkeypatch):
    root = Path(os.environ["DFSBIR_DATA_ROOT"]) / "pacs"
    monkeypatch.setitem(PROFILES, "tiny", Profile("tiny", 32, (8, 16, 32), 32, 16, 8, 1, 1))
    folders = root / "photo", root / "sketch"
    assert (
        run("--out", "out", "--unseen", "horse,person", folders=folders, recipe=("batch=32",)) == 0
    )
    rows = json.loads(Path("out/scores.json").read_text())
    assert tuple(rows) == ROWS
    for protocol in ("seen", "unseen"):
        best = max(row[protocol]["map_all"] for row in rows.values())
        assert best > rows["teacher logits"][protocol]["chance"]
    posteriors = rows["teacher posteriors"]["seen"]
    assert posteriors["map_all"] > 1.25 * posteriors["chance"]  # eight epochs of small teachers


def test_runs_of_different_kinds_get_places_of_their_own():
    kinds = (
        [],
        ["--start", "teachers"],
        ["--set", "align=0"],
        ["--unseen", "dog"],
        ["--seed", "1"],
        ["--minutes", "3"],
    )
    places = {cli._default_folder(cli._parser().parse_args(["run", *kind])) for kind in kinds}
    assert len(places) == len(kinds)


# --- bench on folders -------------------------------------------------------------------------


def bench(*arguments, folders=None):
    given = ["bench", "quality", "--profile", "tiny", "--device", "cpu", "--out", "b", "--steps"]
    given += ["1", "--seeds", "1", *arguments]
    if folders:
        given += ["--photos", str(folders[0]), "--sketches", str(folders[1])]
    return main(given)


def test_quality_can_be_measured_on_folders(folders, monkeypatch, capsys):
    small = partial(cli.recipe, batch=8, noise_dim=8, encoder_steps=1)
    monkeypatch.setattr("dfsbir_lite.study.rows.recipe", small)
    rows = "data-free student,real-data student"
    assert bench("--rows", rows, folders=folders) == 0
    stored = json.loads(Path("b/quality-tiny.json").read_text())
    assert [list(run) for run in stored["runs"]] == [rows.split(",")]
    assert list(stored["ratios"]) == ["seen"]
    assert Path("b/teachers-tiny/photo.safetensors").is_file()
    capsys.readouterr()
    assert bench("--rows", "cake", folders=folders) == 2
    assert "no row 'cake': choose among teacher features" in complaint(capsys)


def test_bench_folders_must_be_those_it_began_with(folders, write_folders, tmp_path, capsys):
    assert bench("--rows", "teacher logits", folders=folders) == 0
    capsys.readouterr()
    assert bench(folders=write_folders(tmp_path / "others")) == 2
    assert "holds a run with another source" in complaint(capsys)
    assert main(["bench", "speed", "--photos", "a", "--sketches", "b"]) == 2
    assert "bench speed measures ToyBox" in complaint(capsys)
