"""Teachers of your own: torchvision's classifiers with your weights, and two label lists made one.

Any other module is a teacher with `Teacher(network, classes, size)`; this module saves one that
torchvision has the architecture of, and makes any two teachers name the same classes.
"""

import difflib
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from dfsbir_lite import zoo
from dfsbir_lite.data import class_key
from dfsbir_lite.files import check_fit, load_weights, rebuilding, save_weights
from dfsbir_lite.models import Normalise
from dfsbir_lite.runtime import UserError
from dfsbir_lite.teachers import Teacher, Teachers, load_teacher

# Where an option that no weights file tells of changes what the network makes of an image.
NOT_TOLD = ("googlenet", "inception_v3")

# what torchvision's own training normalised images with
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


class Resize(nn.Module):
    """Images (N, 3, H, W) scaled to `size` pixels; gradients pass through."""

    def __init__(self, size: int):
        super().__init__()
        self.size = (size, size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.interpolate(images, self.size, mode="bilinear", antialias=True)


# --- one teacher ------------------------------------------------------------------------------


def torchvision_teacher(
    architecture: str, classes: tuple[str, ...], size: int, mean=(0.0,), std=(1.0,)
) -> Teacher:
    """A classifier of torchvision's with random weights, for images in [0, 1].

    Args:
        architecture: a name that `torchvision.models` knows, such as "resnet18".
        mean, std: what its training normalised images with; see `IMAGENET`.
    """
    if architecture in NOT_TOLD:
        raise UserError(f"a file of weights does not tell how a {architecture} reads its images")
    known = torchvision.models.list_models(module=torchvision.models)
    if architecture not in known:
        near = difflib.get_close_matches(architecture, known, 3) or ["resnet18"]
        raise UserError(
            f"torchvision has no classifier {architecture!r}; perhaps {' or '.join(near)}"
        )
    network = torchvision.models.get_model(architecture, weights=None, num_classes=len(classes))
    return Teacher(nn.Sequential(Normalise(mean, std), network), classes, size)


def adopt(
    architecture: str,
    weights: str | Path,
    classes: tuple[str, ...],
    size: int,
    path: str | Path,
    mean=IMAGENET["mean"],
    std=IMAGENET["std"],
) -> Teacher:
    """Saves a torchvision classifier with the weights in a .pth or .safetensors file at `path`.

    Nothing in that file is executed. Raises UserError, naming the file, if it is not readable or
    holds the weights of something else.
    """
    teacher = torchvision_teacher(architecture, classes, size, mean, std)
    try:
        teacher(torch.zeros(1, 3, size, size))
    except Exception as reason:  # each architecture has its own way to refuse a size
        raise UserError(f"a {architecture} cannot read images of {size} px ({reason})") from None
    _fill(teacher.network[1], _read(Path(weights)), weights, architecture)
    facts = {"architecture": architecture, "size": size, "mean": list(mean), "std": list(std)}
    save_weights(
        path,
        teacher.network.state_dict(),
        {**facts, "classes": list(classes), "from": str(weights)},
    )
    return load(path)


def imagenet_weights(architecture: str = "resnet18") -> Path:
    """Where torchvision keeps its weights of ImageNet, once something has downloaded them."""
    weights = torchvision.models.get_model_weights(architecture).DEFAULT
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name


def imagenet_backbone(device="cpu", architecture: str = "resnet18") -> Callable:
    """The features of a torchvision classifier of ImageNet, as a read-out of photos and sketches.

    Images are scaled to 224 px. Nothing is downloaded: raises UserError without `imagenet_weights`.
    """
    path, classes = imagenet_weights(architecture), tuple(map(str, range(1000)))
    teacher = torchvision_teacher(architecture, classes, 224, **IMAGENET)
    _fill(teacher.network[1], _read(path), path, architecture)
    teacher, resize = teacher.to(device), Resize(224)
    return lambda images, modality: teacher(resize(images)).features


def load(path: str | Path) -> Teacher:
    """The teacher at `path`: one of ours, or one that `adopt` saved.

    Raises UserError, naming the file, if it is missing or damaged.
    """
    weights, card = load_weights(path)
    if card.get("architecture") == "SmallResNet":
        return load_teacher(path)
    with rebuilding(path):
        facts = [card[k] for k in ("architecture", "classes", "size", "mean", "std")]
        check_fit(lambda: torchvision_teacher(*facts).network, weights)
        teacher = torchvision_teacher(*facts)
        teacher.network.load_state_dict(weights)
    return teacher


def _read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weights file, by name."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path}: not weights alone, as torch.save(network.state_dict(), ...) writes them"
        ) from None
    except Exception as reason:  # torch raises whatever its reading of a damaged file ran into
        raise UserError(f"{path}: not a readable weights file ({reason})") from None
    for wrapper in ("state_dict", "model"):  # as training scripts like to save them
        if isinstance(weights, dict) and isinstance(weights.get(wrapper), dict):
            weights = weights[wrapper]
    if not isinstance(weights, dict) or not all(map(torch.is_tensor, weights.values())):
        raise UserError(f"{path}: not a dict of tensors, as network.state_dict() gives it")
    return {name.removeprefix("module."): value for name, value in weights.items()}


def _fill(network: nn.Module, weights: dict, path, architecture: str) -> None:
    wanted = network.state_dict()
    missing, extra = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    for told, names in (("lacks", missing), ("has also", extra)):
        if names:
            raise UserError(
                f"{path}: not the weights of a {architecture}: it {told} {names[0]} "
                f"({len(names)} such)"
            )
    for name, value in wanted.items():
        if value.shape != weights[name].shape:
            has, needs = (tuple(x.shape) for x in (weights[name], value))
            raise UserError(
                f"{path}: {name} is {has}; a {architecture} of these classes needs {needs}"
            )
    network.load_state_dict(weights)


# --- two teachers -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """Teachers that somebody brought, and what there is to say of them.

    Attributes:
        teachers: narrowed to the classes that both know.
        alone: the names that only one of the two knows: neither seen nor unseen to a student.
        report: all that in words, and what of the method the two do not allow.
    """

    teachers: Teachers
    alone: tuple[str, ...]
    report: str


def given(folder: str | Path, device="cpu") -> Given:
    """The teachers in `folder`, matched.

    It holds photo.safetensors and sketch.safetensors; without a modality.safetensors the guidance
    network is the one that ships, trained on ToyBox.
    """
    pair = [load(Path(folder) / f"{name}.safetensors") for name in ("photo", "sketch")]
    path = Path(folder) / "modality.safetensors"
    guidance = load(path) if path.is_file() else shipped_guidance(pair[0].size)
    teachers = match(*pair, guidance)
    alone = tuple(name for teacher in pair for name in left_out(teacher, teachers))
    return Given(teachers.to(device), alone, report(*pair, teachers))


def shipped_guidance(size: int) -> Teacher:
    """The guidance network that ships, for images of `size` px: paper looks like paper anywhere."""
    small = zoo.load_or_train("modality")
    return Teacher(nn.Sequential(Resize(small.size), small.network), small.classes, size)


def match(photo: Teacher, sketch: Teacher, guidance: Teacher) -> Teachers:
    """Both teachers, narrowed to the classes that both know by name (see `data.class_key`).

    They get the photo teacher's names and order. Names that one teacher has twice, as ImageNet has
    a cardigan and a Cardigan, match nothing. Raises UserError if fewer than two are shared.
    """
    known = _by_key(sketch)
    shared = [name for key, name in _by_key(photo).items() if key in known]
    if len(shared) < 2:
        raise UserError(
            f"the teachers share {len(shared)} classes: the photo teacher knows "
            f"{_list(photo.classes)}; the sketch teacher {_list(sketch.classes)}"
        )
    theirs = [known[class_key(name)] for name in shared]
    return Teachers(photo.only(shared), sketch.only(theirs, names=shared), guidance)


def _by_key(teacher: Teacher) -> dict[str, str]:
    """The teacher's class names by what of them counts; without those that two would share."""
    count = Counter(map(class_key, teacher.classes))
    return {class_key(name): name for name in teacher.classes if count[class_key(name)] == 1}


def left_out(teacher: Teacher, teachers: Teachers) -> list[str]:
    """The classes of one given teacher that are not among those of both."""
    shared = set(map(class_key, teachers.classes))
    return [name for name in teacher.classes if class_key(name) not in shared]


def report(photo: Teacher, sketch: Teacher, teachers: Teachers) -> str:
    """What `match` made of two teachers, in words, and what of the method they allow."""
    lines = [f"classes that both teachers know: {_list(teachers.classes)}"]
    for name, given in (("photo", photo), ("sketch", sketch)):
        if alone := left_out(given, teachers):
            lines.append(f"left out, the {name} teacher alone knows: {_list(alone)}")
        if not any(isinstance(m, nn.BatchNorm2d) for m in given.network.modules()):
            lines.append(f"the {name} teacher has no batch-norm layers: the term bn is off there")
    return "\n".join(lines)


def _list(names, most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} ({', '.join(names[:most])}{more})"
