"""Ten kernels that start together share one cache, and none reads what another has half written."""

import multiprocessing
from pathlib import Path

import pytest
import torch

from dfsbir_lite import files, runtime, zoo
from dfsbir_lite.files import load_weights, sha256_of
from dfsbir_lite.runtime import UserError

SIZES = runtime.Profile(
    "tiny", 16, (8, 16), 8, 8, teacher_epochs=1, train_per_class=4, test_per_class=2
)


def kernel(cache: str, gate, found) -> None:
    """What a notebook does first, in a process of its own; tells what it got."""
    torch.set_num_threads(1)
    runtime.PROFILES["tiny"] = SIZES
    zoo.cache_folder = lambda: Path(cache)
    gate.wait()
    try:
        teacher = zoo.load_or_train("photo", "tiny")
        found.put(teacher.proxies.double().sum().item())
    except Exception as error:
        found.put(f"{type(error).__name__}: {error}")


@pytest.mark.slow
def test_ten_kernels_share_a_cache(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "dfsbir_lite.zoo"])
    gate, found = context.Barrier(10, timeout=200), context.Queue()
    given = {"target": kernel, "args": (tmp_path, gate, found), "daemon": True}
    kernels = [context.Process(**given) for _ in range(10)]
    for process in kernels:
        process.start()
    answers = [found.get(timeout=300) for _ in kernels]
    for process in kernels:
        process.join(60)
    assert len(set(answers)) == 1 and isinstance(answers[0], float), answers
    path = tmp_path / "tiny" / "photo.safetensors"
    assert load_weights(path)[1]["sha256"] == sha256_of(path)
    assert {p.name for p in path.parent.iterdir()} == {"photo.safetensors", "photo.json"}


def test_who_sees_the_weights_sees_their_card(tmp_path, monkeypatch):
    """A reader that comes between the two moves finds nothing, not weights without a card."""
    path, seen, replace = tmp_path / "photo.safetensors", [], Path.replace

    def watched(draft, target):
        replace(draft, target)
        seen.append((path.is_file(), path.with_suffix(".json").is_file()))

    monkeypatch.setattr(Path, "replace", watched)
    files.save_weights(path, {"w": torch.ones(2, 2)}, {})
    assert seen == [(False, True), (True, True)]


def test_a_full_disk_spares_the_pair_that_was_there(tmp_path, monkeypatch):
    path, write = tmp_path / "photo.safetensors", Path.write_bytes
    files.save_weights(path, {"w": torch.ones(2, 2)}, {"seed": 0})

    def full(draft, data):
        if "safetensors" in draft.name:
            raise OSError("no space left")
        return write(draft, data)

    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match=r"photo\.safetensors: cannot be written"):
            files.save_weights(path, {"w": torch.zeros(2, 2)}, {"seed": 1})
    weights, card = load_weights(path)
    assert weights["w"].sum() == 4 and card["seed"] == 0
    assert len(list(tmp_path.iterdir())) == 2
