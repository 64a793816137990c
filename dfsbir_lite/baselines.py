"""What a student is compared with: the teachers as they are, and a student that saw real data."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite.augment import jitter
from dfsbir_lite.checkpoint import load_state, rebuilding, save_state
from dfsbir_lite.data import ImageSet
from dfsbir_lite.losses import Weights
from dfsbir_lite.models import Encoders
from dfsbir_lite.recipes import Recipe
from dfsbir_lite.retrieval import Scores, embed, score
from dfsbir_lite.runtime import UserError, unbroken
from dfsbir_lite.sources import Source
from dfsbir_lite.students import Distillation, Learner, check_run, distill, teach
from dfsbir_lite.teachers import Teachers

# a read-out maps (images in [0, 1], modality) to rows that are compared by cosine
ReadOut = Callable[[Tensor, str], Tensor]

SURE = 20.0  # the logit of a label: its softmax is one-hot
SUPERVISED = Weights(proxy=1, contrastive=0.25)  # what labels teach best


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


def averaged_weights(teachers: Teachers) -> ReadOut:
    """The paper's baseline "averaging weights" (our reading): one network, for both modalities.

    Its weights are the means of the two teachers' weights; its features are compared. Raises
    UserError for teachers of different architectures.
    """
    mean = copy.deepcopy(teachers.photo)
    mine, other = mean.network.state_dict(), teachers.sketch.network.state_dict()
    if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in other.items()}:
        raise UserError("weights of teachers of different architectures cannot be averaged")
    for name, value in mine.items():
        if value.is_floating_point():
            value.add_(other[name]).div_(2)
    return lambda images, modality: mean(images).features


def unimodal(teachers: Teachers, recipe: Recipe, encoders: Encoders, **options) -> Distillation:
    """The paper's baseline "uni-modal distillation" (our reading): nothing ties the modalities.

    Both encoders learn from synthesised images as ours do, without alignment, guidance and
    adversarial estimation. Their *features* are what to compare: class scores would tie them
    after all, by the names of the classes. `options` are those of `distill`.
    """
    apart = replace(recipe.weights, align=0.0, modal=0.0, adv=0.0)
    return distill(teachers, replace(recipe, weights=apart), encoders, **options)


class FedStudent(Iterator[Encoders]):
    """The same encoders, losses, views and steps, taught on images that no estimator made.

    `sources` has those of three of the paper's baselines and of the control for what synthesis
    adds. An iterator over optimisation steps; each gives the averaged encoders.
    """

    def __init__(
        self,
        source: Source,
        teachers: Teachers,
        recipe: Recipe,
        encoders: Encoders,
        *,
        steps: int,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ):
        self.source, self.teachers, self.steps = source, teachers.folded(), steps
        self.learner = Learner(encoders, recipe, steps, torch.device(device))
        self.draw = torch.Generator(device).manual_seed(seed)

    def __len__(self) -> int:
        return self.steps

    @unbroken()
    @torch.enable_grad()
    def __next__(self) -> Encoders:
        if self.learner.index >= self.steps:
            raise StopIteration
        images = self.source(self.learner.recipe.batch, self.teachers.size, self.draw)
        teach(self.learner, self.teachers, *images, self.draw)
        return self.learner.averaged


def evaluate(readout: ReadOut, photos: ImageSet, sketches: ImageSet, device="cpu") -> Scores:
    """Scores sketches as queries against photos as the gallery."""
    gallery = embed(readout, photos.images, "photo", device=device)
    queries = embed(readout, sketches.images, "sketch", device=device)
    return score(queries, sketches.labels, gallery, photos.labels)


class RealDataStudent(Iterator[Encoders]):
    """The upper bound: the same encoders, losses and steps, learning from real labelled images.

    An iterator over optimisation steps; each gives the averaged encoders. Can be saved and resumed
    between two steps, as a `Distillation` can.
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
        supervised = replace(recipe, weights=replace(SUPERVISED))
        self.learner = Learner(encoders, supervised, steps, self.device)
        self.draw = torch.Generator().manual_seed(seed)
        self.views = torch.Generator(self.device).manual_seed(seed + 1)

    @property
    def index(self) -> int:
        """How many steps have been taken."""
        return self.learner.index

    @property
    def encoders(self) -> Encoders:
        """The averaged encoders, frozen: what is being learnt."""
        return self.learner.averaged

    def __len__(self) -> int:
        return self.steps

    @unbroken()
    @torch.enable_grad()
    def __next__(self) -> Encoders:
        if self.index >= self.steps:
            raise StopIteration
        photos, photo_labels = self._batch("photo")
        sketches, sketch_labels = self._batch("sketch")
        self.learner.step(photos, sketches, photo_labels, sketch_labels)
        return self.encoders

    def save(self, path: str | Path) -> None:
        """Writes everything that `resume` needs to go on as if nothing had happened."""
        state = {
            "steps": self.steps,
            "classes": list(self.sets["photo"].classes),
            "learner": self.learner.state(),
            "draw": self.draw.get_state(),
            "views": self.views.get_state(),
        }
        save_state(path, state)

    def resume(self, path: str | Path) -> None:
        """Continues from a file that `save` wrote.

        Raises UserError, naming the file, if it belongs to other classes, another length or other
        sizes.
        """
        state = load_state(path)
        with rebuilding(path):
            check_run(path, state, self.sets["photo"].classes, self.steps)
            self.learner.restore(state["learner"])
            self.draw.set_state(state["draw"])
            self.views.set_state(state["views"])

    def _batch(self, modality: str) -> tuple[Tensor, Tensor]:
        """Random views (N, 3, H, W) and logits of their labels (N, C)."""
        data = self.sets[modality]
        pick = torch.randint(len(data), (self.recipe.batch,), generator=self.draw)
        images = data.images[pick].to(self.device).float() / 255
        labels = SURE * F.one_hot(data.labels[pick], len(data.classes)).float()
        return jitter(images, self.views), labels.to(self.device)
