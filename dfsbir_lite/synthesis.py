"""The estimators' loop: from shared noise to photos and sketches that the teachers recognise.

Data-free: this module sees teachers and noise, and cannot import anything that reads images.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from dfsbir_lite import losses
from dfsbir_lite.files import Resumable
from dfsbir_lite.models import Encoders, Estimator, Estimators, SceneEstimator
from dfsbir_lite.recipes import Recipe
from dfsbir_lite.runtime import Threads, UserError, autocast
from dfsbir_lite.teachers import Teachers
from dfsbir_lite.views import jitter

LOUDER = 3.0
MODALITIES = ("photo", "sketch")


@dataclass
class SynthesisStep:
    """The record of one optimisation step of both estimators; all tensors are detached."""

    index: int  # steps before this one
    terms: dict[str, Tensor]  # unweighted scalars; modal and adv only while they are in use
    photos: Tensor  # (N, 3, H, W) in [0, 1]
    sketches: Tensor
    labels: Tensor  # the wanted classes (N,), of the photos
    noise: Tensor  # (N, noise_dim)


class Synthesis(Resumable, Iterator[SynthesisStep]):
    """Teaches estimators what `teachers` recognise: one optimisation step per `next()`, endlessly.

    Args:
        teachers: the classifiers to invert; nothing else is known of the data.
        recipe: settings and loss weights; `recipe.weights` may be changed while this runs.
        encoders: frozen, for the adversarial term.
        width: of the estimators. steps: where the learning rate ends at zero; by default it stays.
        sketches: paints sketches from noise in place of an estimator, see `adopt.scribbles`.
    """

    KEPT = ("index", "estimators", "optimiser", "draw")

    def __init__(
        self,
        teachers: Teachers,
        recipe: Recipe,
        *,
        encoders: Encoders | None = None,
        width: int = 64,
        device: torch.device | str = "cpu",
        seed: int = 0,
        steps: int | None = None,
        sketches: nn.Module | None = None,
    ):
        if recipe.labels == "noise" and recipe.noise_dim < len(teachers.classes):
            raise UserError(f"noise_dim must be at least the {len(teachers.classes)} classes")
        if teachers.size % 8:
            raise UserError(f"teachers of {teachers.size} px: estimators paint multiples of 8 px")
        self.device = torch.device(device)
        self.teachers, self.recipe, self.encoders = teachers.to(self.device), recipe, encoders
        self.judges = self.teachers.folded()  # for what is asked without moments
        self.draw = torch.Generator(self.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # the same initial weights on every device
            self.estimators = new_estimators(recipe, teachers.size, width)
        if sketches:
            self.estimators["sketch"] = copy.deepcopy(sketches)
        self.estimators.to(self.device, memory_format=torch.channels_last)
        parameters = self.estimators.parameters()
        lr, betas = recipe.estimator_lr, (0.5, 0.999)
        self.optimiser = torch.optim.Adam(parameters, lr, betas, fused=True)
        self.index, self.steps, self.threads = 0, steps, Threads(self.device)
        self.schedule = LambdaLR(self.optimiser, lambda _: cosine(self.done))

    @property
    def done(self) -> float:
        """The share of `steps` that is over, from 0 to 1; 0 for a run without end."""
        return min(1.0, self.index / self.steps) if self.steps else 0.0

    @torch.enable_grad()
    def __next__(self) -> SynthesisStep:
        recipe = self.recipe
        if recipe.refresh_every and self.index and self.index % recipe.refresh_every == 0:
            self._refresh()
            for _ in range(recipe.catch_up):
                self._step()
        step = self._step()
        self.index += 1
        if self.optimiser.state:  # not before its first step, or PyTorch warns
            self.schedule.step()
        return step

    def sample(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return photos and sketches (N, 3, H, W) of `noise`, by the estimators as they are now.

        Batch statistics are those of `noise`'s own batch, as in training; the stored ones stay.
        """
        with torch.no_grad(), autocast(self.device):
            return copy.deepcopy(self.estimators)(noise)

    def noise(self, n: int | None = None) -> Tensor:
        """Return shared noise (n, noise_dim): standard normal, the wanted class `LOUDER`.

        So even a projection that has just been refreshed can tell which class is wanted.
        """
        shape = (n or self.recipe.batch, self.recipe.noise_dim)
        noise = torch.randn(shape, generator=self.draw, device=self.device)
        if self.recipe.labels == "noise":
            noise[torch.arange(len(noise)), self.wanted(noise)] += LOUDER
        return noise

    def wanted(self, noise: Tensor) -> Tensor:
        """Return the classes (n,) that `noise` asks for: the largest of its first C entries.

        Such labels align the modalities; with a class embedding of its own an estimator soon
        ignores the noise.
        """
        return noise[:, : len(self.teachers.classes)].argmax(1)

    def _refresh(self) -> None:
        """Draw new noise projections: the estimators still know how to paint, but not what."""
        for layer in (e.project for e in self.estimators.values() if hasattr(e, "project")):
            bound = layer.in_features**-0.5
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=self.draw)
                self.optimiser.state.pop(parameter, None)

    def _step(self) -> SynthesisStep:
        with self.threads:
            total, step = self._loss()
            # skip the step if all weights are zero or the terms constant
            if total.requires_grad:
                self.optimiser.zero_grad()
                total.backward()
                self.optimiser.step()
        return step

    def _loss(self) -> tuple[Tensor, SynthesisStep]:
        """Return what a new batch has to minimise, and the record of that batch."""
        weights = self.recipe.weights.snapshot()
        noise = self.noise()
        with autocast(self.device):
            photos, sketches = self.estimators(noise)
            terms, labels = self._terms(photos, sketches, noise, weights)
        total = losses.weighted(terms, weights)
        detached = {name: term.detach() for name, term in terms.items()}
        images = photos.detach(), sketches.detach()
        return total, SynthesisStep(self.index, detached, *images, labels, noise)

    def _terms(self, photos, sketches, noise, weights) -> tuple[dict[str, Tensor], Tensor]:
        """Return the loss terms of one batch, and the wanted classes (N,) of the photos."""
        spread = losses.diversity(photos) + losses.diversity(sketches)
        if self.recipe.views:
            views = jitter(photos, self.draw), jitter(sketches, self.draw)
            photos, sketches = (x.contiguous(memory_format=torch.channels_last) for x in views)
        p = self.teachers.photo(photos, moments=True)
        s = self.teachers.sketch(sketches, moments=True)
        if self.recipe.labels == "noise":
            photo_labels = sketch_labels = self.wanted(noise)
        else:
            photo_labels, sketch_labels = p.logits.argmax(1), s.logits.argmax(1)
        p_taught = self.teachers.photo.taught[photo_labels]
        s_taught = self.teachers.sketch.taught[sketch_labels]
        terms = {
            "one_hot": self._where(p_taught, losses.one_hot, p.logits, photo_labels)
            + self._where(s_taught, losses.one_hot, s.logits, sketch_labels),
            "entropy": losses.entropy(p.logits) + losses.entropy(s.logits),
            "activation": losses.activation(p.features) + losses.activation(s.features),
            "bn": losses.batch_statistics(p.moments) + losses.batch_statistics(s.moments),
            "align": self._where(p_taught & s_taught, losses.class_alignment, p.logits, s.logits),
            "diversity": spread,
        }
        if weights["modal"]:
            seen = self.judges.guidance(torch.cat([photos, sketches])).logits.chunk(2)
            terms["modal"] = losses.modality_guidance(*seen)
        if weights["adv"] and self.encoders is not None and self.index >= self.recipe.adv_after:
            photo = self._adversarial("photo", photos, p.logits, photo_labels)
            terms["adv"] = photo + self._adversarial("sketch", sketches, s.logits, sketch_labels)
        return terms, photo_labels

    def _where(self, taught: Tensor, loss: Callable, *rows: Tensor) -> Tensor:
        """Return `loss` of the `rows` whose class was `taught` (N,); the others have no judge."""
        return loss(*(r[taught] for r in rows)) if taught.any() else torch.zeros(())

    def _adversarial(self, modality: str, images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        read = self.encoders.class_logits(images, modality)
        return losses.adversarial(read, logits, labels if self.recipe.adv_masked else None)


def cosine(done: float) -> float:
    """Return the factor of a learning rate that falls as a half cosine; `done` is from 0 to 1."""
    return (1 + math.cos(math.pi * done)) / 2


def new_estimators(recipe: Recipe, size: int, width: int) -> Estimators:
    """Return estimators with random weights: one of scenes, or one a modality."""
    shape = {"size": size, "noise_dim": recipe.noise_dim, "width": width}
    if recipe.scene:
        return Estimators({"scene": SceneEstimator(**shape)})
    channels = {"photo": 3, "sketch": 1}
    return Estimators({name: Estimator(channels=n, **shape) for name, n in channels.items()})


synthesize = Synthesis  # the name to call: `for step in synthesize(...)`


class Replay(Resumable):
    """The newest `capacity` batches, kept in memory as bytes, to draw training batches from."""

    def __init__(self, capacity: int, batch: int, size: int, device: torch.device | str = "cpu"):
        n = capacity * batch
        self.photos = torch.empty((n, 3, size, size), dtype=torch.uint8, device=device)
        self.sketches = torch.empty((n, 1, size, size), dtype=torch.uint8, device=device)
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, len(self.photos))

    def add(self, photos: Tensor, sketches: Tensor) -> None:
        """Keep pairs (N, 3, H, W) in [0, 1] in place of the oldest ones."""
        where = torch.arange(self.added, self.added + len(photos)) % len(self.photos)
        where = where.to(self.photos.device)
        self.photos[where] = (photos * 255).round().byte()
        self.sketches[where] = (sketches[:, :1] * 255).round().byte()
        self.added += len(photos)

    def sample(self, n: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw `n` pairs: photos (n, 3, H, W) and grey sketches (n, 1, H, W) of one noise each."""
        pick = torch.randint(len(self), (n,), generator=draw, device=self.photos.device)
        kept = self.photos, self.sketches
        return tuple(images.index_select(0, pick).float().div_(255) for images in kept)

    def state(self) -> dict:
        """Return all that `restore` needs."""
        n = len(self)  # copies: torch.save would write all of the memory that a slice is part of
        kept = {"photos": self.photos[:n].clone(), "sketches": self.sketches[:n].clone()}
        return {"added": self.added, **kept}

    def restore(self, state: dict) -> None:
        """Go back to a `state()`."""
        self.added = state["added"]
        self.photos[: len(state["photos"])] = state["photos"].to(self.photos.device)
        self.sketches[: len(state["sketches"])] = state["sketches"].to(self.sketches.device)
