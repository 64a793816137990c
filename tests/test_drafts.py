"""What a process that was killed in the middle of a write leaves behind is swept away, and nothing
of a process that lives."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from dfsbir_lite import files
from dfsbir_lite.files import delete, save_weights, write_atomically

pytestmark = pytest.mark.skipif(files.fcntl is None, reason="no locks: drafts are left alone")

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["torch", "dfsbir_lite.files"])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def write_and_die(path: Path) -> None:
    """Killed when everything is written and nothing is moved."""
    Path.replace = lambda draft, target: os.kill(os.getpid(), signal.SIGKILL)
    save_weights(path, {}, {})


def write_slowly(path: Path, ready, go) -> None:
    """Stands between writing and moving until it is told to go on."""
    replace = Path.replace

    def wait(draft, target):
        ready.set()
        go.wait(60)
        return replace(draft, target)

    Path.replace = wait
    write_atomically(path, b"slowly")


@pytest.fixture
def started():
    """`started(work, *args)`: a process; killed at the end if it still runs."""
    running = []

    def start(*job):
        process = context.Process(target=job[0], args=job[1:])
        process.start()
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.join()


@pytest.fixture
def abandoned(started, tmp_path) -> set[str]:
    """The drafts of photo.safetensors and its card that a killed process has left."""
    process = started(write_and_die, tmp_path / "photo.safetensors")
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    left = {f".photo.{end}.{process.pid}" for end in ("safetensors", "json")}
    assert names(tmp_path) == left  # else there is nothing to test
    return left


def test_the_next_write_sweeps_up_after_a_killed_one(abandoned, tmp_path):
    save_weights(tmp_path / "photo.safetensors", {}, {})
    assert names(tmp_path) == {"photo.safetensors", "photo.json"}


def test_a_write_sweeps_up_after_its_own_file_alone(abandoned, tmp_path):
    others = {
        ".photo.json.x",
        ".photo.json.12.old",
        "photo.json.12",
        ".photo.json",
        ".photoxjson.7",
    }
    for name in others:
        (tmp_path / name).touch()
    write_atomically(tmp_path / "photo.json", b"{}")
    kept = {name for name in abandoned if "safetensors" in name}
    assert names(tmp_path) == {"photo.json", *others, *kept}


def test_so_does_deleting(abandoned, tmp_path):
    delete(tmp_path / "photo.json")
    delete(tmp_path / "photo.safetensors")
    assert names(tmp_path) == set()


def test_brackets_in_a_name_are_no_pattern(tmp_path):
    (tmp_path / ".a[1].9999999").touch()
    (tmp_path / ".a1.9999999").touch()
    write_atomically(tmp_path / "a[1]", b"x")
    assert names(tmp_path) == {"a[1]", ".a1.9999999"}


@pytest.fixture
def slow(started, tmp_path):
    """A living process with a draft of `state`; `slow()` lets it end and gives its exit code."""
    ready, go = context.Event(), context.Event()
    process = started(write_slowly, tmp_path / "state", ready, go)
    assert ready.wait(60)

    def finish():
        go.set()
        process.join(60)
        return process.exitcode

    finish.draft = f".state.{process.pid}"
    return finish


def test_the_draft_of_a_living_process_stays(slow, tmp_path):
    write_atomically(tmp_path / "state", b"quickly")
    assert names(tmp_path) == {"state", slow.draft}
    assert (tmp_path / "state").read_bytes() == b"quickly"
    assert slow() == 0
    assert names(tmp_path) == {"state"}
    assert (tmp_path / "state").read_bytes() == b"slowly"


def write_as(number: int, path: Path) -> None:
    """Writes as a process of another number would."""
    os.getpid = lambda: number
    write_atomically(path, b"in the other container")


def test_two_processes_of_one_number_wait_for_each_other(slow, started, tmp_path):
    """As in two containers: the draft has the same name, and nobody writes into another's."""
    number = int(slow.draft.rsplit(".", 1)[1])
    other = started(write_as, number, tmp_path / "state")
    other.join(5)
    assert other.exitcode is None  # it waits
    assert slow() == 0
    other.join(60)
    assert other.exitcode == 0
    assert names(tmp_path) == {"state"}
    assert (tmp_path / "state").read_bytes() == b"in the other container"


def write_often(path: Path, gate, failed) -> None:
    """Two hundred writes among those of others; ten of them with the file deleted."""
    gate.wait()
    for n in range(200):
        try:
            write_atomically(path, bytes([n]) * 1000)
            if n % 20 == 0:
                delete(path)
        except Exception as reason:
            failed.put(repr(reason))
    failed.put(None)


def test_many_who_write_one_file_do_not_sweep_each_other_away(started, tmp_path):
    gate, failed = context.Barrier(6, timeout=60), context.Queue()
    for _ in range(6):
        started(write_often, tmp_path / "state", gate, failed)
    assert [failed.get(timeout=60) for _ in range(6)] == [None] * 6
    assert names(tmp_path) == {"state"}
    data = (tmp_path / "state").read_bytes()
    assert len(data) == 1000 and len(set(data)) == 1
