"""Files: safetensors for the numbers, a JSON card beside them for what they are.

No file is ever unpickled. Every file is written under another name and then moved into place,
so that an interruption leaves either the old file or the new one.
"""

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import nn

from dfsbir_lite.runtime import UserError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None


def write_atomically(path: str | Path, data: bytes) -> None:
    """Writes `data` to `path`, creating the folder; never leaves half a file.

    What a killed process left of an earlier write of `path` is swept away; not on Windows, nor on
    a network drive without locks. Raises UserError, naming the file, where the disk is full or
    may not be written to.
    """
    _write_together({Path(path): data})


def _write_together(files: dict[Path, bytes]) -> None:
    """Writes `files`, in this order; none is replaced before there was room for all."""
    try:
        with ExitStack() as drafts:
            moves = {}
            for path, data in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                _sweep(path)
                moves[path] = drafts.enter_context(_draft(path))
                moves[path].write_bytes(data)
            for path, draft in moves.items():
                draft.replace(path)
    except OSError as reason:
        raise UserError(f"{path}: cannot be written ({reason.strerror or reason})") from reason


def delete(path: Path) -> None:
    """Deletes the file `path`, if it is there, and what killed processes left of writing it."""
    path.unlink(missing_ok=True)
    _sweep(path)


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """An empty hidden file beside `path`, locked, so that no other process sweeps it away.

    The lock is the kernel's and ends with the process, however that ends. Processes in several
    containers may have one number, and so one draft: they wait for each other.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    while True:
        with open(draft, "ab") if fcntl else nullcontext() as file:
            _lock(file)
            if not _is_at(file, draft):
                continue
            try:
                yield draft
            finally:
                if _is_at(file, draft):
                    draft.unlink(missing_ok=True)
            return


def _lock(file) -> None:
    """Waits until nobody else has locked the open `file`, and locks it until it is closed."""
    if fcntl:
        with suppress(OSError):  # a drive without locks: nobody else gets one either
            fcntl.flock(file, fcntl.LOCK_EX)


def _sweep(path: Path) -> None:
    """Deletes the drafts of `path` that nobody has locked: those of killed processes."""
    if fcntl is None:
        return
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if not draft.suffix[1:].isdecimal():
            continue
        with suppress(OSError), open(draft, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, draft):
                draft.unlink()


def _is_at(file, path: Path) -> bool:
    """Whether `path` is still the open `file`: until it is locked, others may move or delete it."""
    try:
        return file is None or os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def put_in_place(new: Path, folder: Path) -> None:
    """Renames the folder `new` to `folder`; an older one is deleted only when that has worked."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except BaseException:  # an interruption too
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: str | Path, value) -> None:
    """Writes `value` as indented JSON, atomically."""
    write_atomically(path, _json_bytes(value))


def _json_bytes(value) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def read_json(path: str | Path, what: str) -> dict:
    """The JSON object in a file; `what` it should be goes into the UserError if it is not one."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as reason:
        raise UserError(f"{path}: not {what} ({reason})") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: not {what}")
    return value


def sha256_of(path: str | Path) -> str:
    """The sha256 of a file, in hexadecimal; read piece by piece."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_weights(path: str | Path, weights: dict[str, torch.Tensor], card: dict) -> dict:
    """Saves `weights` and, beside them, `card` plus the file's sha256; returns that card.

    Matrices and convolutions are rounded to half precision, which halves the download and costs
    nothing measurable; biases and batch-norm statistics stay as they are.
    """
    small = {
        k: (v.half() if v.is_floating_point() and v.dim() > 1 else v) for k, v in weights.items()
    }
    data = to_bytes({k: v.detach().cpu().contiguous() for k, v in small.items()})
    card = {**card, "sha256": hashlib.sha256(data).hexdigest()}
    # the weights last: where others see them, their card is there, too
    _write_together({Path(path).with_suffix(".json"): _json_bytes(card), Path(path): data})
    return card


def load_weights(path: str | Path) -> tuple[dict[str, torch.Tensor], dict]:
    """The float32 weights and the card saved by `save_weights`.

    Raises UserError, naming the file, if either is missing, damaged or does not fit the other.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    card_path = path.with_suffix(".json")
    card = read_json(card_path, "a model card")
    if sha256_of(path) != card.get("sha256"):
        raise UserError(f"{path}: damaged, or not the file that {card_path.name} describes")
    tensors, _ = _read(path)
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}, card


@contextmanager
def rebuilding(path: str | Path):
    """Around code that fills networks from `path`: UserError, naming it, if they do not fit."""
    try:
        yield
    except (LookupError, TypeError, ValueError, OverflowError, RuntimeError) as reason:
        if isinstance(reason, UserError):
            raise
        raise UserError(f"{path}: does not hold the networks that are wanted here") from reason


def check_fit(build: Callable[[], nn.Module], weights: dict[str, torch.Tensor]) -> None:
    """Raises RuntimeError if `weights` have not the names and shapes of the network of `build`.

    It is built on the meta device, where a card that asks for a billion channels costs nothing.
    """
    with torch.device("meta"):
        wanted = {name: value.shape for name, value in build().state_dict().items()}
    if wanted != {name: value.shape for name, value in weights.items()}:
        raise RuntimeError("the weights are of another network")


def save_state(path: str | Path, state: dict) -> None:
    """Saves a nested dict (or list) of tensors and plain values, as training states are."""
    tensors: dict[str, torch.Tensor] = {}
    skeleton = _strip(state, "", tensors)
    write_atomically(path, to_bytes(tensors, metadata={"skeleton": json.dumps(skeleton)}))


def pack(state: dict) -> tuple[str, bytes]:
    """A state as `save_state` takes it, in a form that another process can be sent."""
    tensors: dict[str, torch.Tensor] = {}
    return json.dumps(_strip(state, "", tensors)), to_bytes(tensors)


def unpack(packed: tuple[str, bytes]) -> dict:
    """The state that `pack` packed."""
    skeleton, data = packed
    return _restore(json.loads(skeleton), from_bytes(data))


def load_state(path: str | Path) -> dict:
    """What `save_state` saved. Raises UserError if the file is missing or damaged."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    tensors, metadata = _read(path)
    if "skeleton" not in metadata:
        raise UserError(f"{path}: holds weights, not a training state to resume")
    try:
        return _restore(json.loads(metadata["skeleton"]), tensors)
    except (LookupError, TypeError, ValueError, RecursionError) as reason:
        raise UserError(f"{path}: damaged ({type(reason).__name__}: {reason})") from None


def restore_optimiser(optimiser: torch.optim.Optimizer, state: dict) -> None:
    """`optimiser.load_state_dict`, for fused optimisers too.

    They walk the memory of a parameter and of its moments side by side, so the moments, which a
    file keeps in plain layout, need the layout of their parameter.
    """
    optimiser.load_state_dict(state)
    for parameter, kept in optimiser.state.items():
        for name, value in kept.items():
            if value.shape == parameter.shape:
                kept[name] = torch.empty_like(parameter).copy_(value)


def _read(path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {k: file.get_tensor(k) for k in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as reason:
        raise UserError(f"{path}: not a readable safetensors file ({reason})") from None


def _strip(value, name: str, tensors: dict):
    """`value` with each tensor moved into `tensors` and replaced by its name there."""
    if isinstance(value, torch.Tensor):
        # a copy in plain layout: safetensors refuses shared memory and channels_last
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, dict):
        pairs = [[k, _strip(v, f"{name}/{k}", tensors)] for k, v in value.items()]
        return {"dict": pairs}  # pairs, because JSON would turn integer keys into strings
    if isinstance(value, (list, tuple)):
        return {"list": [_strip(v, f"{name}/{i}", tensors) for i, v in enumerate(value)]}
    return {"value": value}


def _restore(node: dict, tensors: dict):
    if "tensor" in node:
        return tensors[node["tensor"]]
    if "dict" in node:
        return {k: _restore(v, tensors) for k, v in node["dict"]}
    if "list" in node:
        return [_restore(v, tensors) for v in node["list"]]
    return node["value"]


def load_network(path, build):
    weights, card = load_weights(path)
    with rebuilding(path):
        network = build(card)
        network.load_state_dict(weights)
    return network, card


def save_state(path, state):
    from io import BytesIO

    data = BytesIO()
    torch.save(state, data)
    write_atomically(path, data.getvalue())


def load_state(path):
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    return torch.load(path, weights_only=True)
