"""Two processes that learn one student: the same gradients, one checkpoint, and a clean end."""

import copy
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from conftest import _network
from torch.nn import functional as F

from dfsbir_lite import ranks, runtime
from dfsbir_lite.__main__ import main
from dfsbir_lite.files import sha256_of
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import PROFILES, Profile, UserError
from dfsbir_lite.students import Learner, distill, new_encoders
from dfsbir_lite.synthesis import Synthesis
from dfsbir_lite.teachers import Teacher, Teachers

CPU, CLASSES = torch.device("cpu"), ("ant", "bee", "cat")
SIZES = Profile("tiny", 16, (8, 16), 8, 8, teacher_epochs=1, train_per_class=6, test_per_class=3)
LOCAL = {"GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo"}


def three_teachers() -> Teachers:
    names = (CLASSES, CLASSES, ("photo", "sketch"))
    return Teachers(*(Teacher(_network(len(c), n), c, 16) for n, c in enumerate(names)))


def settings(**changes):
    small = {"batch": 8, "noise_dim": 8, "encoder_steps": 2, "replay": 2, "adv_after": 1}
    return recipe("kit", **{**small, "refresh_every": 3, "catch_up": 1, **changes})


def only(**weights) -> dict:
    """Weights of these terms alone."""
    return {**dict.fromkeys(vars(recipe("kit").weights), 0.0), **weights}


# --- what two processes compute ---------------------------------------------------------------


def _process(rank: int, port: int, task, answers) -> None:
    torch.set_num_threads(1)
    runtime.has_bfloat16 = lambda device: False  # as the fixture of all tests does
    place = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()} | LOCAL)
    ranks.join()
    answers.put((rank, task(rank)))
    ranks.share(None)  # no one leaves before all have answered


@pytest.fixture
def both():
    """`both(task)`: what `task(rank)` returns in each of two processes; numbers, no tensors."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "dfsbir_lite.__main__", "conftest"])
    running = []

    def both(task):
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            port = place.getsockname()[1]
        answers = context.Queue()
        for rank in range(2):
            process = context.Process(target=_process, args=(rank, port, task, answers))
            process.start()
            running.append(process)
        found = dict(answers.get(timeout=300) for _ in range(2))
        for process in running:
            process.join(60)
        return found[0], found[1]

    yield both
    for process in running:
        process.kill()
        process.join()


def joined():
    """Eight photos and sketches (8, 3, 16, 16) and logits (8, 3) for each."""
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(2, 8, 3, 16, 16, generator=draw)
    return (*images, *(4 * torch.randn(2, 8, 3, generator=draw)))


def half(rank: int, tensors):
    return [t[4 * rank : 4 * rank + 4] for t in tensors]


def gradients(network) -> list:
    return [None if p.grad is None else p.grad.tolist() for p in network.parameters()]


def _learn(rank: int) -> list:
    weights = only(match=1.0, proxy=2.0)
    learner = Learner(new_encoders(SIZES, 3), settings(**weights), 10, CPU, together=True)
    learner.encoders.eval()  # without batch statistics, which belong to a process's own batch
    learner.step(*half(rank, joined()))
    return gradients(learner.encoders)


def test_encoders_have_the_gradient_of_the_joined_batch(both):
    encoders = new_encoders(SIZES, 3).eval()
    photos, sketches, *wanted = joined()
    scores = encoders.class_logits(photos, "photo"), encoders.class_logits(sketches, "sketch")
    loss = 0
    for logits, target in zip(scores, wanted):
        apart = (logits - logits.mean(1, keepdim=True)) - (target - target.mean(1, keepdim=True))
        loss = loss + apart.pow(2).mean() + 2 * F.cross_entropy(logits, target.softmax(1))
    loss.backward()
    for found in both(_learn):
        for parameter, gradient in zip(encoders.parameters(), found, strict=True):
            torch.testing.assert_close(torch.tensor(gradient), parameter.grad)


def a_synthesis(**changes) -> Synthesis:
    return Synthesis(three_teachers(), settings(**only(one_hot=1.0, **changes)), width=8)


def shared_noise() -> torch.Tensor:
    return torch.randn(8, 8, generator=torch.Generator().manual_seed(0))


def _paint(rank: int) -> list:
    loop = a_synthesis()
    loop.estimators.eval()
    loop.noise = lambda: half(rank, [shared_noise()])[0]
    next(loop)
    return gradients(loop.estimators)


def test_estimators_have_the_gradient_of_the_joined_batch(both):
    loop, noise = a_synthesis(), shared_noise()
    estimators, teachers = loop.estimators.eval(), loop.teachers
    wanted = noise[:, :3].argmax(1)
    photos, sketches = teachers.photo(estimators["photo"](noise)), estimators["sketch"](noise)
    loss = F.cross_entropy(photos.logits, wanted)
    (loss + F.cross_entropy(teachers.sketch(sketches).logits, wanted)).backward()
    for found in both(_paint):
        for parameter, gradient in zip(estimators.parameters(), found, strict=True):
            torch.testing.assert_close(torch.tensor(gradient), parameter.grad)


def _statistics(rank: int) -> list:
    learner = Learner(new_encoders(SIZES, 3), settings(), 10, CPU, together=True)
    learner.step(*half(rank, joined()))
    return [n.sketch.bn.running_mean.tolist() for n in (learner.encoders, learner.averaged)]


def test_stored_statistics_are_means_over_both(both):
    encoders = new_encoders(SIZES, 3)
    sketches = encoders.sketch.stem(encoders.sketch.normalise(joined()[1]))
    first = 0.1 * sketches.mean((0, 2, 3))  # from zero, with a momentum of .1
    for raw, averaged in both(_statistics):
        torch.testing.assert_close(torch.tensor(raw), first)
        torch.testing.assert_close(torch.tensor(averaged), first * 10 / 11)


def _partly_absent(rank: int) -> list:
    """At rank 1 no sample is of a class that a teacher was taught, so nothing to learn from."""
    teachers = three_teachers()
    few = [t.only(("ant", "bee")).widened(CLASSES) for t in (teachers.photo, teachers.sketch)]
    asked = settings(**only(one_hot=1.0))
    loop = Synthesis(Teachers(*few, teachers.guidance), asked, width=8)
    noise = torch.zeros(4, 8)
    noise[:, 2 if rank else 0] = 5.0  # cats, or ants
    loop.noise = lambda: noise + torch.arange(4).view(4, 1) / 10
    loop.estimators.eval()
    for _ in range(2):
        next(loop)
    return gradients(loop.estimators["sketch"])


def test_a_term_that_one_process_has_not_holds_up_no_one(both):
    first, second = both(_partly_absent)
    assert first == second
    assert sum(torch.tensor(g).abs().sum().item() for g in first) > 0


def _unasked(rank: int) -> tuple:
    """A loop in which nothing has a weight, and encoders that only get hints."""
    loop = distill(three_teachers(), settings(**only()), new_encoders(SIZES, 3), steps=2, width=8)
    before = copy.deepcopy(loop.learner.encoders.state_dict())
    list(loop)
    after = loop.learner.encoders.state_dict()
    still = all(torch.equal(before[k], after[k]) for k in before if k.endswith("weight"))
    hinted = Learner(new_encoders(SIZES, 3), settings(**only(hint=1.0)), 10, CPU, together=True)
    maps = [torch.rand(4, 8, 8, 8), torch.rand(4, 16, 4, 4)]
    hinted.step(*half(rank, joined()), maps, maps)
    unused = hinted.encoders.proxies, hinted.encoders.photo.fc.weight
    used = hinted.encoders.photo.stem.weight.grad.abs().sum().item()
    return still, all(p.grad is None for p in unused), used


def test_what_nothing_asks_for_stays_as_it_is(both):
    for still, unused, used in both(_unasked):
        assert still and unused and used > 0


def _whole(rank: int) -> tuple:
    """A few iterations, refreshes among them; then the networks, noise and memory of each."""
    loop = distill(three_teachers(), settings(), new_encoders(SIZES, 3), steps=5, width=8)
    *_, step = loop
    networks = (loop.encoders, loop.learner.encoders, loop.synthesis.estimators)
    values = [v.flatten().tolist() for n in networks for v in n.parameters()]
    statistics = [v.tolist() for v in loop.encoders.buffers()]
    return values, statistics, step.made.noise.tolist(), loop.replay.photos.tolist()


def test_networks_are_the_same_and_samples_are_not(both):
    (networks, statistics, noise, memory), other = both(_whole)
    assert networks == other[0] and statistics == other[1]
    assert noise != other[2] and memory != other[3]
    assert torch.tensor(noise).shape == (4, 8)  # half of the batch


def _refused(rank: int) -> list:
    told = []
    for task in (
        lambda: distill(three_teachers(), settings(batch=9), new_encoders(SIZES, 3), steps=2),
        lambda: ranks.own_device(torch.device("cuda:0")),
    ):
        try:
            task()
        except UserError as reason:
            told.append(str(reason))
    return told


def test_what_cannot_be_shared_is_refused(both):
    for told in both(_refused):
        assert told == [
            "batch is 9: 2 processes cannot share it equally",
            "2 processes cannot share cuda:0: use --device cuda",
        ]


def test_one_process_is_the_first_and_only():
    assert (ranks.count(), ranks.index(), ranks.is_first()) == (1, 0, True)
    assert ranks.share("x") == "x" and ranks.gather("x") == ["x"]
    assert ranks.own_seed(7) == 7 and ranks.part_of(9) == 9
    assert ranks.wrap(torch.nn.Linear(1, 1))(lambda x: x + 1, 2) == 3
    assert ranks.why_over(RuntimeError("gloo")) == ""
    assert ranks.why_over(KeyboardInterrupt()) == "stopped"


# --- by torchrun ------------------------------------------------------------------------------

WORKER = """
import os, signal, sys
from functools import partial
from pathlib import Path
import torch
from dfsbir_lite import losses, pipeline, ranks, runtime
from dfsbir_lite.__main__ import main

runtime.PROFILES["tiny"] = runtime.Profile("tiny", 16, (8, 16), 8, 8, 1, 6, 3)
runtime.has_bfloat16 = lambda device: False
advance, run = pipeline.Distillation.__next__, pipeline.run_to_end

def step(loop):
    what, rank, at = os.environ.get("AT", "nothing,0,0").split(",")
    if (int(rank), int(at)) == (ranks.index(), loop.index) and len(loop) == 12:
        if what == "nan":
            losses.matching = lambda *given: torch.tensor(float("nan"))
        elif what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "stop":
            os.kill(os.getppid(), signal.SIGINT)
    return advance(loop)

def run_and_tell(loop, *given, **named):
    encoders = run(loop, *given, save_every=0, **named)
    if isinstance(loop, pipeline.Distillation):  # and not the student of real data
        numbers = [v.double().sum().item() for v in encoders.state_dict().values()]
        Path(f"encoders-{ranks.index()}").write_text(repr(numbers))
    return encoders

pipeline.Distillation.__next__, pipeline.run_to_end = step, run_and_tell
if __name__ == "__main__":
    ranks.end(partial(main, sys.argv[1:]))
"""
OPTIONS = (
    *("run", "--profile", "tiny", "--device", "cpu", "--photos", "photos", "--sketches"),
    *("sketches", "--steps", "12", "--set", "batch=8", "--set", "noise_dim=8", "--set", "replay=2"),
    *("--set", "refresh_every=3", "--set", "catch_up=1", "--set", "contrastive=0.25"),
    *("--set", "queue=5"),
)


@pytest.fixture
def torchrun(tmp_path, write_folders):
    """`torchrun(folder, at="what,rank,step")`: the finished process, and the seconds it took."""
    write_folders(tmp_path)
    (tmp_path / "worker.py").write_text(WORKER)
    package = str(Path(ranks.__file__).parent.parent)

    def torchrun(folder, at="nothing,0,0"):
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            port = place.getsockname()[1]
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
        command += ["--master-addr", "127.0.0.1", "--master-port", str(port), "worker.py"]
        paths = os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])
        settled = {"AT": at, "DFSBIR_QUIET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
        began = time.monotonic()
        done = subprocess.run(
            [*command, *OPTIONS, "--out", folder],
            cwd=tmp_path,
            env={**os.environ, **LOCAL, **settled},
            capture_output=True,
            text=True,
            timeout=300,
        )
        left = [p for p in psutil.process_iter(["cmdline"]) if "worker.py" in str(p.info)]
        assert not [p for p in left if str(port) in p.info["cmdline"]]
        assert not list((tmp_path / folder).glob(".*")), "half a file was left"
        return done, time.monotonic() - began

    return torchrun


def own_lines(done) -> list[str]:
    """What our processes said on stderr, without torchrun's report."""
    return [
        line for line in done.stderr.splitlines() if "the same command" in line or "error: " in line
    ]


@pytest.mark.slow
def test_killed_stopped_and_resumed_by_torchrun(torchrun, tmp_path, capsys, monkeypatch):
    whole, length = torchrun("whole")
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.count("everything is in whole") == 1
    rows = json.loads((tmp_path / "whole" / "scores.json").read_text())
    assert {"data-free student", "real-data student"} <= rows.keys()
    numbers = [(tmp_path / f"encoders-{rank}").read_text() for rank in range(2)]
    assert numbers[0] == numbers[1]

    for at, why in (
        # the other's silence and torchrun's word race; either may be what is told
        ("kill,1,5", "the same command goes on from step 5 of 12"),
        ("kill,0,7", "the same command goes on from step 7 of 12"),
        ("stop,0,9", "stop"),
    ):
        done, seconds = torchrun("parts", at)
        assert done.returncode != 0 and seconds < length + 120
        assert len(lines := own_lines(done)) == 1 and why in lines[0], done.stderr

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DFSBIR_QUIET", "1")
    monkeypatch.setitem(PROFILES, "tiny", SIZES)
    assert main([*OPTIONS, "--out", "parts"]) == 2
    assert "state.safetensors: a run of 2 processes, this is 1" in capsys.readouterr().err

    done, _ = torchrun("parts")
    assert done.returncode == 0, done.stderr
    hashes = {sha256_of(tmp_path / p / "student.safetensors") for p in ("whole", "parts")}
    assert len(hashes) == 1
    assert not (tmp_path / "parts" / "state.safetensors").exists()


@pytest.mark.slow
def test_a_term_that_is_no_number_in_one_process_is_named(torchrun, tmp_path):
    done, _ = torchrun("out", "nan,1,3")
    assert done.returncode != 0
    assert own_lines(done) == [
        "error: step 3 of 12: match is nan; try a lower weight or learning rate"
    ]
    assert not (tmp_path / "out" / "student.safetensors").exists()
