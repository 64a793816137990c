"""Files: training states come back as they were, and an interruption never leaves half a file."""

from pathlib import Path

import pytest
import torch

from dfsbir_lite.files import (
    load_state,
    restore_optimiser,
    save_state,
    save_weights,
    write_atomically,
)
from dfsbir_lite.runtime import UserError


def test_a_state_comes_back_as_it_was(tmp_path):
    state = {
        "index": 3,
        "draw": torch.Generator().manual_seed(1).get_state(),
        "optimiser": {0: {"step": torch.tensor(2.0)}, 1: {"step": torch.tensor(5.0)}},
        "plain": [None, True, 0.5, "text", {}, []],
        "kinds": [
            torch.arange(6).view(2, 3),
            torch.tensor([True, False]),
            torch.tensor([1.5, float("inf")], dtype=torch.bfloat16),
            torch.empty(0, 4),
        ],
    }
    path = tmp_path / "new" / "state.safetensors"
    save_state(path, state)
    loaded = load_state(path)
    assert loaded.keys() == state.keys()
    assert loaded["index"] == 3 and loaded["plain"] == state["plain"]
    assert loaded["plain"][1] is True
    assert loaded["optimiser"] == state["optimiser"]  # integer keys are integers still
    for was, now in zip([state["draw"], *state["kinds"]], [loaded["draw"], *loaded["kinds"]]):
        assert torch.equal(was, now) and was.dtype == now.dtype


def test_layout_and_sharing_do_not_matter(tmp_path):
    images = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    state = {"a": images, "b": images, "part": images[:1], "turned": images.transpose(0, 1)}
    save_state(tmp_path / "x", state)
    loaded = load_state(tmp_path / "x")
    assert all(torch.equal(state[k], loaded[k]) for k in state)


def test_real_optimiser_states_come_back(tmp_path):
    layer = torch.nn.Linear(2, 2)
    optimiser = torch.optim.Adam(layer.parameters(), 0.1, betas=(0.5, 0.9))
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    save_state(tmp_path / "x", optimiser.state_dict())
    fresh = torch.optim.Adam(layer.parameters())
    fresh.load_state_dict(load_state(tmp_path / "x"))
    assert fresh.param_groups[0]["lr"] == 0.1 and tuple(fresh.param_groups[0]["betas"]) == (
        0.5,
        0.9,
    )
    for parameter in layer.parameters():
        was, now = optimiser.state[parameter], fresh.state[parameter]
        assert all(torch.equal(was[k], now[k]) for k in ("step", "exp_avg", "exp_avg_sq"))


def fails_to_move(self, target):
    raise OSError("no space left")


def fails_half_way(self, data):
    with open(self, "wb") as file:
        file.write(data[: len(data) // 2])
    raise OSError("no space left")


@pytest.mark.parametrize(
    "method, broken", [("replace", fails_to_move), ("write_bytes", fails_half_way)]
)
def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch, method, broken):
    path = tmp_path / "state"
    write_atomically(path, b"the old one")
    with monkeypatch.context() as broken_disk:
        broken_disk.setattr(Path, method, broken)
        with pytest.raises(UserError, match=r"state: cannot be written \(no space left"):
            write_atomically(path, b"the new one")
    assert [p.name for p in tmp_path.iterdir()] == ["state"]
    assert path.read_bytes() == b"the old one"


def test_a_write_replaces_the_old_file(tmp_path):
    write_atomically(tmp_path / "state", b"a longer old one")
    write_atomically(tmp_path / "state", b"new")
    assert (tmp_path / "state").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_resumed_is_named(tmp_path):
    with pytest.raises(UserError, match="missing: no such file"):
        load_state(tmp_path / "missing")
    (tmp_path / "text").write_text("not tensors")
    with pytest.raises(UserError, match="text: not a readable safetensors file"):
        load_state(tmp_path / "text")
    save_weights(tmp_path / "net.safetensors", {"w": torch.ones(2, 2)}, {})
    with pytest.raises(UserError, match=r"net\.safetensors: holds weights"):
        load_state(tmp_path / "net.safetensors")


def test_a_fused_optimiser_goes_on_from_a_file_whatever_the_layout(tmp_path):
    """In one layout the moments of a weight would be read in the order of another."""

    def begin():
        layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return layer, torch.optim.Adam(layer.parameters(), fused=True)

    def learn(layer, optimiser, seed):
        images = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
        optimiser.zero_grad()
        layer(images).square().sum().backward()
        optimiser.step()

    (whole, first), (again, second) = begin(), begin()
    learn(whole, first, 0)
    path = tmp_path / "state.safetensors"
    save_state(path, {"layer": whole.state_dict(), "optimiser": first.state_dict()})
    state = load_state(path)
    again.load_state_dict(state["layer"])
    restore_optimiser(second, state["optimiser"])
    for seed in (1, 2):
        learn(whole, first, seed)
        learn(again, second, seed)
    assert torch.equal(whole.weight, again.weight) and torch.equal(whole.bias, again.bias)
