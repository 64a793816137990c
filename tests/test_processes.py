"""Two processes, started by torchrun, learn one student."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

CODE = """
import json, os, sys
from pathlib import Path

import torch

sys.path.insert(0, sys.argv[1])
from dfsbir_lite import runtime
from dfsbir_lite.models import SmallResNet
from dfsbir_lite.recipes import recipe
from dfsbir_lite.students import distill, new_encoders
from dfsbir_lite.teachers import Teacher, Teachers

torch.set_num_threads(1)
runtime.join_processes()
out = {"count": runtime.process_count(), "shared": runtime.share(runtime.process_index())}

def teacher(classes, seed):
    torch.manual_seed(seed)
    return Teacher(SmallResNet((8, 16), len(classes)), classes, 16)

tiny = runtime.Profile("tiny", 16, (8, 16), 8, 8, 1, 1, 1)
abc = ("ant", "bee", "cat")
three = Teachers(teacher(abc, 1), teacher(abc, 2), teacher(("photo", "sketch"), 3))
settings = recipe("kit", batch=8, noise_dim=6, adv_after=1, refresh_every=2, catch_up=1, replay=4)

def begin(**length):
    return distill(three, settings, new_encoders(tiny, 3), width=8, **length)

def weights(loop):
    networks = loop.synthesis.estimators, loop.learner.encoders
    return [float(sum(p.double().abs().sum() for p in n.parameters())) for n in networks]

loop = begin(steps=4)
next(loop), next(loop)
loop.save("state.pt")
torch.distributed.barrier()
again = begin(steps=4)
again.resume("state.pt")
noise = [round(run.synthesis.noise().sum().item(), 4) for run in (loop, again)]
out["steps"] = [len(list(loop)), len(list(again))]
out["made"], out["noise"], out["weights"] = len(loop.replay.photos) // 4, noise, weights(loop)
out["resumed"] = weights(again)
out["by the clock"] = len(list(begin(seconds=0.5)))
Path(f"{runtime.process_index()}.json").write_text(json.dumps(out))
del loop, again  # which talk to the other process until they go
runtime.leave_processes()
"""


@pytest.mark.slow
def test_two_processes_hold_the_same_networks_and_make_their_own_noise(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "code.py"]
    done = subprocess.run(
        [sys.executable, *command, str(ROOT)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    # not the exit status: once in a while PyTorch 2.14 aborts a process whose Python has ended
    assert all((tmp_path / f"{n}.json").is_file() for n in (0, 1)), done.stderr
    first, second = (json.loads((tmp_path / f"{n}.json").read_text()) for n in range(2))
    for mine in (first, second):
        assert (mine["count"], mine["shared"]) == (2, 0)
        assert mine["steps"] == [2, 2] and mine["made"] == 4  # each has half of the batch of 8
    assert first["weights"] == pytest.approx(second["weights"], rel=1e-6)
    assert first["resumed"] == pytest.approx(second["resumed"], rel=1e-6)
    assert first["noise"][0] != second["noise"][0] and first["noise"][1] != second["noise"][1]
    assert first["by the clock"] == second["by the clock"] > 0
