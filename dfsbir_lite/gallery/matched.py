"""The sketch side of two matched classifiers, which is all of them that a gallery has to keep."""

from pathlib import Path

import torch
from torch import Tensor

from dfsbir_lite.adopt.checkpoints import load
from dfsbir_lite.files import read_json
from dfsbir_lite.teachers import Teacher

SKETCH, MATCHING = "sketch.safetensors", "matching.json"


class Matched:
    """A sketch teacher whose shares of groups of its classes are compared with those of photos.

    Args:
        parts: of a row, each {"groups": [[class, ...], ...], "temperature": t, "weight": w}: the
            softmax at that temperature of the groups' scores, a log-sum-exp of their members'.
    """

    def __init__(self, teacher: Teacher, parts: list[dict]):
        self.teacher, self.sketch, self.parts = teacher, teacher.network, parts

    @classmethod
    def open(cls, folder: Path) -> "Matched":
        """Open what is in a gallery's folder."""
        return cls(load(folder / SKETCH), read_json(folder / MATCHING, "a matching")["parts"])

    def to(self, device) -> None:
        self.teacher.to(device)

    def embed(self, images: Tensor, modality: str = "sketch") -> Tensor:
        """Return the rows (N, E) of sketches; photos are read once, when a gallery is made."""
        return self.rows(self.teacher(images).logits)

    def rows(self, logits: Tensor) -> Tensor:
        return torch.cat([_shares(logits, **part) for part in self.parts], 1)


def _shares(logits: Tensor, groups: list, temperature: float, weight: float) -> Tensor:
    scores = torch.stack([logits[:, group].logsumexp(1) for group in groups], 1)
    return weight * (scores / temperature).softmax(1)
