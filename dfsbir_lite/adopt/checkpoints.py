"""One teacher: a classifier of torchvision's with the weights in a file."""

import argparse
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dfsbir_lite.adopt.shelf import IMAGENET, build
from dfsbir_lite.files import fill, finite, load_network, read_card, reading, save_weights
from dfsbir_lite.models import Normalise
from dfsbir_lite.runtime import UserError
from dfsbir_lite.teachers import Teacher, load_teacher

# What training scripts keep beside weights: their options, and scores as numbers of NumPy's. To
# read them executes nothing. NumPy 2 calls its own function by another name than NumPy 1.
NUMBER = np.float64(0).__reduce__()[0]
PLAIN = [
    *(argparse.Namespace, np.dtype, *(type(np.dtype(kind)) for kind in "fdlq")),
    *((NUMBER, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


def torchvision_teacher(
    architecture: str, classes: Sequence[str], size: int, mean=(0.0,), std=(1.0,)
) -> Teacher:
    """Return a classifier of torchvision's with random weights, for images in [0, 1].

    `architecture` is a name that `torchvision.models` knows, such as "resnet18"; `mean` and `std`
    are what its training normalised images with; see `IMAGENET`.
    """
    return Teacher(_classifier(architecture, len(classes), size, mean, std), tuple(classes), size)


def _classifier(architecture: str, outputs: int, size: int, mean, std) -> nn.Sequential:
    return nn.Sequential(Normalise(mean, std), build(architecture, outputs, size))


def adopt(
    architecture: str,
    weights: str | Path,
    classes: Sequence[str],
    size: int,
    path: str | Path,
    mean=IMAGENET["mean"],
    std=IMAGENET["std"],
) -> Teacher:
    """Save a torchvision classifier with the weights in a .pth or .safetensors file at `path`.

    Nothing in that file is executed. Raises UserError, naming the file, if it is not readable or
    holds the weights of something else.
    """
    teacher = torchvision_teacher(architecture, classes, size, mean, std)
    network = teacher.network[1]
    tensors = finite(_read(Path(weights), network), weights)
    try:
        fill(network, tensors, weights)
    except UserError as reason:
        raise UserError(f"{reason}; another network: Teacher(network, classes, size)") from None
    card = {"architecture": architecture, "size": size, "mean": list(mean), "std": list(std)}
    card |= {"classes": list(classes), "from": Path(weights).name}
    save_weights(path, teacher.network.state_dict(), card)
    return load(path)


def _read(path: Path, network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a weights file that are for `network`, by their bare names."""
    with reading(path, "weights alone, as torch.save(network.state_dict(), ...) writes them"):
        content = load_file(path) if path.suffix == ".safetensors" else _unpickle(path)
        found = {where: _bare(state, network) for where, state in _states(content)}
        known = network.state_dict().keys()
        fit = {where: (len(state.keys() & known), len(state)) for where, state in found.items()}
        best = [where for where in fit if fit[where] == max(fit.values())]
        if len(best) != 1:
            raise ValueError(f"it holds {len(best)} networks: {', '.join(best or content)[:80]}")
    return found[best[0]]


def _unpickle(path: Path):
    """Return what is in a file of torch.save's: tensors and plain values, or nothing of it."""
    with torch.serialization.safe_globals(PLAIN):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except UnpicklingError as reason:
            kind = re.search(r"GLOBAL (\S+)", str(reason))
            raise ValueError(f"it holds a {kind[1]}" if kind else reason) from None


def _states(content: dict, where: str = "") -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield each dict in `content` that holds tensors by name and nothing else, with its place."""
    if content and all(isinstance(name, str) for name in content):
        if all(isinstance(value, Tensor) for value in content.values()):
            yield where, content
        for name, value in content.items():
            if isinstance(value, dict):
                yield from _states(value, f"{where}.{name}".lstrip("."))


def _bare(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return a state dict without the prefix that wrappers such as DataParallel give all names."""
    names = [name for name in state if not name.endswith("n_averaged")]  # AveragedModel's counter
    parts = zip(*(name.split(".") for name in names))
    prefix = "".join(f"{same[0]}." for same in takewhile(lambda part: len(set(part)) == 1, parts))
    bare = OrderedDict()
    for name in names:  # densenets had dots in the names of layers, until PyTorch forbade them
        old = r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)"
        bare[re.sub(old, r"\1\2", name.removeprefix(prefix))] = state[name]
    # PyTorch takes layers without a version for its oldest; the network itself is of today's
    bare._metadata = {"": {"version": network._version}}
    for name, facts in getattr(state, "_metadata", {}).items():
        bare._metadata[f"{name}.".removeprefix(prefix)[:-1]] = {"version": facts.get("version")}
    return bare


def load(path: str | Path) -> Teacher:
    """Return the teacher at `path`: one of ours, or one that `adopt` saved.

    Raises UserError, naming the file, if it is missing or damaged.
    """
    if not Path(path).is_file() or read_card(path).get("architecture") == "SmallResNet":
        return load_teacher(path)
    network, card = load_network(
        path,
        lambda c: _classifier(c["architecture"], len(c["classes"]), c["size"], c["mean"], c["std"]),
    )
    return Teacher(network, tuple(card["classes"]), card["size"])
