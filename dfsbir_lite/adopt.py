"""Teachers of your own: torchvision's classifiers with your weights, and two label lists made one.

Any other module is a teacher with `Teacher(network, classes, size)`; this module saves one that
torchvision has the architecture of, and narrows any two teachers to the classes that both know.
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from dfsbir_lite import zoo
from dfsbir_lite.data import class_key
from dfsbir_lite.files import fill, load_network, read_card, reading, save_weights
from dfsbir_lite.models import Normalise
from dfsbir_lite.runtime import UserError
from dfsbir_lite.teachers import Teacher, Teachers, load_teacher

# their option transform_input changes how they read an image, and no file of weights holds it
AMBIGUOUS = ("googlenet", "inception_v3")

# what torchvision's own training normalised images with
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


class Resize(nn.Module):
    """Scale images (N, 3, H, W) to `size` pixels; gradients pass through."""

    def __init__(self, size: int):
        super().__init__()
        self.size = (size, size)

    def forward(self, images: Tensor) -> Tensor:
        return F.interpolate(images, self.size, mode="bilinear", antialias=True)


# --- one teacher ------------------------------------------------------------------------------


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


# --- two teachers -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Two teachers of somebody's own, matched."""

    teachers: Teachers  # narrowed to the classes that both know, with a guidance network
    alone: tuple[str, ...]  # names that only one of the two knows: neither seen nor unseen
    report: str  # all that in words, and what of the method the two do not allow


def load_pair(folder: str | Path, device="cpu") -> Pair:
    """Return the teachers in `folder`, photo.safetensors and sketch.safetensors, matched.

    Without a modality.safetensors the guidance network is the one that ships, trained on ToyBox.
    """
    pair = [load(Path(folder) / f"{name}.safetensors") for name in ("photo", "sketch")]
    path = Path(folder) / "modality.safetensors"
    guidance = load(path) if path.is_file() else shipped_guidance(pair[0].size)
    teachers = match(*pair, guidance)
    alone = tuple(name for teacher in pair for name in left_out(teacher, teachers))
    return Pair(teachers.to(device), alone, report(*pair, teachers))


def shipped_guidance(size: int) -> Teacher:
    """Return the guidance network that ships, for images of `size` px: paper is paper anywhere."""
    small = zoo.load_or_train("modality")
    return Teacher(nn.Sequential(Resize(small.size), small.network), small.classes, size)


def match(photo: Teacher, sketch: Teacher, guidance: Teacher) -> Teachers:
    """Return both teachers narrowed to the classes that both know by name (see `data.class_key`).

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
    """Return the teacher's class names by their keys, without those that share one."""
    count = Counter(map(class_key, teacher.classes))
    return {class_key(name): name for name in teacher.classes if count[class_key(name)] == 1}


def left_out(teacher: Teacher, teachers: Teachers) -> list[str]:
    """Return the classes of one teacher that are not among those of both."""
    shared = set(map(class_key, teachers.classes))
    return [name for name in teacher.classes if class_key(name) not in shared]


def report(photo: Teacher, sketch: Teacher, teachers: Teachers) -> str:
    """Return in words which classes `match` kept, and what of the method two teachers allow."""
    lines = [f"classes that both teachers know: {_list(teachers.classes)}"]
    for name, teacher in (("photo", photo), ("sketch", sketch)):
        if alone := left_out(teacher, teachers):
            lines.append(f"left out, the {name} teacher alone knows: {_list(alone)}")
        if not any(isinstance(m, nn.BatchNorm2d) for m in teacher.network.modules()):
            lines.append(f"the {name} teacher has no batch-norm layers: the term bn is off there")
    return "\n".join(lines)


def _list(names: Sequence[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} ({', '.join(names[:most])}{more})"
