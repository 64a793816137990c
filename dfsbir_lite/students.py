"""The encoders' loop: photo and sketch encoders learn one metric space from synthesised images.

Data-free: this module sees teachers and what `synthesis` makes, and cannot import anything that
reads images.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dfsbir_lite import losses, ranks
from dfsbir_lite.files import (
    check_fit,
    load_state,
    load_weights,
    pack,
    rebuilding,
    restore_optimiser,
    save_state,
    save_weights,
    unpack,
)
from dfsbir_lite.models import Encoders, SmallResNet, geometry
from dfsbir_lite.recipes import Recipe
from dfsbir_lite.runtime import Profile, UserError, autocast, unbroken
from dfsbir_lite.synthesis import Replay, Synthesis, SynthesisStep
from dfsbir_lite.teachers import Teachers
from dfsbir_lite.views import contours, jitter, mix


def new_encoders(profile: Profile, classes: int, seed: int = 0) -> Encoders:
    """Encoders of the profile's size with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = geometry(vars(profile))
        return Encoders(embed_dim=profile.embed_dim, classes=classes, **shape)


def encoders_from_teachers(teachers: Teachers, profile: Profile, seed: int = 0) -> Encoders:
    """Encoders that start as the teachers: their class scores are the teachers' logits.

    Raises UserError for teachers of another architecture, or more classes than dimensions.
    """
    encoders = new_encoders(profile, len(teachers.classes), seed)
    axes = encoders.proxies.detach().T  # (E, C), orthonormal columns
    dim, classes = axes.shape
    if classes > dim:
        raise UserError(f"{classes} classes do not fit into {dim} dimensions: raise embed_dim")
    for modality in ("photo", "sketch"):
        network = getattr(teachers, modality).network
        if not isinstance(network, SmallResNet):
            raise UserError(
                f"the {modality} teacher is a {type(network).__name__}, not a SmallResNet"
            )
        if network.geometry != (needed := geometry(vars(profile))):
            has, needs = map(_told, (network.geometry, needed))
            raise UserError(f"the {modality} teacher has {has}; the encoders have {needs}")
        weights = {k: v.cpu() for k, v in network.state_dict().items()}
        weights["fc.weight"], weights["fc.bias"] = (
            axes @ weights["fc.weight"],
            axes @ weights["fc.bias"],
        )
        getattr(encoders, modality).load_state_dict(weights)
    return encoders


def _told(shape: dict) -> str:
    widths = ", ".join(map(str, shape["widths"]))
    return f"widths {widths} (blocks {shape['blocks']}, stride {shape['stride']})"


class Learner:
    """Optimises encoders on labelled photo and sketch batches, and averages their weights.

    The data-free loop and the student trained on real data share it, so that they differ in
    nothing but where the images and labels come from.

    Args:
        total_steps: where the learning rate ends at zero.
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
        together: bool = False,
    ):
        self.recipe, self.total_steps, self.device = recipe, total_steps, device
        self.encoders = encoders.to(device, memory_format=torch.channels_last).train()
        self.averaged = copy.deepcopy(self.encoders).eval().requires_grad_(False)
        lr = recipe.encoder_lr
        parameters = self.encoders.parameters()
        self.optimiser = torch.optim.AdamW(parameters, lr, weight_decay=0.01, fused=True)
        self.queues = {m: [] for m in ("photo", "sketch")}
        self.together = together
        self.joint_pass = ranks.wrap(self.encoders) if together else ranks.alone
        self.index = 0
        states = (chain(m.parameters(), m.buffers()) for m in (self.averaged, self.encoders))
        pairs = list(zip(*states, strict=True))
        self._weights = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    def step(
        self, photos, sketches, photo_targets, sketch_targets, photo_maps=(), sketch_maps=()
    ) -> dict[str, Tensor]:
        """One optimisation step.

        Args:
            photos, sketches: (N, 3, H, W) in [0, 1]; they need not be pairs.
            photo_targets, sketch_targets: logits (N, C), a teacher's, or those of a label.
            photo_maps, sketch_maps: a teacher's `Reading.maps`, if there is one.

        Returns: the unweighted loss terms, detached; `contrastive` and `hint` only if they have a
            weight, and `hint` only if the teachers' stages have the shapes of the encoders'.
        """
        given = photos, sketches, photo_targets, sketch_targets, photo_maps, sketch_maps
        loss, terms = self.joint_pass(self._loss, *given)
        self._descend(loss)
        return terms

    def _loss(
        self, photos, sketches, photo_targets, sketch_targets, photo_maps, sketch_maps
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What a batch is to minimise, and what `step` returns."""
        weights, read = self.recipe.weights.snapshot(), self.encoders.read
        with autocast(self.device):
            (p, p_maps), (s, s_maps) = read(photos, "photo"), read(sketches, "sketch")
        p_labels, s_labels = F.softmax(photo_targets, 1), F.softmax(sketch_targets, 1)
        terms = {
            "match": losses.matching(p, photo_targets) + losses.matching(s, sketch_targets),
            "proxy": losses.proxy(p, p_labels) + losses.proxy(s, s_labels),
        }
        if weights["hint"] and _alike(p_maps, photo_maps) and _alike(s_maps, sketch_maps):
            terms["hint"] = losses.hints(p_maps, photo_maps) + losses.hints(s_maps, sketch_maps)
        if weights["contrastive"]:
            terms["contrastive"] = self._contrastive(p, s, p_labels, s_labels)
        detached = {name: term.detach() for name, term in terms.items()}
        return losses.weighted(terms, weights), detached

    def _contrastive(self, p_logits, s_logits, p_labels, s_labels) -> Tensor:
        p, s = map(self.encoders.expected_proxy, (p_logits, s_logits))
        photo_keys = self._keys("photo", p, p_labels)
        sketch_keys = self._keys("sketch", s, s_labels)
        return losses.contrastive(s, photo_keys[0], s_labels, photo_keys[1]) + losses.contrastive(
            p, sketch_keys[0], p_labels, sketch_keys[1]
        )

    def _keys(self, modality: str, embeddings: Tensor, posteriors: Tensor) -> tuple[Tensor, Tensor]:
        """This batch and the queue of earlier ones, which it then joins."""
        queue, size = self.queues[modality], self.recipe.queue
        keys = torch.cat([embeddings, *queue[:1]])
        labels = torch.cat([posteriors, *queue[1:]])
        self.queues[modality] = [keys[:size].detach(), labels[:size].detach()] if size else []
        return keys, labels

    def _descend(self, loss: Tensor) -> None:
        done = min(1.0, self.index / self.total_steps)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.encoder_lr * (1 + math.cos(math.pi * done)) / 2
        if loss.requires_grad:  # not with every weight at zero
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        if self.together:
            ranks.average_statistics(self.encoders)
        self.index += 1
        self._average()

    @torch.no_grad()
    def _average(self) -> None:
        # a young average would remember the random start: let it catch up fast at first
        keep = min(self.recipe.ema, self.index / (self.index + 10))
        get_ema_multi_avg_fn(keep)(*map(list, zip(*self._weights, strict=True)), None)
        for mine, theirs in self._counts:
            mine.copy_(theirs)

    def state(self) -> dict:
        """All that `restore` needs to go on exactly from here."""
        return {
            "index": self.index,
            "encoders": self.encoders.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "queues": self.queues,
        }

    def restore(self, state: dict) -> None:
        """Goes back to a `state()`."""
        self.index = state["index"]
        self.encoders.load_state_dict(state["encoders"])
        self.averaged.load_state_dict(state["averaged"])
        restore_optimiser(self.optimiser, state["optimiser"])
        self.queues = {m: [t.to(self.device) for t in q] for m, q in state["queues"].items()}


def _alike(maps, others) -> bool:
    return [m.shape for m in maps] == [m.shape for m in others]


def teach(
    learner: Learner, teachers: Teachers, photos: Tensor, sketches: Tensor, draw: torch.Generator
) -> dict[str, Tensor]:
    """One step of `learner` on what the teachers say of these images, or of views of them.

    Args:
        photos, sketches: (N, 3, H, W) in [0, 1]; sketches may be grey, (N, 1, H, W).

    Returns: the loss terms.
    """
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
    """One iteration: some estimator steps, then some encoder steps.

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
    """The iterator behind `distill`; ends after `steps` iterations; can be saved and resumed.

    Of several processes that `torchrun` started each has its own noise, replay and views, and its
    part of the recipe's batch; their gradients are averaged, so that all hold the same networks.

    An iteration that has begun is finished before an interrupt (of a notebook's kernel, or Ctrl-C)
    gets through: the loop always stands between two iterations, and goes on, or is saved, as if
    nothing had happened. What the finished iteration would have returned is lost.
    """

    def __init__(
        self,
        teachers: Teachers,
        recipe: Recipe,
        encoders: Encoders,
        *,
        steps: int,
        width: int = 64,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ):
        self.device = torch.device(device)
        recipe = replace(recipe, batch=ranks.part_of(recipe.batch))
        self.teachers, self.recipe, self.steps, self.index = teachers, recipe, steps, 0
        total = steps * recipe.encoder_steps
        self.learner = Learner(encoders, recipe, total, self.device, together=ranks.count() > 1)
        self.synthesis = Synthesis(
            teachers, recipe, encoders=self.encoders, width=width, device=self.device, seed=seed
        )
        self.replay = Replay(recipe.replay, recipe.batch, teachers.size, self.device)
        self.draw = torch.Generator(self.device).manual_seed(ranks.own_seed(seed + 1))

    @property
    def encoders(self) -> Encoders:
        """The averaged encoders, frozen: what is being learnt."""
        return self.learner.averaged

    @property
    def done(self) -> float:
        """The share of the run that is over, 0 to 1."""
        return self.index / self.steps

    def __len__(self) -> int:
        return self.steps

    @unbroken()
    @torch.enable_grad()
    def __next__(self) -> DistillStep:
        if self.index >= self.steps:
            raise StopIteration
        for _ in range(self.recipe.estimator_steps):
            made = next(self.synthesis)
        self.replay.add(made.photos, made.sketches)
        for _ in range(self.recipe.encoder_steps):
            terms = self.learn()
        step = DistillStep(self.index, {**made.terms, **terms}, made, self.encoders)
        self.index += 1
        return step

    def learn(self) -> dict[str, Tensor]:
        """One optimisation step of the encoders, on what is remembered; its loss terms."""
        return teach(self.learner, self.synthesis.judges, *self.pictures(), self.draw)

    def pictures(self) -> tuple[Tensor, Tensor]:
        """Photos (N, 3, H, W) and sketches (N, 1, H, W) from memory; some of these give way to
        contours."""
        photos, sketches = self.replay.sample_grey(self.recipe.batch, self.draw)
        drawn = round(self.recipe.contours * len(sketches))
        sketches[:drawn] = contours(drawn, sketches.shape[-1], self.draw)
        return photos, sketches

    def end_after(self, steps: int) -> None:
        """Ends after these `steps` iterations instead, and the learning rate with them."""
        self.steps, self.learner.total_steps = steps, steps * self.recipe.encoder_steps

    def save(self, path: str | Path) -> None:
        """Writes everything that `resume` needs to go on as if nothing had happened.

        Of several processes the first writes what all of them hold; all have to call this.
        """
        mine = {} if ranks.is_first() else self._own()
        others = [unpack(packed) for packed in ranks.gather(pack(mine))[1:]]
        if not ranks.is_first():
            return
        state = {
            "index": self.index,
            "steps": self.steps,
            "classes": list(self.teachers.classes),
            "learner": self.learner.state(),
            "synthesis": self.synthesis.state(),
            "replay": self.replay.state(),
            "draw": self.draw.get_state(),
        }
        save_state(path, {**state, "others": others} if others else state)

    def _own(self) -> dict:
        """What no other process has, as parts of `save`'s state."""
        return {
            "learner": {"queues": self.learner.queues},
            "synthesis": {"draw": self.synthesis.draw.get_state()},
            "replay": self.replay.state(),
            "draw": self.draw.get_state(),
        }

    def resume(self, path: str | Path, shortened: bool = False) -> None:
        """Continues from a file that `save` wrote.

        Args:
            shortened: whether it may be that of a run like this one that was `shorten`ed.

        Raises UserError, naming the file, if it belongs to other classes, another length, other
        sizes or another number of processes.
        """
        state = load_state(path)
        with rebuilding(path):
            if shortened and state["steps"] < self.steps:
                self.end_after(state["steps"])
            check_run(path, state, self.teachers.classes, self.steps)
            others = state.get("others", [])
            if (wrote := 1 + len(others)) != ranks.count():
                raise UserError(f"{path}: a run of {wrote} processes, this is {ranks.count()}")
            if not ranks.is_first():
                own = others[ranks.index() - 1]
                nested = {k: {**state[k], **own[k]} for k in ("learner", "synthesis")}
                state = {**state, **own, **nested}
            self.index = state["index"]
            self.learner.restore(state["learner"])
            self.synthesis.restore(state["synthesis"])
            self.replay.restore(state["replay"])
            self.draw.set_state(state["draw"])


def check_run(path: str | Path, state: dict, classes: tuple[str, ...], steps: int) -> None:
    """Raises UserError if the saved `state` is of a run for other classes or of another length."""
    if tuple(state["classes"]) != tuple(classes):
        raise UserError(f"{path}: a run for other classes ({', '.join(state['classes'])})")
    if state["steps"] != steps:
        raise UserError(f"{path}: a run of {state['steps']} steps, this one has {steps}")


def distill(teachers: Teachers, recipe: Recipe, encoders: Encoders, **options) -> Distillation:
    """Teaches `encoders` without data: one iteration per `next()`.

    Args:
        teachers: all that is known of the data.
        recipe: settings and loss weights; `recipe.weights` may be changed while this runs.
        encoders: where to start, see `new_encoders` and `encoders_from_teachers`.
        options: `steps` (iterations; the learning rate ends at zero there), `width` (of the
            estimators), `device`, `seed`.
    """
    return Distillation(teachers, recipe, encoders, **options)


def save_encoders(path: str | Path, encoders: Encoders, card: dict) -> dict:
    """Saves encoders and their model card beside them; returns the card."""
    classes, dim = encoders.proxies.shape
    facts = {"architecture": "Encoders", **encoders.photo.geometry, "embed_dim": dim}
    facts |= {"outputs": classes, "temperature": encoders.temperature}
    return save_weights(path, encoders.state_dict(), {**facts, **card})


def load_encoders(path: str | Path) -> Encoders:
    """Loads what `save_encoders` saved, frozen. Raises UserError, naming the file."""
    weights, card = load_weights(path)
    with rebuilding(path):
        sizes = {"embed_dim": card["embed_dim"], "classes": card["outputs"], **geometry(card)}
        check_fit(lambda: Encoders(**sizes), weights)
        encoders = Encoders(**sizes, temperature=card["temperature"])
        encoders.load_state_dict(weights)
    encoders = encoders.to(memory_format=torch.channels_last)
    return encoders.eval().requires_grad_(False)
