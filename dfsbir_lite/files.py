"""Files: networks as safetensors with a JSON card beside them, resumable states by `torch.save`.

Nothing that a file holds is ever executed. A file is written under a temporary name, then moved:
an interruption leaves the old one or the new one. A killed process may leave `.NAME.XXXXXXXX`.
"""

import copy
import hashlib
import io
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dfsbir_lite.runtime import UserError


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write all of `data` or nothing, creating the folder. UserError where that cannot be done."""
    draft = Path(path).with_name(f".{Path(path).name}.{secrets.token_hex(4)}")
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        os.replace(draft, path)
    except OSError as reason:
        raise UserError(f"{path}: cannot be written ({reason.strerror or reason})") from reason
    finally:
        with suppress(OSError):
            draft.unlink()


def write_json(path: str | Path, value) -> None:
    """Write `value` as indented JSON, atomically."""
    write_atomically(path, json.dumps(value, indent=2).encode() + b"\n")


@contextmanager
def reading(path: str | Path, what: str) -> Iterator[None]:
    """Around code that only parses `path`: UserError if it is missing or, damaged, not `what`."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    try:
        yield
    except Exception as reason:  # parsers raise whatever the damage leads to
        raise UserError(f"{path}: not {what} ({str(reason).split('. ')[0]})") from None


def read_json(path: str | Path, what: str) -> dict:
    """Return the JSON object in a file; raises UserError if it is not `what` it should be."""
    with reading(path, what):
        value = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise TypeError(f"it is a {type(value).__name__}")
    return value


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_weights(path: str | Path, weights: dict[str, Tensor], card: dict) -> dict:
    """Save `weights` and, beside them, `card` with the file's SHA-256. Return that card.

    Matrices and convolutions are rounded to half precision, which halves the download and costs
    nothing measurable; biases, batch-norm statistics and what half precision cannot hold stay.
    """
    large = {k: v.half() for k, v in weights.items() if v.is_floating_point() and v.dim() > 1}
    small = weights | {k: v for k, v in large.items() if v.isfinite().all()}
    data = save({k: v.detach().cpu().contiguous() for k, v in small.items()})
    card = {**card, "sha256": hashlib.sha256(data).hexdigest()}
    write_json(Path(path).with_suffix(".json"), card)  # first: who finds weights finds their card
    write_atomically(path, data)
    return card


def read_card(path: str | Path) -> dict:
    """Return the model card of the weights at `path`, which are not read."""
    return read_json(Path(path).with_suffix(".json"), "a model card")


def load_weights(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Return float32 weights and their card; UserError if one is not whole, finite or theirs."""
    with reading(path, "a readable safetensors file"):
        tensors, digest = load_file(path), sha256_of(path)
    if digest != (card := read_card(path)).get("sha256"):
        raise UserError(f"{path}: damaged, or not the file that its card describes")
    weights = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    return finite(weights, path), card


def finite(weights: dict[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    """Return the `weights` of the file `path`; raises UserError at the first NaN or infinity."""
    for name, value in weights.items():
        if not value.isfinite().all():
            raise UserError(f"{path}: not all of {name} is finite")
    return weights


def load_network(path: str | Path, build: Callable[[dict], nn.Module]) -> tuple[nn.Module, dict]:
    """Return `build(card)` with the weights at `path`, and the card.

    Raises UserError, naming the file and what does not fit: a field that is missing, or one that
    `build` makes nothing of, or tensors.
    """
    weights, card = load_weights(path)
    try:
        network = build(card)
    except (KeyError, TypeError, ValueError) as reason:
        where, why = Path(path).with_suffix(".json"), f"{type(reason).__name__}: {reason}"
        raise UserError(f"{where}: no network can be built from it ({why})") from reason
    fill(network, weights, path)
    return network, card


def fill(network: nn.Module, weights: dict[str, Tensor], path: str | Path) -> None:
    """Load the `weights` of the file `path`; raises UserError, naming tensors that do not fit."""
    state = OrderedDict(weights)
    # what does not say of which versions of layers it is, is of those that `network` has
    state._metadata = getattr(weights, "_metadata", network.state_dict()._metadata)
    try:
        network.load_state_dict(state)
    except RuntimeError as reason:  # PyTorch names them, a line for each kind of misfit
        misfits = "; ".join(line.strip()[:150] for line in str(reason).splitlines()[1:4])
        raise UserError(f"{path}: not of this {type(network).__name__}: {misfits}") from None


def save_state(path: str | Path, state: dict) -> None:
    """Save the state of a loop: nested dicts and lists of tensors and plain values."""
    file = io.BytesIO()
    torch.save(state, file)
    write_atomically(path, file.getvalue())


def load_state(path: str | Path) -> dict:
    """Return what `save_state` saved, on the CPU; raises UserError if it is missing or damaged."""
    with reading(path, "a readable file of tensors and plain values"), open(path, "rb") as file:
        return torch.load(file, map_location="cpu", weights_only=True)


class Resumable:
    """Something that can stop and go on exactly: its state is what the attributes `KEPT` hold."""

    KEPT: tuple[str, ...]

    def state(self) -> dict:
        """Return all that `restore` needs; later steps do not change it."""
        return {name: _state_of(getattr(self, name)) for name in self.KEPT}

    def restore(self, state: dict) -> None:
        """Go back to a `state()`."""
        for name in self.KEPT:
            part, value = getattr(self, name), state[name]
            if isinstance(part, Resumable):
                part.restore(value)
            elif isinstance(part, torch.Generator):
                part.set_state(value)
            elif isinstance(part, nn.Module | torch.optim.Optimizer):
                part.load_state_dict(copy.deepcopy(value))
            else:
                setattr(self, name, copy.deepcopy(value))

    def save(self, path: str | Path) -> None:
        """Write everything that `resume` needs, but no settings."""
        save_state(path, self.state())

    def resume(self, path: str | Path) -> None:
        """Continue from a file that `save` wrote for a run like this one."""
        self.restore(load_state(path))


def _state_of(part):
    if isinstance(part, Resumable):
        return part.state()
    if isinstance(part, torch.Generator):
        return part.get_state()
    has_own = isinstance(part, nn.Module | torch.optim.Optimizer)
    return copy.deepcopy(part.state_dict() if has_own else part)
