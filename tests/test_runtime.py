"""Devices, threads, printed measurements, short errors."""

from types import SimpleNamespace

import pytest
import torch

from dfsbir_lite import runtime
from dfsbir_lite.runtime import Threads, UserError, approx, pick_device, progress


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def one_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


def test_device_without_a_gpu(no_gpu):
    assert pick_device() == pick_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="sees no GPU"):
        pick_device("cuda")


def test_device_with_a_gpu(one_gpu):
    assert pick_device() == torch.device("cuda")
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(UserError, match="no cuda:1: torch sees 1"):
        pick_device("cuda:1")


@pytest.mark.parametrize("wanted", ["toaster", "cuda:x", "cuda:-1", "meta", "mps"])
def test_devices_that_are_none(wanted):
    with pytest.raises(UserError, match=wanted):
        pick_device(wanted)


def test_a_measurement_prints_as_one():
    assert approx(0.8349) == approx(torch.tensor([0.8349])) == "≈0.83"
    assert approx(-2, digits=1) == "≈-2.0"
    assert approx(1234.6, digits=0) == "≈1235"


def test_a_user_error_shows_one_line_in_a_notebook():
    IPython = pytest.importorskip("IPython")
    shell = IPython.core.interactiveshell.InteractiveShell()
    shown = []
    shell._showtraceback = lambda kind, error, lines: shown.append(lines)
    shell.run_cell("from dfsbir_lite.runtime import UserError\nraise UserError('no such folder')")
    assert shown == [["UserError: no such folder"]]
    assert issubclass(UserError, ValueError)


def test_autocast_follows_the_hardware(monkeypatch):
    a = torch.rand(4, 4)
    for native, kind in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(runtime, "has_bfloat16", lambda device, native=native: native)
        with runtime.autocast("cpu"):
            assert (a @ a).dtype == kind


def test_a_quiet_progress_bar_still_counts(monkeypatch, capsys):
    monkeypatch.setenv("DFSBIR_QUIET", "1")
    assert list(progress(range(3), desc="loading")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


# --- the number of threads --------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch):
    """A machine whose steps take `machine.seconds[threads]`, on a clock of its own."""
    machine = SimpleNamespace(now=0.0, threads=2, seconds={1: 1.0, 2: 0.6}, ran=[])
    monkeypatch.setattr(torch, "get_num_threads", lambda: machine.threads)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: setattr(machine, "threads", n))
    monkeypatch.setattr(runtime, "time", SimpleNamespace(perf_counter=lambda: machine.now))

    def run(choice: Threads, steps: int) -> list[int]:
        machine.ran = []
        for _ in range(steps):
            with choice:
                machine.ran.append(machine.threads)
                machine.now += machine.seconds[machine.threads]
        assert machine.threads == 2  # as it was before
        return machine.ran

    machine.run = run
    return machine


def test_a_quiet_machine_uses_all_threads(machine):
    ran = machine.run(Threads(), 200)
    assert ran.count(1) < 10 and 1 in ran[:5]


def test_a_busy_machine_is_left_with_one_thread_and_found_quiet_again(machine):
    choice = Threads()
    machine.run(choice, 100)
    machine.seconds = {1: 1.2, 2: 6.0}
    assert machine.run(choice, 100)[:3] == [2, 1, 1]
    assert machine.ran.count(2) < 8
    machine.seconds = {1: 1.0, 2: 0.6}
    assert machine.run(choice, 200)[-40:].count(1) < 3


def test_one_thread_is_no_choice(machine):
    machine.threads = 1
    choice = Threads()
    for _ in range(5):
        with choice:
            assert machine.threads == 1


def test_a_gpu_has_no_use_for_the_choice(machine):
    assert list(Threads("cuda").seconds) == [2]
