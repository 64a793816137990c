"""The course of a training: what the encoders said of the same pictures at a dozen moments.

The pictures are only looked at: nothing that learns hears of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dfsbir_lite import retrieval
from dfsbir_lite.data import ImageSet
from dfsbir_lite.files import load_state, rebuilding, save_state
from dfsbir_lite.models import Encoders, expected_proxy

PARTS = ("photo", "sketch", "proxies")


@dataclass
class Course:
    """Class scores of N photos and N sketches at T moments of a training.

    Attributes:
        steps: iterations done at each moment, the first 0.
        photo, sketch: class scores (T, N, C).
        proxies: the class proxies at each moment (T, C, E).
        temperature: that of the encoders.
    """

    steps: list[int]
    photo: Tensor
    sketch: Tensor
    proxies: Tensor
    temperature: float

    def embeddings(self, moment: int) -> tuple[Tensor, Tensor]:
        """Embeddings (N, E) of the photos and of the sketches at `moment`, an index."""
        frame = self.proxies[moment], self.temperature
        scores = self.photo[moment], self.sketch[moment]
        return tuple(expected_proxy(part, *frame) for part in scores)


def moments(steps: int, looks: int = 12) -> list[int]:
    """When to look at a training of `steps` iterations: often at first, when most happens."""
    return sorted({round(steps * (n / (looks - 1)) ** 2) for n in range(looks)})


def recorder(
    path: Path, pictures: dict[str, ImageSet], steps: int, device="cpu"
) -> Callable[[int, Encoders], None]:
    """A function to call with (iterations done, encoders); at each moment it adds a look to `path`.

    All that it remembers is in that file, so a training that was killed and resumed, at whatever
    iteration, leaves the same file as one that ran through.
    """
    wanted = moments(steps)

    def watch(index: int, encoders: Encoders) -> None:
        if index in wanted:
            kept = load_state(path)["looks"] if index and path.is_file() else []
            kept = [look for look in kept if look["step"] < index]
            look = {"step": index, **_look(encoders, pictures, device)}
            save_state(path, {"temperature": encoders.temperature, "looks": [*kept, look]})

    return watch


def _look(encoders: Encoders, pictures: dict[str, ImageSet], device) -> dict[str, Tensor]:
    """Class scores of the pictures of each modality, and the proxies, in half precision."""
    scores = {
        m: retrieval.embed(encoders.class_logits, part.images, m, device=device).half()
        for m, part in pictures.items()
    }
    return {**scores, "proxies": encoders.proxies.detach().half()}


def load_course(path: str | Path) -> Course:
    """The course that a `recorder` left at `path`. Raises UserError, naming the file."""
    state = load_state(path)
    with rebuilding(path):
        looks = state["looks"]
        parts = {k: torch.stack([look[k] for look in looks]).float() for k in PARTS}
        return Course([look["step"] for look in looks], **parts, temperature=state["temperature"])
