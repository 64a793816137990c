"""Snapshots of a training: what the encoders said, at a dozen moments, of pictures not learnt."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dfsbir_lite import retrieval, zoo
from dfsbir_lite.data import ImageSet, toybox_set
from dfsbir_lite.files import load_weights, save_weights
from dfsbir_lite.models import Encoders, expected_proxy
from dfsbir_lite.runtime import Profile


@dataclass
class Snapshots:
    """Class scores of N photos and N sketches at T moments of a training."""

    steps: Tensor  # (T,), iterations done, the first 0
    photo: Tensor  # (T, N, C)
    sketch: Tensor  # (T, N, C)
    proxies: Tensor  # (T, C, E)
    temperature: float

    def embeddings(self, moment: int) -> tuple[Tensor, ...]:
        """Return embeddings (N, E) of the photos and of the sketches at `moment`, an index."""
        frame = self.proxies[moment], self.temperature
        return tuple(expected_proxy(scores[moment], *frame) for scores in (self.photo, self.sketch))


def load_snapshots(path: str | Path) -> Snapshots:
    """Load what a `recorder` left at `path`. Raises UserError, naming the file."""
    tensors, card = load_weights(path)
    return Snapshots(**tensors, temperature=card["temperature"])


def student_snapshots(profile_name: str = "laptop") -> Snapshots:
    """Load the snapshots of the shipped student, taken on `snapshot_pictures`."""
    return load_snapshots(zoo.find("snapshots", profile_name))


def snapshot_pictures(sizes: Profile) -> dict[str, ImageSet]:
    """Return the photos and sketches of those snapshots, from ToyBox's validation split."""
    return {m: toybox_set(m, "val", sizes, per_class=25) for m in ("photo", "sketch")}


def moments(steps: int, looks: int = 12) -> list[int]:
    """Return when to look at a training of `steps`: often at first, when most happens."""
    return sorted({round(steps * (n / (looks - 1)) ** 2) for n in range(looks)})


def recorder(
    path: Path, pictures: dict[str, ImageSet], steps: int, device="cpu"
) -> Callable[[int, Encoders], None]:
    """Return a function to call with (iterations done, encoders); at each moment it adds to `path`.

    All that it remembers is in that file, so a run that is killed and resumed leaves the same one.
    """

    def watch(index: int, encoders: Encoders) -> None:
        if index not in moments(steps):
            return
        look = {"steps": torch.tensor([index]), "proxies": encoders.proxies.detach().cpu()[None]}
        for m, part in pictures.items():
            look[m] = retrieval.embed(encoders.class_logits, part.images, m, device=device)[None]
        if index and path.is_file():
            known, _ = load_weights(path)
            before = known["steps"] < index
            look = {name: torch.cat([known[name][before], value]) for name, value in look.items()}
        save_weights(path, look, {"temperature": encoders.temperature})

    return watch
