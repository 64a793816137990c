"""The encoders' loop: photo and sketch encoders learn one metric space from synthesised images.

Data-free: this module sees teachers and what `synthesis` paints, and cannot import anything that
reads images.
"""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dfsbir_lite import losses
from dfsbir_lite.files import load_network, load_state, save_state, save_weights
from dfsbir_lite.models import Encoders, geometry
from dfsbir_lite.recipes import Recipe
from dfsbir_lite.runtime import (
    Profile,
    Threads,
    UserError,
    autocast,
    is_first,
    parallel,
    process_count,
    share,
)
from dfsbir_lite.synthesis import Replay, Synthesis, SynthesisStep, cosine, own_seed
from dfsbir_lite.teachers import Teachers
from dfsbir_lite.views import contours, jitter, mix


def new_encoders(profile: Profile, classes: int, seed: int = 0) -> Encoders:
    """Return encoders of the profile's size with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = geometry(vars(profile))
        return Encoders(embed_dim=profile.embed_dim, classes=classes, **shape)


def encoders_from_teachers(teachers: Teachers, profile: Profile, seed: int = 0) -> Encoders:
    """Return encoders that start as the teachers: their class scores are the teachers' logits.

    Raises UserError for teachers of another architecture, or more classes than dimensions.
    """
    encoders = new_encoders(profile, len(teachers.classes), seed)
    axes = encoders.proxies.detach().T  # (E, C), orthonormal columns
    dim, classes = axes.shape
    if classes > dim:
        raise UserError(f"{classes} classes do not fit into {dim} dimensions: raise embed_dim")
    for modality in ("photo", "sketch"):
        network = getattr(teachers, modality).network
        shape = getattr(network, "geometry", type(network).__name__)
        if shape != (needed := geometry(vars(profile))):
            raise UserError(f"the {modality} teacher is {shape}; the encoders are {needed}")
        weights = {k: v.cpu() for k, v in network.state_dict().items()}
        for name in ("fc.weight", "fc.bias"):
            weights[name] = axes @ weights[name]
        getattr(encoders, modality).load_state_dict(weights)
    return encoders


class Learner:
    """Optimises a copy of encoders on labelled photo and sketch batches, and averages its weights.

    The data-free loop and the student trained on real data share it, so that they differ in
    nothing but where the images and labels come from.

    Args:
        total_steps: where the learning rate ends at zero.
        done: the share of the run that is over, from 0 to 1, in place of counting steps.
        together: whether all processes that `torchrun` started learn these encoders, each from
            images of its own.

    Attributes:
        encoders: the ones being trained.
        averaged: their exponential moving average, frozen, in eval mode: the result.
    """

    def __init__(
        self,
        encoders: Encoders,
        recipe: Recipe,
        total_steps: int,
        device: torch.device,
        done: Callable[[], float] | None = None,
        together: bool = False,
    ):
        self.recipe, self.device, self.index = recipe, device, 0
        self.encoders = copy.deepcopy(encoders).to(device, memory_format=torch.channels_last)
        self.encoders.train().requires_grad_(True)
        self.read = parallel(self.encoders) if together else self.encoders
        average = _average_of(recipe.ema)
        self._average = AveragedModel(self.encoders, multi_avg_fn=average, use_buffers=True)
        self.averaged: Encoders = self._average.module.eval().requires_grad_(False)
        parameters, lr = self.encoders.parameters(), recipe.encoder_lr
        self.optimiser = torch.optim.AdamW(parameters, lr, weight_decay=0.01, fused=True)
        done = done or (lambda: min(1.0, self.index / total_steps))
        self.schedule = LambdaLR(self.optimiser, lambda _: cosine(done()))
        self.queues: dict[str, list[Tensor]] = {"photo": [], "sketch": []}
        self.threads = Threads(device)

    def step(
        self, photos, sketches, photo_targets, sketch_targets, photo_maps=(), sketch_maps=()
    ) -> dict[str, Tensor]:
        """Take one optimisation step.

        Args:
            photos, sketches: (N, 3, H, W) in [0, 1]; they need not be pairs.
            photo_targets, sketch_targets: logits (N, C), a teacher's, or those of a label.
            photo_maps, sketch_maps: a teacher's `Reading.maps`, if there is one.

        Returns: the unweighted loss terms, detached; `contrastive` and `hint` only if they have a
            weight, and `hint` only if the teachers' stages have the shapes of the encoders'.
        """
        with autocast(self.device):
            (p, p_maps), (s, s_maps) = self.read(photos, sketches)
        weights = self.recipe.weights.snapshot()
        terms = self._terms(p, s, photo_targets, sketch_targets, weights)
        if weights["hint"] and _alike(p_maps, photo_maps) and _alike(s_maps, sketch_maps):
            terms["hint"] = losses.hints(p_maps, photo_maps) + losses.hints(s_maps, sketch_maps)
        loss = losses.weighted(terms, weights)
        if self.read is not self.encoders:  # several processes expect a gradient everywhere
            loss = loss + 0 * (p.mean() + s.mean())
        self._descend(loss)
        return {name: term.detach() for name, term in terms.items()}

    def _terms(self, p, s, photo_targets, sketch_targets, weights) -> dict[str, Tensor]:
        """Return the loss terms of class scores `p` and `s` (N, C)."""
        p_labels, s_labels = F.softmax(photo_targets, 1), F.softmax(sketch_targets, 1)
        terms = {
            "match": losses.matching(p, photo_targets) + losses.matching(s, sketch_targets),
            "proxy": losses.proxy(p, p_labels) + losses.proxy(s, s_labels),
        }
        if weights["contrastive"]:
            terms["contrastive"] = self._contrastive(p, s, p_labels, s_labels)
        return terms

    def _contrastive(self, p_logits, s_logits, p_labels, s_labels) -> Tensor:
        p, s = map(self.encoders.expected_proxy, (p_logits, s_logits))
        photo_keys = self._keys("photo", p, p_labels)
        sketch_keys = self._keys("sketch", s, s_labels)
        return losses.contrastive(s, photo_keys[0], s_labels, photo_keys[1]) + losses.contrastive(
            p, sketch_keys[0], p_labels, sketch_keys[1]
        )

    def _keys(self, modality: str, embeddings: Tensor, posteriors: Tensor) -> tuple[Tensor, Tensor]:
        """Return this batch and the queue of earlier ones, which it then joins."""
        queue, size = self.queues[modality], self.recipe.queue
        keys = torch.cat([embeddings, *queue[:1]])
        labels = torch.cat([posteriors, *queue[1:]])
        self.queues[modality] = [keys[:size].detach(), labels[:size].detach()] if size else []
        return keys, labels

    def _descend(self, loss: Tensor) -> None:
        if loss.requires_grad:  # not with every weight at zero
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        self.index += 1
        self.schedule.step()
        self._average.update_parameters(self.encoders)

    def state(self) -> dict:
        """Return all that `restore` needs to go on exactly from here."""
        return {
            "index": self.index,
            "encoders": self.encoders.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "queues": self.queues,
        }

    def restore(self, state: dict) -> None:
        """Go back to a `state()`."""
        self.index = state["index"]
        self.encoders.load_state_dict(state["encoders"])
        self._average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.queues = {m: [t.to(self.device) for t in q] for m, q in state["queues"].items()}


def _average_of(ema: float) -> Callable:
    """Return how to average weights, with a decay that grows to `ema`.

    A young average would remember the random start: it follows fast at first.
    """

    def average(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        updates = int(count) + 1
        get_ema_multi_avg_fn(min(ema, updates / (updates + 10)))(averaged, current, count)

    return average


def _alike(maps, others) -> bool:
    return [m.shape for m in maps] == [m.shape for m in others]


def teach(
    learner: Learner, teachers: Teachers, photos: Tensor, sketches: Tensor, draw: torch.Generator
) -> dict[str, Tensor]:
    """Let `learner` take one step on what the teachers say of these images, or of views of them.

    Args:
        photos, sketches: (N, 3, H, W) in [0, 1]; sketches may be grey, (N, 1, H, W).

    Returns: the loss terms.
    """
    with learner.threads:
        if learner.recipe.relabel:
            photos, sketches = (mix(jitter(images, draw), draw) for images in (photos, sketches))
        # not before: one channel is faster to turn
        photos, sketches = (
            images.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
            for images in (photos, sketches)
        )
        with torch.no_grad(), autocast(learner.device):
            p, s = teachers.photo(photos), teachers.sketch(sketches)
        return learner.step(photos, sketches, p.logits, s.logits, p.maps, s.maps)


@dataclass
class DistillStep:
    """The record of one iteration: some estimator steps, then some encoder steps.

    Attributes:
        index: iterations done before this one.
        terms: every loss term of the last estimator and the last encoder step, by name.
        made: the last estimator step, with its samples.
        encoders: the averaged encoders, frozen; they go on changing with the next iteration.
    """

    index: int
    terms: dict[str, Tensor]
    made: SynthesisStep
    encoders: Encoders


class Distillation(Iterator[DistillStep]):
    """The iterator behind `distill`; ends when its time is over; can be saved and resumed.

    Of several processes that `torchrun` started each has its own noise, replay and views, and its
    part of the recipe's batch; their gradients are averaged, so that all hold the same networks.

    Attributes:
        encoders: the averaged encoders, frozen: what is being learnt.
        done: the share of the run that is over, from 0 to 1.
    """

    def __init__(
        self,
        teachers: Teachers,
        recipe: Recipe,
        encoders: Encoders,
        *,
        steps: int | None = None,
        seconds: float | None = None,
        width: int = 64,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ):
        if recipe.batch % process_count():
            raise UserError(f"batch is {recipe.batch}: {process_count()} processes cannot share it")
        recipe = replace(recipe, batch=recipe.batch // process_count())
        self.teachers, self.recipe, self.device = teachers, recipe, torch.device(device)
        self.steps, self.seconds, self.index, self.spent = steps, seconds, 0, 0.0
        total, by_clock = (steps or 0) * recipe.encoder_steps, (lambda: self.done)
        self.learner = Learner(
            encoders, recipe, total, self.device, by_clock if seconds else None, together=True
        )
        self.encoders = self.learner.averaged
        self.synthesis = Synthesis(
            teachers, recipe, encoders=self.encoders, width=width, device=self.device, seed=seed
        )
        self.replay = Replay(recipe.replay, recipe.batch, teachers.size, self.device)
        self.draw = torch.Generator(self.device).manual_seed(own_seed(seed + 1))

    @property
    def done(self) -> float:
        over = self.spent / self.seconds if self.seconds else self.index / max(1, self.steps)
        return min(1.0, over)

    @property
    def length(self) -> str:
        return f"{self.seconds:g} seconds" if self.seconds else f"{self.steps} steps"

    def __len__(self) -> int:
        return self.steps

    @torch.enable_grad()
    def __next__(self) -> DistillStep:
        if self.done >= 1:
            raise StopIteration
        began = time.monotonic()
        for _ in range(self.recipe.estimator_steps):
            made = next(self.synthesis)
        self.replay.add(made.photos, made.sketches)
        for _ in range(self.recipe.encoder_steps):
            terms = self.learn()
        step = DistillStep(self.index, {**made.terms, **terms}, made, self.encoders)
        self.index += 1
        # all processes go by the clock of the first, or they would end apart
        self.spent = share(self.spent + time.monotonic() - began)
        return step

    def learn(self) -> dict[str, Tensor]:
        """Let the encoders take one step on what is remembered; return its loss terms."""
        return teach(self.learner, self.synthesis.judges, *self.pictures(), self.draw)

    def pictures(self) -> tuple[Tensor, Tensor]:
        """Draw photos (N, 3, H, W) and sketches (N, 1, H, W) from memory.

        Contours replace some of the sketches.
        """
        photos, sketches = self.replay.sample_grey(self.recipe.batch, self.draw)
        drawn = round(self.recipe.contours * len(sketches))
        sketches[:drawn] = contours(drawn, sketches.shape[-1], self.draw)
        return photos, sketches

    def save(self, path: str | Path) -> None:
        """Write everything that `resume` needs to go on as if nothing had happened.

        Of several processes the first writes its own state, from which all go on.
        """
        state = {
            "index": self.index,
            "spent": self.spent,
            "length": self.length,
            "classes": list(self.teachers.classes),
            "learner": self.learner.state(),
            "synthesis": self.synthesis.state(),
            "replay": self.replay.state(),
            "draw": self.draw.get_state(),
        }
        if is_first():
            save_state(path, state)

    def resume(self, path: str | Path) -> None:
        """Continue from a file that `save` wrote.

        Raises UserError, naming the file, if it belongs to other classes or another length.
        """
        state = load_state(path)
        check_run(path, state, self.teachers.classes, self.length)
        self.index, self.spent = state["index"], state["spent"]
        self.learner.restore(state["learner"])
        self.synthesis.restore(state["synthesis"])
        self.replay.restore(state["replay"])
        self.draw.set_state(state["draw"])
        if not is_first():  # the state is that of the first: draw other noise and views
            for draw in (self.draw, self.synthesis.draw):
                draw.manual_seed(own_seed(draw.initial_seed() + self.index))


def check_run(path: str | Path, state: dict, classes: tuple[str, ...], length: str) -> None:
    """Raise UserError if the saved `state` is of a run for other classes or of another length."""
    if tuple(state["classes"]) != tuple(classes):
        raise UserError(f"{path}: a run for other classes ({', '.join(state['classes'])})")
    if state["length"] != length:
        raise UserError(f"{path}: a run of {state['length']}, this one has {length}")


def distill(teachers: Teachers, recipe: Recipe, encoders: Encoders, **options) -> Distillation:
    """Teach a copy of `encoders` without data: one iteration per `next()`.

    Args:
        teachers: all that is known of the data.
        recipe: settings and loss weights; `recipe.weights` may be changed while this runs.
        encoders: where to start, see `new_encoders` and `encoders_from_teachers`.
        options: `steps` (iterations) or `seconds` (time in the loop), at whose end the learning
            rate reaches zero; `width` (of the estimators), `device`, `seed`.
    """
    return Distillation(teachers, recipe, encoders, **options)


def save_encoders(path: str | Path, encoders: Encoders, card: dict) -> dict:
    """Save encoders, with their model card beside them; return the card."""
    classes, dim = encoders.proxies.shape
    facts = {"architecture": "Encoders", **encoders.photo.geometry, "embed_dim": dim}
    facts |= {"outputs": classes, "temperature": encoders.temperature}
    return save_weights(path, encoders.state_dict(), {**facts, **card})


def load_encoders(path: str | Path) -> Encoders:
    """Load what `save_encoders` saved, frozen. Raises UserError, naming the file."""

    def build(card: dict) -> Encoders:
        sizes = {"embed_dim": card["embed_dim"], "classes": card["outputs"], **geometry(card)}
        return Encoders(**sizes, temperature=card["temperature"])

    encoders, _ = load_network(path, build)
    return encoders.to(memory_format=torch.channels_last).eval().requires_grad_(False)
