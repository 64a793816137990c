"""Killed at any moment, a run goes on from its last checkpoint and ends as if nothing happened."""

import errno
import multiprocessing
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from conftest import _network

from dfsbir_lite import files
from dfsbir_lite.files import load_state, sha256_of
from dfsbir_lite.pipeline import run_to_end
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile, UserError
from dfsbir_lite.students import Distillation, distill, new_encoders, save_encoders
from dfsbir_lite.teachers import Teacher, Teachers

KILLS = 50
FILES = {"state.safetensors", "student.safetensors", "student.json"}
SIZES = Profile("tiny", 16, (8, 16), 8, 8, teacher_epochs=1, train_per_class=6, test_per_class=3)


def a_run() -> Distillation:
    """Two dozen iterations with everything that has a state: queue, replay, refreshes, average."""
    torch.set_num_threads(1)
    names = ("ant", "bee", "cat"), ("ant", "bee", "cat"), ("photo", "sketch")
    teachers = Teachers(*(Teacher(_network(len(c), n), c, 16) for n, c in enumerate(names)))
    changes = {"batch": 8, "noise_dim": 8, "encoder_steps": 2, "adv_after": 1, "refresh_every": 3}
    changes |= {"catch_up": 1, "replay": 2, "queue": 5, "contrastive": 0.25}
    return distill(teachers, recipe("kit", **changes), new_encoders(SIZES, 3), steps=24, width=8)


def work(folder: Path) -> None:
    """What gets killed: saves after each iteration, so that many kills hit a save."""
    encoders = run_to_end(a_run(), folder / "state.safetensors", save_every=0)
    save_encoders(folder / "student.safetensors", encoders, {})


@pytest.fixture
def start():
    """`start(folder)`: `work` in a process of its own, forked from one that has torch loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "dfsbir_lite.pipeline"])
    running = []

    def start(folder):
        process = context.Process(target=work, args=(folder,))
        process.start()
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.join()


@pytest.mark.slow
def test_killed_at_fifty_random_moments(start, tmp_path):
    whole = tmp_path / "whole"
    began = time.monotonic()
    (process := start(whole)).join(120)
    assert process.exitcode == 0
    length = time.monotonic() - began
    wanted = sha256_of(whole / "student.safetensors")

    dice, kills, runs, folder = random.Random(0), 0, 0, tmp_path / "killed-0"
    reached = 0
    while kills < KILLS:
        process = start(folder)
        process.join(dice.uniform(0, length / 3))
        if process.exitcode is None:
            process.kill()
            kills += 1
        process.join(120)
        assert process.exitcode in (0, -signal.SIGKILL), "it could not resume"
        if process.exitcode == 0:
            assert sha256_of(folder / "student.safetensors") == wanted
            assert {path.name for path in folder.iterdir()} == FILES  # no drafts of killed saves
            runs, reached = runs + 1, 0
            folder = tmp_path / f"killed-{runs}"
        elif (state := folder / "state.safetensors").is_file():
            index = load_state(state)["index"]  # readable, however the process died
            assert index >= reached, "steps were lost that a checkpoint had"
            reached = index
    (process := start(folder)).join(120)
    assert process.exitcode == 0
    assert sha256_of(folder / "student.safetensors") == wanted


def test_a_full_disk_is_told_and_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch):
    state = tmp_path / "state.safetensors"
    loop = a_run()
    next(loop)
    loop.save(state)
    whole = state.read_bytes()
    next(loop)

    def full(path, data):
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"state\.safetensors: cannot be written \(No space left"):
        loop.save(state)
    assert state.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_loop_that_was_interrupted_between_steps_is_usable():
    loop = a_run()
    for step in loop:
        if step.index == 3:
            break  # as a kernel interrupt leaves it
    images = torch.rand(2, 3, 16, 16)
    assert step.encoders.embed(images, "photo").isfinite().all()
    assert len(list(loop)) == 24 - 4
