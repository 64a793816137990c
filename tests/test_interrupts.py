"""A kernel's interrupt, or Ctrl-C, at any moment leaves everything as usable as before.

Twice: the interrupt comes at a line of Python that is chosen by dice, torch's own lines included;
and in a real kernel, at moments that are chosen by dice.
"""

import itertools
import os
import random
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from queue import Empty

import pytest
import torch
from jupyter_client.manager import KernelManager
from run_notebooks import ThisPython
from test_interruptions import SIZES, a_run

from dfsbir_lite.data import ImageSet
from dfsbir_lite.pipeline import RealDataStudent, train_teacher
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import unbroken
from dfsbir_lite.students import new_encoders
from dfsbir_lite.synthesis import synthesize

INTERRUPTS = 24  # of a kernel, for four kinds of cell
PATIENCE = 30  # seconds for a cell to end, far longer than a step takes
IMAGES = torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8)
LABELS = torch.arange(12) % 3
NAMES = ("ant", "bee", "cat")


@pytest.fixture(autouse=True)
def ctrl_c():
    """Ctrl-C raises KeyboardInterrupt here, whatever the tests were started by."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(action, at: int) -> int:
    """Runs `action`, with Ctrl-C at the line number `at` that it comes to; returns how many.

    Raises what `action` then raises.
    """
    lines, before = itertools.count(), sys.gettrace()  # that of coverage, if it runs

    def trace(frame, event, argument):
        if next(lines) == at:
            sys.settrace(before)
            signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return next(lines)


def weights(module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def done(loop) -> int:
    """How many steps it has taken."""
    return loop.learner.index if isinstance(loop, RealDataStudent) else loop.index


def a_synthesis():
    return synthesize(a_run().teachers, recipe("kit", batch=8, noise_dim=8), width=8)


def a_real_student():
    sets = [ImageSet(IMAGES, LABELS, NAMES, m) for m in ("photo", "sketch")]
    return RealDataStudent(*sets, recipe("kit", batch=8), new_encoders(SIZES, 3), steps=24)


LOOPS = {
    "distill": (a_run, lambda loop: (loop.learner.encoders, loop.encoders)),
    "synthesize": (a_synthesis, lambda loop: (loop.estimators,)),
    "real data": (a_real_student, lambda loop: (loop.learner.encoders, loop.learner.averaged)),
}


@pytest.mark.parametrize("begin, parts", LOOPS.values(), ids=LOOPS.keys())
def test_interrupted_anywhere_a_loop_goes_on_as_if_nothing_had_happened(begin, parts):
    dice, whole, cut, spare = random.Random(0), begin(), begin(), begin()
    lines = min(interrupted(lambda: next(spare), -1) for _ in range(5))
    for _ in range(24):
        with pytest.raises(KeyboardInterrupt):
            interrupted(lambda: next(cut), dice.randrange(lines))
        assert torch.is_grad_enabled()
    while done(whole) < done(cut):
        next(whole)
    assert done(cut) > 12  # one that has not begun is not finished
    for one, other in zip(parts(whole), parts(cut)):
        assert same(weights(one), weights(other))


def test_the_first_step_can_be_interrupted_anywhere():
    """That is where optimisers make their state, and where one that was cut could not go on."""
    dice, wanted = random.Random(1), a_synthesis()
    next(wanted), next(wanted)
    # the very first one of all also imports some of torch
    lines = min(interrupted(partial(next, a_synthesis()), -1) for _ in range(4))
    for _ in range(30):
        loop = a_synthesis()
        with pytest.raises(KeyboardInterrupt):
            interrupted(partial(next, loop), dice.randrange(lines))
        while loop.index < 2:
            next(loop)
        assert same(weights(loop.estimators), weights(wanted.estimators))


def test_training_a_teacher_can_be_interrupted_anywhere():
    def train():
        return train_teacher(IMAGES, LABELS, NAMES, SIZES, epochs=3)

    wanted, dice = weights(train()), random.Random(2)
    lines, state = interrupted(train, -1), torch.get_rng_state()
    for _ in range(10):
        with pytest.raises(KeyboardInterrupt):
            interrupted(train, dice.randrange(lines // 2, lines - 50))
        assert torch.is_grad_enabled() and torch.equal(torch.get_rng_state(), state)
    assert same(weights(train()), wanted)


def test_a_loop_learns_where_gradients_were_left_switched_off():
    """An interrupt of other code can leave them so, and the loop would learn nothing, silently."""
    with torch.no_grad():
        loop = a_run()
        before = weights(loop.learner.encoders)
        next(loop)
        assert not same(weights(loop.learner.encoders), before)


def test_an_interrupt_waits_and_is_not_lost():
    done = []
    with pytest.raises(KeyboardInterrupt), unbroken(), unbroken():
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done == [1] and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_interrupts_twice_is_not_kept_waiting():
    done = []
    with pytest.raises(KeyboardInterrupt), unbroken():
        signal.raise_signal(signal.SIGINT)
        done.append("first")
        signal.raise_signal(signal.SIGINT)
        done.append("second")
    assert done == ["first"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nor_is_who_interrupts_a_step_within_a_step():
    done = []
    with pytest.raises(KeyboardInterrupt), unbroken():
        signal.raise_signal(signal.SIGINT)
        with unbroken():
            done.append("inner")
            signal.raise_signal(signal.SIGINT)
            done.append("end of inner")
    assert done == ["inner"]


def test_who_has_switched_interrupts_off_gets_none():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with unbroken():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_an_error_of_the_step_is_not_hidden_by_the_interrupt():
    with pytest.raises(KeyboardInterrupt) as raised, unbroken():
        signal.raise_signal(signal.SIGINT)
        raise FloatingPointError("bn is nan")
    assert isinstance(raised.value.__context__, FloatingPointError)


def test_a_background_thread_steps_as_ever():
    found = []
    thread = threading.Thread(target=lambda: found.append(next(a_run()).index))
    thread.start()
    thread.join()
    assert found == [0]  # signals cannot be set there


# --- a real kernel ----------------------------------------------------------------------------

SETUP = f"""
import signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch
from test_interruptions import SIZES, a_run
from test_interrupts import IMAGES, LABELS, NAMES, a_synthesis
from dfsbir_lite.pipeline import run_to_end
from dfsbir_lite.pipeline import train_teacher

def endless():
    loop = a_run()
    loop.steps = 10**6
    return loop

loop, makers = endless(), a_synthesis()

def check():
    assert torch.is_grad_enabled()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    step, made = next(loop), next(makers)
    parts = [loop.learner.encoders, loop.encoders, loop.synthesis.estimators, makers.estimators]
    assert all(v.isfinite().all() for part in parts for v in part.state_dict().values())
    assert all(v.isfinite() for v in (*step.terms.values(), *made.terms.values()))
    lengths = step.encoders.embed(torch.rand(2, 3, 16, 16), "photo").norm(dim=1)
    assert torch.allclose(lengths, torch.ones(2), atol=1e-3)
    loop.save("saved")
    resumed = endless()
    resumed.resume("saved")
    goes_on(resumed)

def goes_on(resumed):
    while resumed.index < loop.index:
        next(resumed)
    assert next(resumed).terms == next(loop).terms
    images = torch.rand(4, 3, 16, 16)
    embeddings = [each.encoders.embed(images, "photo") for each in (resumed, loop)]
    assert torch.equal(*embeddings)
"""
CELLS = {
    "distill": "for step in loop: pass",
    "synthesize": "for made in makers: pass",
    "train_teacher": "train_teacher(IMAGES, LABELS, NAMES, SIZES, epochs=10**6)",
    "run_to_end": "run_to_end(endless(), Path('state'), save_every=0)",
}
AFTER = """
if Path("state").is_file():
    stopped = endless()
    stopped.resume("state")
    next(stopped)
check()
"""


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A fresh kernel; `kernel(code, after)` runs a cell, interrupted after so many seconds."""
    monkeypatch.setenv("DFSBIR_QUIET", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    manager = KernelManager(kernel_spec_manager=ThisPython())
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    repeated = []

    def reply_to(number: str, interrupted: bool) -> dict:
        """The reply, for which an interrupt is repeated if Python has dropped it, see `run`."""
        while True:
            try:
                reply = client.get_shell_msg(timeout=PATIENCE if interrupted else 120)
            except Empty:
                assert interrupted
                manager.interrupt_kernel()
                repeated.append(number)
                assert len(repeated) < INTERRUPTS / 3
            else:
                if reply["parent_header"].get("msg_id") == number:
                    return reply["content"]

    def run(code: str, after: float | None = None) -> str:
        """What ended the cell: "" or the name of an error, with its message.

        Python prints, and drops, what is raised in a destructor: the one way to lose an interrupt.
        """
        number, printed = client.execute(code), ""
        if after is not None:
            while client.get_iopub_msg(timeout=60)["content"].get("execution_state") != "busy":
                pass
            time.sleep(after)
            manager.interrupt_kernel()
        content = reply_to(number, after is not None)
        told = {}
        while told.get("execution_state") != "idle":
            told = client.get_iopub_msg(timeout=60)["content"]
            printed += told.get("text", "")
        assert number not in repeated or "Exception ignored in" in printed, printed
        return f"{content['ename']}: {content['evalue']}" if content["status"] == "error" else ""

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.slow
def test_a_kernel_interrupted_at_random_moments_has_usable_objects(kernel):
    assert kernel(SETUP) == ""
    dice, told = random.Random(0), []
    for n in range(INTERRUPTS):
        name = list(CELLS)[n % len(CELLS)]
        ended = kernel(CELLS[name], after=dice.uniform(0.02, 1))
        assert ended.startswith(("KeyboardInterrupt", "UserError: stopped")), f"{name}: {ended}"
        told.append(ended)
        assert kernel(AFTER) == "", f"after interrupt {n} of {name}"
    assert any(line.startswith("UserError: stopped; the same command goes on") for line in told)
    # and the loop, interrupted all the time, is where one that nobody interrupted would be
    assert kernel("goes_on(endless())") == ""
