"""Files: whole or not at all, refused with one line that names what is wrong, never executed."""

import pickle
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from dfsbir_lite.files import (
    load_network,
    load_state,
    load_weights,
    read_card,
    read_json,
    save_weights,
    write_atomically,
    write_json,
)
from dfsbir_lite.models import SmallResNet, geometry
from dfsbir_lite.runtime import UserError

# --- writing ----------------------------------------------------------------------------------


def test_a_write_creates_its_folder_and_replaces_the_old_file(tmp_path):
    path = tmp_path / "new" / "state"
    write_atomically(path, b"a longer old one")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new" and len(list(path.parent.iterdir())) == 1


def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path, write = tmp_path / "state", Path.write_bytes
    write_atomically(path, b"the old one")

    def full(draft, data):
        write(draft, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match=r"state: cannot be written \(No space left on device"):
            write_atomically(path, b"the new one")
    assert [p.name for p in tmp_path.iterdir()] == ["state"]
    assert path.read_bytes() == b"the old one"
    with pytest.raises(UserError, match=r"state/below: cannot be written"):
        write_atomically(path / "below", b"")


# --- networks ---------------------------------------------------------------------------------


def build(card: dict) -> SmallResNet:
    return SmallResNet(outputs=len(card["classes"]), **geometry(card))


@pytest.fixture
def network(tmp_path, make_network) -> Path:
    """A network of two classes, saved."""
    path = tmp_path / "photo.safetensors"
    card = {"widths": [8, 16], "classes": ["ant", "bee"], "seed": 7}
    save_weights(path, make_network(2, 0).state_dict(), card)
    return path


def change(path: Path, **fields) -> None:
    """Write other fields into the card; None takes one out."""
    card = {**read_card(path), **fields}
    write_json(path.with_suffix(".json"), {k: v for k, v in card.items() if v is not None})


def test_a_network_comes_back_in_half_precision(network, make_network):
    loaded, card = load_network(network, build)
    for was, now in zip(make_network(2, 0).state_dict().values(), loaded.state_dict().values()):
        assert was.dtype == now.dtype
        assert torch.equal(now, was.half().float() if was.dim() > 1 else was)
    assert card["seed"] == 7 and len(card["sha256"]) == 64


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"widths": None}, r"photo\.json: no network .*KeyError: 'widths'"),
        ({"classes": 2}, r"photo\.json: no network .*'int' has no len"),
        ({"widths": [8, -1]}, r"photo\.json: no network .*not a valid SmallResNet shape"),
        ({"widths": [8]}, r"photo\.safetensors: .*Unexpected key.*stages\.1"),
        ({"classes": ["ant"]}, r"photo\.safetensors: .*size mismatch for fc\.weight"),
        ({"sha256": "0"}, r"photo\.safetensors: damaged, or not the file that its card describes"),
    ],
)
def test_what_does_not_fit_is_named(network, fields, reason):
    change(network, **fields)
    with pytest.raises(UserError, match=reason) as refusal:
        load_network(network, build)
    assert "\n" not in str(refusal.value)


def test_a_mistake_in_the_code_that_builds_is_raised_as_it_is(network):
    with pytest.raises(RuntimeError, match="oops"):
        load_network(network, Mock(side_effect=RuntimeError("oops")))


def test_missing_and_damaged_files_are_named(network):
    with pytest.raises(UserError, match=r"nowhere\.safetensors: no such file"):
        load_weights(network.with_name("nowhere.safetensors"))
    whole = network.read_bytes()
    network.write_bytes(whole[:99])
    with pytest.raises(UserError, match=r"photo\.safetensors: not a readable safetensors file"):
        load_weights(network)
    network.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match=r"photo\.safetensors: damaged"):
        load_weights(network)
    network.with_suffix(".json").write_text('["no card"]')
    with pytest.raises(UserError, match=r"photo\.json: not a model card \(it is a list\)"):
        load_weights(network)


def test_weights_that_are_no_numbers_are_refused_and_large_ones_kept(tmp_path):
    """Half precision ends at 65504: a larger weight used to come back as infinity."""
    path, large = tmp_path / "a.safetensors", torch.full((2, 2), 1e5)
    save_weights(path, {"fc.weight": large}, {})
    assert torch.equal(load_weights(path)[0]["fc.weight"], large)
    for bad in (float("nan"), float("inf")):
        save_weights(path, {"fine": large, "fc.bias": torch.tensor([0, bad])}, {})
        with pytest.raises(UserError, match=r"a\.safetensors: not all of fc\.bias is finite"):
            load_weights(path)


def test_a_card_is_read_without_its_weights(network):
    network.unlink()
    assert read_card(network)["classes"] == ["ant", "bee"]
    network.with_suffix(".json").write_text("{")
    with pytest.raises(UserError, match=r"photo\.json: not a model card \(Expecting"):
        read_card(network)
    with pytest.raises(UserError, match="none: no such file"):
        read_json(network.with_name("none"), "a table")


# --- states -----------------------------------------------------------------------------------


class Bomb:
    """Unpickled, it ends the test."""

    def __reduce__(self):
        return pytest.exit, ("unpickled",)


def test_what_cannot_be_resumed_is_named_and_not_executed(tmp_path):
    path = tmp_path / "state.pt"
    with pytest.raises(UserError, match=r"state\.pt: no such file"):
        load_state(path)
    for content in (b"not tensors", b"", pickle.dumps({"index": Bomb()})):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"state\.pt: not a readable file of tensors"):
            load_state(path)
    torch.save({"index": Bomb()}, path)
    with pytest.raises(UserError, match=r"state\.pt: .*Weights only load failed\)"):
        load_state(path)
