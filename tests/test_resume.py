"""A run that is killed or interrupted goes on from its last checkpoint, to the same bytes."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from dfsbir_lite import pipeline, runtime
from dfsbir_lite.__main__ import main
from dfsbir_lite.files import load_state, sha256_of

CHANGES = ("batch=8", "noise_dim=8", "encoder_steps=2", "adv_after=1", "refresh_every=3")
CHANGES += ("catch_up=1", "replay=2", "queue=5", "contrastive=0.25")
OPTIONS = ["run", "--profile", "tiny", "--device", "cpu", "--steps", "12", "--photos", "photos"]
OPTIONS += ["--sketches", "sketches", *(word for change in CHANGES for word in ("--set", change))]


def work(root: Path, out: str) -> None:
    """A run of 12 iterations in `root`, saved after each one; exits with its status."""
    os.chdir(root)
    os.environ["DFSBIR_QUIET"] = "1"
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    runtime.has_bfloat16 = lambda device: False
    runtime.PROFILES["tiny"] = runtime.Profile("tiny", 16, (8, 16), 8, 8, 1, 6, 3)
    pipeline.run_to_end.__defaults__ = (0, *pipeline.run_to_end.__defaults__[1:])
    sys.exit(main([*OPTIONS, "--out", out]))


@pytest.fixture
def start(tmp_path, write_folders):
    """`start(out)`: `work` in a process of its own."""
    write_folders(tmp_path)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dfsbir_lite.__main__"])
    running = []

    def start(out: str) -> multiprocessing.Process:
        running.append(context.Process(target=work, args=(tmp_path, out)))
        running[-1].start()
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.join()


def wait_for(state: Path, index: int, process: multiprocessing.Process) -> None:
    """Return when the run of `process` has saved that many iterations."""
    while not (state.is_file() and load_state(state)["index"] >= index):
        assert process.is_alive(), "it ended too early"
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_and_interrupted_a_run_ends_with_the_same_bytes(start, tmp_path):
    (whole := start("whole")).join(120)
    assert whole.exitcode == 0
    state = tmp_path / "parts" / "student_state.pt"
    for index, how, status in (
        (3, signal.SIGKILL, -signal.SIGKILL),
        (7, signal.SIGINT, 130),
    ):
        process = start("parts")
        wait_for(state, index, process)
        os.kill(process.pid, how)
        process.join(60)
        assert process.exitcode == status
        assert index <= load_state(state)["index"] < 12
    (last := start("parts")).join(120)
    assert last.exitcode == 0 and not state.exists()
    hashes = {sha256_of(tmp_path / out / "student.safetensors") for out in ("whole", "parts")}
    assert len(hashes) == 1
