"""Two teachers: narrow them to the classes that both know, and say what was left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfsbir_lite import zoo
from dfsbir_lite.adopt.checkpoints import load
from dfsbir_lite.data import class_key
from dfsbir_lite.runtime import UserError
from dfsbir_lite.teachers import Teacher, Teachers


class Resize(nn.Module):
    """Scale images (N, 3, H, W) to `size` pixels; gradients pass through."""

    def __init__(self, size: int):
        super().__init__()
        self.size = (size, size)

    def forward(self, images: Tensor) -> Tensor:
        return F.interpolate(images, self.size, mode="bilinear", antialias=True)


@dataclass(frozen=True)
class Pair:
    """Two teachers of somebody's own, matched."""

    teachers: Teachers  # narrowed to the classes that both know, with a guidance network
    alone: tuple[str, ...]  # names that only one of the two knows: neither seen nor unseen
    report: str  # all that in words, and what of the method the two do not allow


def load_pair(folder: str | Path, device="cpu", size: int | None = None) -> Pair:
    """Return the teachers in `folder`, photo.safetensors and sketch.safetensors, matched.

    All read images of `size` px, by default the photo teacher's. Without a modality.safetensors
    the guidance network is the one that ships, trained on ToyBox.
    """
    pair = [load(Path(folder) / f"{name}.safetensors") for name in ("photo", "sketch")]
    path = Path(folder) / "modality.safetensors"
    guidance = load(path) if path.is_file() else zoo.load_or_train("modality")
    teachers = match(*(resized(t, size or pair[0].size) for t in (*pair, guidance)))
    alone = tuple(name for teacher in pair for name in left_out(teacher, teachers))
    return Pair(teachers.to(device), alone, report(*pair, teachers))


def resized(teacher: Teacher, size: int) -> Teacher:
    """Return the teacher for images of `size` px, which are scaled to those that it knows."""
    if teacher.size == size:
        return teacher
    return Teacher(nn.Sequential(Resize(teacher.size), teacher.network), teacher.classes, size)


def shipped_guidance(size: int) -> Teacher:
    """Return the guidance network that ships, for images of `size` px: paper is paper anywhere."""
    return resized(zoo.load_or_train("modality"), size)


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
        if not teacher(torch.zeros(1, 3, teacher.size, teacher.size), moments=True).moments:
            lines.append(f"the {name} teacher has no batch-norm layers: the term bn is off there")
        if teacher.size != teachers.size:
            how = f"pictures of {teachers.size} px are scaled for it"
            lines.append(f"the {name} teacher reads {teacher.size} px: {how}")
    return "\n".join(lines)


def _list(names: Sequence[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} ({', '.join(names[:most])}{more})"
