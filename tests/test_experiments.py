"""The rows that are compared, and the runner: what is made once is kept, whoever made it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dfsbir_lite import pipeline
from dfsbir_lite.runtime import UserError
from dfsbir_lite.study import rows as experiments
from dfsbir_lite.study.rows import OURS, REAL, Plan, compare, split_classes

CLASSES = tuple("abcdefghijkl")


# --- partial overlap --------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "common"), [(0.1, 1), (0.25, 3), (0.5, 6), (0.75, 9), (1, 12)])
def test_lists_share_what_they_should_and_cover_all(share, common):
    photo, sketch = split_classes(CLASSES, share, seed=3)
    assert len(set(photo) & set(sketch)) == common
    assert set(photo) | set(sketch) == set(CLASSES)
    assert abs(len(photo) - len(sketch)) <= 1
    assert list(photo) == sorted(photo) and list(sketch) == sorted(sketch)


def test_lists_hang_on_the_seed_alone():
    assert split_classes(CLASSES, 0.5, 1) == split_classes(CLASSES, 0.5, 1)
    assert split_classes(CLASSES, 0.5, 1) != split_classes(CLASSES, 0.5, 2)
    photo, sketch = split_classes(("a", "b", "c"), 0.01)
    assert len(set(photo) & set(sketch)) == 1


# --- the rows ---------------------------------------------------------------------------------


@pytest.fixture
def setting(write_folders, tmp_path, tiny, tiny_recipe):
    """Teachers trained on folders of three easy classes."""
    photos, sketches = write_folders(tmp_path)
    plan = Plan(replace(tiny, teacher_epochs=40), 1, tmp_path / "out", str(photos), str(sketches))
    made = experiments.open_setting(plan)
    return replace(made, recipe=tiny_recipe(encoder_steps=1, estimator_steps=1))


def test_a_unified_teacher_is_one_that_learns_photos_and_sketches(setting, monkeypatch):
    seen = []
    make = pipeline.train_teacher

    def train(images, labels, classes, *args, **options):
        seen.append((images, classes))
        return make(images, labels, classes, *args, **options)

    monkeypatch.setattr(pipeline, "train_teacher", train)
    teachers = experiments._unified(setting)
    assert teachers.photo is teachers.sketch and teachers.guidance is setting.teachers.guidance
    ((images, classes),) = seen
    assert classes == setting.benchmark.classes
    assert torch.equal(images, torch.cat([part.images for part in setting.benchmark.train]))


def test_partly_shared_teachers_were_taught_their_own_lists_alone(setting):
    teachers = experiments.partly_shared(setting, 0.34)
    lists = split_classes(setting.benchmark.classes, 0.34, setting.seed)
    for teacher, taught in zip((teachers.photo, teachers.sketch), lists, strict=True):
        assert teacher.classes == setting.benchmark.classes
        assert [c for c, known in zip(teacher.classes, teacher.taught, strict=True) if known] == [
            *taught
        ]
    assert not teachers.photo.taught.all()


def test_other_teachers_are_trained_for_another_seed(setting):
    first = experiments.partly_shared(setting, 0.34).photo.head.weight
    second = experiments.partly_shared(replace(setting, seed=1), 0.34).photo.head.weight
    assert not torch.equal(first, second)
    assert torch.equal(first, experiments.partly_shared(setting, 0.34).photo.head.weight)


def test_a_gaussian_prior_never_sees_an_estimator(setting, monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("an estimator was made")

    monkeypatch.setattr("dfsbir_lite.synthesis.Estimator", refuse)
    for name in ("Gaussian prior", "meta-data", "alternative data", REAL):
        loop = experiments.LEARNERS[name](setting)
        next(loop)
    with pytest.raises(AssertionError, match="an estimator was made"):
        experiments.LEARNERS[OURS](setting)


def test_rows_without_hints_give_none(setting):
    weights = []
    list(experiments._without_hints(lambda s: weights.append(s.recipe.weights) or [], setting))
    assert weights[0].hint == 0 and weights[0].match == experiments.recipe("kit").weights.match
    assert set(experiments.UNHINTED) == {
        f"{row} without hints" for row in experiments.WITHOUT_HINTS
    }


def test_unimodal_students_are_compared_by_features(setting, monkeypatch):
    widths = []

    def scores(readout, device):
        widths.append(readout(torch.rand(2, 3, 16, 16), "photo").shape[1])
        return {"seen": {"map_all": 0.0}}

    loops = (experiments.LEARNERS[name](setting) for name in (experiments.UNIMODAL, OURS))
    watched = replace(setting, benchmark=type("B", (), {"scores": staticmethod(scores)})())
    for name in (experiments.UNIMODAL, OURS):
        experiments.watched(lambda _: next(loops), name, 1, watched)
    features, embedding = setting.plan.sizes.widths[-1], setting.plan.sizes.embed_dim
    assert widths == [features, embedding]


# --- the runner -------------------------------------------------------------------------------

ROWS = ("teacher logits", "averaged weights")


def test_rows_are_kept_and_made_once(setting, monkeypatch):
    plan = setting.plan
    first = compare(plan, ROWS, range(2))
    stored = json.loads((plan.folder / "seed1" / "scores.json").read_text())
    assert stored == first[1]

    def refuse(*args):
        raise AssertionError("made again")

    monkeypatch.setattr(experiments, "_score", refuse)
    assert compare(plan, ROWS[::-1], range(2)) == [
        {row: rows[row] for row in ROWS[::-1]} for rows in first
    ]


def test_workers_make_what_one_process_makes(setting, tmp_path, monkeypatch):
    monkeypatch.undo()  # workers have the arithmetic of the machine, so let this process have it
    rows = (*ROWS, "Gaussian prior", "alternative data")
    plan = replace(setting.plan, steps=3)
    here = compare(plan, rows, range(2))
    there = compare(replace(plan, folder=tmp_path / "workers"), rows, range(2), workers=2)
    for mine, theirs in zip(here, there, strict=True):
        for row in rows:
            assert mine[row]["seen"] == theirs[row]["seen"]


def test_a_row_is_made_with_its_seed(setting, monkeypatch):
    monkeypatch.setitem(experiments.ROWS, "seed", lambda given: {"seed": given.seed})
    assert compare(setting.plan, ["seed"], [3, 5]) == [{"seed": {"seed": n}} for n in (3, 5)]


def test_scores_are_made_by_one_thread_and_threads_are_given_back(setting, monkeypatch):
    monkeypatch.setitem(experiments.ROWS, "n", lambda given: {"n": torch.get_num_threads()})
    torch.set_num_threads(2)
    try:
        assert compare(setting.plan, ["n"], [0]) == [{"n": {"n": 1}}]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_row_that_cannot_be_made_is_named_and_the_others_are_kept(setting, monkeypatch):
    def diverge(given):
        raise FloatingPointError("adv is nan")

    monkeypatch.setitem(experiments.ROWS, "bad", diverge)
    with pytest.raises(UserError, match="row bad, seed 1: adv is nan"):
        compare(setting.plan, [ROWS[0], "bad"], [1])
    assert list(json.loads((setting.plan.folder / "seed1" / "scores.json").read_text())) == [
        ROWS[0]
    ]


def test_a_worker_tells_what_is_wrong_with_a_row(setting, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"row ImageNet backbone, seed 0: .*no such file"):
        compare(setting.plan, ["ImageNet backbone", *ROWS], [0], workers=2)


def test_every_row_can_be_named_on_the_command_line():
    assert not [name for name in experiments.ROWS if "," in name or name != name.strip()]


def test_an_interruption_keeps_what_is_finished(setting, monkeypatch):
    true = experiments._score

    def interrupted(given, row, seed):
        if row == ROWS[1]:
            raise KeyboardInterrupt
        return true(given, row, seed)

    monkeypatch.setattr(experiments, "_score", interrupted)
    with pytest.raises(UserError, match="the same command goes on"):
        compare(setting.plan, ROWS, [0])
    kept = json.loads((setting.plan.folder / "seed0" / "scores.json").read_text())
    assert list(kept) == [ROWS[0]]


def test_an_unknown_row_and_other_teachers_are_refused(setting, write_folders, tmp_path):
    with pytest.raises(UserError, match="no row 'nothing': choose among teacher features"):
        compare(setting.plan, ["nothing"], [0])
    compare(setting.plan, ROWS, [0])
    for path in setting.plan.networks.glob("photo.*"):
        path.unlink()
    longer = replace(setting.plan, sizes=replace(setting.plan.sizes, teacher_epochs=41))
    with pytest.raises(UserError, match="holds a run with another teachers"):
        compare(longer, ROWS, [0])


def begun(plan: Plan, folder: Path) -> subprocess.Popen:
    """A process with two workers that compares `LONG`, when the first score is there."""
    script = folder / "compare.py"
    script.write_text(
        "from pathlib import PosixPath\n"
        "from dfsbir_lite.experiments import Plan, compare\n"
        "from dfsbir_lite.runtime import Profile\n"
        "import signal\n"
        "if __name__ == '__main__':\n"
        # what runs in the background inherits that it ignores this signal
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"    compare({plan!r}, {LONG!r}, [0], workers=2)\n"
    )
    options = {"start_new_session": True, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, script], **options)
    while not (plan.folder / "seed0" / "scores.json").is_file():
        time.sleep(0.05)
        assert process.poll() is None
    return process


def left_running(pids: list[str]) -> list[str]:
    """Those of the processes that are still there after a while."""
    ends = time.monotonic() + 20
    while any(map(_runs, pids)) and time.monotonic() < ends:
        time.sleep(0.1)
    return list(filter(_runs, pids))


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_comparison_leaves_no_worker_and_ends_in_the_same_numbers(setting, tmp_path, end):
    steady = replace(setting.plan, steps=12)
    whole = compare(steady, LONG, [0], workers=2)
    plan = replace(steady, folder=tmp_path / "stopped")
    process = begun(plan, tmp_path)
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True
    ).stdout.split()
    assert len(children) >= 3  # two workers, and what watches over shared resources
    if end == signal.SIGINT:
        os.killpg(process.pid, end)  # as a terminal does it: all of them hear it
    else:
        process.send_signal(end)
    told = process.communicate(timeout=60)[1]
    assert left_running(children) == []
    assert end == signal.SIGKILL or "stopped; the same command goes on" in told
    assert set(json.loads((plan.folder / "seed0" / "scores.json").read_text())) < set(LONG)
    again = compare(plan, LONG, [0], workers=2)
    assert [again[0][row]["seen"] for row in LONG] == [whole[0][row]["seen"] for row in LONG]


LONG = (*ROWS, "Gaussian prior", "alternative data", "textures instead of synthesis")


def _runs(pid: str) -> bool:
    """Whether that process is there, and not only waits to be buried."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")
