"""One teacher: a classifier of torchvision's with the weights in a file."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from dfsbir_lite.adopt.doodlenet import DoodleNet
from dfsbir_lite.files import fill, load_network, read_card, reading, save_weights
from dfsbir_lite.models import Normalise
from dfsbir_lite.runtime import UserError
from dfsbir_lite.teachers import Teacher, load_teacher

# their option transform_input changes how they read an image, and no file of weights holds it
AMBIGUOUS = ("googlenet", "inception_v3")

# what torchvision's own training normalised images with
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def torchvision_teacher(
    architecture: str, classes: Sequence[str], size: int, mean=(0.0,), std=(1.0,)
) -> Teacher:
    """Return a classifier of torchvision's with random weights, for images in [0, 1].

    Args:
        architecture: a name that `torchvision.models` knows, such as "resnet18".
        mean, std: what its training normalised images with; see `IMAGENET`.
    """
    return Teacher(_classifier(architecture, len(classes), mean, std), tuple(classes), size)


def _classifier(architecture: str, outputs: int, mean, std) -> nn.Sequential:
    if architecture == "doodlenet":
        return nn.Sequential(Normalise(mean, std), DoodleNet(outputs))
    if architecture in AMBIGUOUS:
        raise UserError(f"a file of weights does not say how a {architecture} reads its images")
    known = torchvision.models.list_models(module=torchvision.models)
    if architecture not in known:
        near = difflib.get_close_matches(str(architecture), known, 3) or ["resnet18"]
        raise UserError(
            f"torchvision has no classifier {architecture!r}; perhaps {' or '.join(near)}"
        )
    network = torchvision.models.get_model(architecture, weights=None, num_classes=outputs)
    return nn.Sequential(Normalise(mean, std), network)


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
    try:
        teacher(torch.zeros(1, 3, size, size))
    except Exception as reason:  # each architecture has its own way to refuse a size
        raise UserError(f"a {architecture} cannot read images of {size} px ({reason})") from None
    fill(teacher.network[1], _read(Path(weights)), weights)
    card = {"architecture": architecture, "size": size, "mean": list(mean), "std": list(std)}
    card |= {"classes": list(classes), "from": str(weights)}
    save_weights(path, teacher.network.state_dict(), card)
    return load(path)


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file, by name, without what training scripts put around."""
    with reading(path, "weights alone, as torch.save(network.state_dict(), ...) writes them"):
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        for wrapper in ("state_dict", "model"):
            if isinstance(inner := weights.get(wrapper), dict):
                weights = inner
        return {name.removeprefix("module."): value for name, value in weights.items()}


def load(path: str | Path) -> Teacher:
    """Return the teacher at `path`: one of ours, or one that `adopt` saved.

    Raises UserError, naming the file, if it is missing or damaged.
    """
    if not Path(path).is_file() or read_card(path).get("architecture") == "SmallResNet":
        return load_teacher(path)
    network, card = load_network(
        path,
        lambda c: _classifier(c["architecture"], len(c["classes"]), c["mean"], c["std"]),
    )
    return Teacher(network, tuple(card["classes"]), card["size"])
