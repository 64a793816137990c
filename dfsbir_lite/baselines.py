"""What a student is compared with: the teachers as they are, and a student that saw real data."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite.augment import jitter
from dfsbir_lite.data import ImageSet
from dfsbir_lite.models import Encoders
from dfsbir_lite.recipes import Recipe
from dfsbir_lite.retrieval import Scores, embed, score
from dfsbir_lite.students import Learner
from dfsbir_lite.teachers import Teachers

# a read-out maps (images in [0, 1], modality) to rows that are compared by cosine
ReadOut = Callable[[Tensor, str], Tensor]


def teacher_readouts(teachers: Teachers) -> dict[str, ReadOut]:
    """Retrieval with no student at all: the teachers' features, logits and class posteriors.

    Features are the paper's baseline "classifier only" (our reading). Posteriors and logits are
    not in the paper; where both teachers are good they find seen classes almost perfectly, so a
    student has to be judged beside them.
    """

    def reading(images, modality):
        return getattr(teachers, modality)(images)

    return {
        "teacher features": lambda images, modality: reading(images, modality).features,
        "teacher logits": lambda images, modality: reading(images, modality).logits,
        "teacher posteriors": lambda images, modality: F.softmax(
            reading(images, modality).logits, 1
        ),
    }


def evaluate(readout: ReadOut, photos: ImageSet, sketches: ImageSet, device="cpu") -> Scores:
    """Scores sketches as queries against photos as the gallery."""
    gallery = embed(readout, photos.images, "photo", device=device)
    queries = embed(readout, sketches.images, "sketch", device=device)
    return score(queries, sketches.labels, gallery, photos.labels)


class RealDataStudent(Iterator[Encoders]):
    """The upper bound: the same encoders, losses and steps, learning from real labelled images.

    An iterator over optimisation steps; each gives the averaged encoders.
    """

    def __init__(
        self,
        photos: ImageSet,
        sketches: ImageSet,
        recipe: Recipe,
        encoders: Encoders,
        *,
        steps: int,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ):
        self.sets, self.recipe, self.steps = {"photo": photos, "sketch": sketches}, recipe, steps
        self.device = torch.device(device)
        self.learner = Learner(encoders, recipe, steps, self.device)
        self.draw = torch.Generator().manual_seed(seed)
        self.views = torch.Generator(self.device).manual_seed(seed + 1)

    def __len__(self) -> int:
        return self.steps

    def __next__(self) -> Encoders:
        if self.learner.index >= self.steps:
            raise StopIteration
        photos, photo_labels = self._batch("photo")
        sketches, sketch_labels = self._batch("sketch")
        self.learner.step(photos, sketches, photo_labels, sketch_labels)
        return self.learner.averaged

    def _batch(self, modality: str) -> tuple[Tensor, Tensor]:
        """Random views (N, 3, H, W) and one-hot labels (N, C)."""
        data = self.sets[modality]
        pick = torch.randint(len(data), (self.recipe.batch,), generator=self.draw)
        images = data.images[pick].to(self.device).float() / 255
        labels = F.one_hot(data.labels[pick], len(data.classes)).float()
        return jitter(images, self.views), labels.to(self.device)
