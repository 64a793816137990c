"""Two teachers made to agree: for a student, narrowed to the classes that both know by name; to
search without one, by groups of their classes and by what the names mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import Resize

from dfsbir_lite import zoo
from dfsbir_lite.adopt import names
from dfsbir_lite.adopt.checkpoints import load
from dfsbir_lite.adopt.groups import Groups, default_groups, equal_names, places, shares
from dfsbir_lite.data import class_key
from dfsbir_lite.runtime import UserError
from dfsbir_lite.teachers import Teacher, Teachers


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
    scaled = nn.Sequential(Resize((teacher.size, teacher.size)), teacher.network)
    return Teacher(scaled, teacher.classes, size)


def shipped_guidance(size: int) -> Teacher:
    """Return the guidance network that ships, for images of `size` px: paper is paper anywhere."""
    return resized(zoo.load_or_train("modality"), size)


def match(photo: Teacher, sketch: Teacher, guidance: Teacher) -> Teachers:
    """Return both teachers narrowed to the classes that both know by name (see `data.class_key`).

    They get the photo teacher's names and order. Names that one teacher has twice, as ImageNet has
    a cardigan and a Cardigan, match nothing. Raises UserError if fewer than two are shared.
    """
    pairs = equal_names(photo.classes, sketch.classes).values()
    if len(pairs) < 2:
        raise UserError(
            f"the teachers share {len(pairs)} classes: the photo teacher knows "
            f"{_list(photo.classes)}; the sketch teacher {_list(sketch.classes)}"
        )
    ours, theirs = ([name for pair in pairs for name in pair[side]] for side in ("photo", "sketch"))
    return Teachers(photo.only(ours), sketch.only(theirs, names=ours), guidance)


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


# --- without a student ------------------------------------------------------------------------

# Chosen on drawings and photos that `bench real` does not score: how far a name reaches, and how
# near the nearest has to be for half of the mass to go there.
REACH, NEAR = 0.05, 0.85


class Matching:
    """Photos and sketches of two classifiers in one space, in which their cosine says how alike.

    A column for each group, one for each other class of the sketch teacher, and one for the rest.
    A sketch's row is its posterior. A photo's row is its posterior too, moved: the mass of a class
    goes to its groups; that of a class without a group to names near its own, or to the rest,
    where no sketch has anything. So a photo of what no sketch can mean is like none.

    Args:
        groups: by default `groups.default_groups`; {} for none.
        bridge: whether names lead from class to class, where vectors of all names are at hand.

    Raises UserError if the two have neither two groups in common nor a bridge.
    """

    def __init__(
        self, photo: Teacher, sketch: Teacher, groups: Groups | None = None, bridge: bool = True
    ):
        self.photo, self.sketch = photo, sketch
        table = default_groups(photo.classes, sketch.classes) if groups is None else groups
        found = places(table, photo.classes, sketch.classes)
        shared = {name: pair for name, pair in found.items() if pair[1]}
        self.groups, columns = tuple(shared), [theirs for _, theirs in shared.values()]
        others = set(range(len(sketch.classes))).difference(*columns)
        self.columns = columns + [[place] for place in sorted(others)]
        self.sketch_groups = [*self.columns, []]  # the rest, where no sketch has anything
        moves = torch.zeros(len(photo.classes), len(self.columns) + 1)
        for column, (ours, _) in enumerate(shared.values()):
            moves[ours, column] = 1
        moves[[place for ours, theirs in found.values() if not theirs for place in ours], -1] = 1
        self.moves = F.normalize(moves, p=1, dim=1)  # (classes of the photo teacher, columns + 1)
        self.grouped = moves.sum(1) > 0
        self.moves[~self.grouped, -1] = 1
        self.no_bridge = self._build_bridge() if bridge else "it is not wanted"
        if self.no_bridge and len(shared) < 2:
            few = f"{len(shared)} groups of classes in common"
            raise UserError(f"the teachers have {few} and no bridge by names: {self.no_bridge}")

    def _build_bridge(self) -> str:
        """Move classes without a group by their names; return why not, if that cannot be."""
        try:
            vectors = [names.embed(teacher.classes) for teacher in (self.photo, self.sketch)]
        except UserError as reason:
            return str(reason)
        near = vectors[0] @ vectors[1].T
        each = [near[:, column].amax(1) for column in self.columns]
        shares = (torch.stack([*each, torch.full_like(each[0], NEAR)], 1) / REACH).softmax(1)
        self.moves[~self.grouped] = shares[~self.grouped]
        return ""

    @property
    def report(self) -> str:
        """Return in words what became of the classes of both."""
        grouped, lost = self.grouped.tolist(), (self.moves[:, -1] > 0.5).tolist()
        near = [n for n, a, b in zip(self.photo.classes, grouped, lost) if not a and not b]
        alone = [n for n, b in zip(self.photo.classes, lost) if b]
        reached = self.moves[:, :-1].amax(0) > 0.5
        reached[: len(self.groups)] = True
        unseen = [k for column, yes in zip(self.columns, reached) if not yes for k in column]
        bridge = f"bridged by their names: {_list(near)}"
        lines = [
            f"groups: {_list(self.groups)}, with {sum(grouped)} classes of the photo teacher",
            f"no bridge by names: {self.no_bridge}" if self.no_bridge else bridge,
            f"left out, the photo teacher alone knows: {_list(alone)}",
            f"the sketch teacher alone knows: {_list([self.sketch.classes[k] for k in unseen])}",
        ]
        return "\n".join(lines)

    def photo_rows(self, logits: Tensor) -> Tensor:
        """Return rows (N, columns + 1) of sum 1 for the photo teacher's logits."""
        return logits.softmax(1) @ self.moves.to(logits.device)

    def sketch_rows(self, logits: Tensor) -> Tensor:
        """Return rows (N, columns + 1) of sum 1 for the sketch teacher's logits."""
        return shares(logits, self.sketch_groups)

    def known(self, logits: Tensor) -> Tensor:
        """Return how much of each photo a sketch can mean: (N,) in [0, 1]."""
        return 1 - self.photo_rows(logits)[:, -1]
