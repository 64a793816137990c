"""The sketch side of two matched classifiers, which is all of them that a gallery has to keep."""

from pathlib import Path

from torch import Tensor

from dfsbir_lite.adopt.checkpoints import load
from dfsbir_lite.adopt.groups import shares
from dfsbir_lite.files import read_json
from dfsbir_lite.teachers import Teacher

SKETCH, MATCHING = "sketch.safetensors", "matching.json"


class Matched:
    """A sketch teacher whose rows are the shares of `groups` of its classes, as of photos."""

    def __init__(self, teacher: Teacher, groups: list[list[int]]):
        self.teacher, self.sketch, self.groups = teacher, teacher.network, groups

    @classmethod
    def open(cls, folder: Path) -> "Matched":
        """Open what is in a gallery's folder."""
        return cls(load(folder / SKETCH), read_json(folder / MATCHING, "a matching")["groups"])

    def to(self, device) -> None:
        self.teacher.to(device)

    def embed(self, images: Tensor, modality: str = "sketch") -> Tensor:
        """Return the rows (N, E) of sketches; photos are read once, when a gallery is made."""
        return shares(self.teacher(images).logits, self.groups)
