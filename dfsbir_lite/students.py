"""The encoders' loop: photo and sketch encoders learn one metric space from synthesised images.

Data-free: this module sees teachers and what `synthesis` paints, and cannot import anything that
reads images.
"""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dfsbir_lite import losses
from dfsbir_lite.files import Resumable
from dfsbir_lite.models import Encoded, Encoders, geometry
from dfsbir_lite.recipes import Recipe
from dfsbir_lite.runtime import Profile, Threads, autocast
from dfsbir_lite.synthesis import MODALITIES, Replay, Synthesis, SynthesisStep, cosine
from dfsbir_lite.teachers import Teachers
from dfsbir_lite.views import contours, jitter, mix


def new_encoders(
    profile: Profile, classes: int, seed: int = 0, temperature: float | None = 2.5
) -> Encoders:
    """Return encoders of the profile's size with random weights; `temperature`: see `Encoders`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = {"embed_dim": profile.embed_dim, "temperature": temperature}
        return Encoders(classes=classes, **shape, **geometry(vars(profile)))


class Hinted(nn.Module):
    """Encoders, and 1 × 1 convolutions that widen their maps to the teachers' (FitNets).

    Stages are paired from the last one. Maps that are as wide as the teacher's stay as they are.
    """

    def __init__(self, encoders: Encoders, teachers: Teachers | None):
        super().__init__()
        self.encoders, self.adapters = encoders, nn.ModuleDict()
        for modality in MODALITIES if teachers else ():
            black = torch.zeros(1, 3, teachers.size, teachers.size, device=encoders.proxies.device)
            with torch.no_grad():
                mine = copy.deepcopy(encoders).eval()(black, modality).maps
                theirs = getattr(teachers, modality)(black).maps
            self.adapters[modality] = nn.ModuleList(map(_adapter, *_last(mine, theirs)))

    def forward(self, photos: Tensor, sketches: Tensor) -> tuple[Encoded, Encoded]:
        return self._read(photos, "photo"), self._read(sketches, "sketch")

    def _read(self, images: Tensor, modality: str) -> Encoded:
        read = self.encoders(images, modality)
        if not self.adapters:
            return read
        layers, maps = _last(self.adapters[modality], read.maps)
        return read._replace(maps=[layer(each) for layer, each in zip(layers, maps, strict=True)])


def _adapter(mine: Tensor, theirs: Tensor) -> nn.Module:
    widths = mine.shape[1], theirs.shape[1]
    return nn.Identity() if widths[0] == widths[1] else nn.Conv2d(*widths, 1, bias=False)


def _last(*lists) -> list[list]:
    """Return the ends of `lists`, as long as the shortest."""
    length = min(map(len, lists))
    return [list(each)[len(each) - length :] for each in lists]


class Learner(Resumable):
    """Optimises a copy of encoders on labelled photo and sketch batches, and averages its weights.

    The data-free loop and the student of real data differ in their images and labels alone.

    Args:
        total_steps: where the learning rate ends at zero.
        teachers: those that give hints, if any do.
        done: the share of the run that is over, from 0 to 1, in place of counting steps.

    Attributes:
        encoders: the ones being trained. averaged: their moving average, frozen: the result.
    """

    KEPT = ("index", "networks", "average", "optimiser", "queues")

    def __init__(
        self,
        encoders: Encoders,
        recipe: Recipe,
        total_steps: int,
        device: torch.device,
        teachers: Teachers | None = None,
        done: Callable[[], float] | None = None,
    ):
        self.recipe, self.device, self.index = recipe, device, 0
        self.encoders = copy.deepcopy(encoders).to(device, memory_format=torch.channels_last)
        self.encoders.train().requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.networks = Hinted(self.encoders, teachers).to(device)
        average = _average_of(recipe.ema)
        self.average = AveragedModel(self.encoders, multi_avg_fn=average, use_buffers=True)
        self.averaged: Encoders = self.average.module.eval().requires_grad_(False)
        parameters, lr = self.networks.parameters(), recipe.encoder_lr
        self.optimiser = torch.optim.AdamW(parameters, lr, weight_decay=0.01, fused=True)
        done = done or (lambda: min(1.0, self.index / total_steps))
        self.schedule = LambdaLR(self.optimiser, lambda _: cosine(done()))
        self.queues: dict[str, list[Tensor]] = {"photo": [], "sketch": []}
        self.threads = Threads(device)

    def step(
        self, photos, sketches, photo_targets, sketch_targets, photo_maps=(), sketch_maps=()
    ) -> dict[str, Tensor]:
        """Take one optimisation step; return the unweighted loss terms, detached.

        Args:
            photos, sketches: (N, 3, H, W) in [0, 1]; only the term `pairs` needs pairs.
            photo_targets, sketch_targets: logits (N, C), a teacher's, or those of a label.
            photo_maps, sketch_maps: a teacher's `Reading.maps`.
        """
        weights = self.recipe.weights.snapshot()
        with autocast(self.device):
            p, s = self.networks(photos, sketches)
        sides = (p, photo_targets), (s, sketch_targets)
        p_labels, s_labels = ((self.recipe.sharpness * logits).softmax(1) for _, logits in sides)
        terms = {
            "match": sum(losses.matching(read.answers, logits) for read, logits in sides),
            "proxy": losses.proxy(p.scores, p_labels) + losses.proxy(s.scores, s_labels),
        }
        if weights["contrastive"] or weights["pairs"]:
            ways = self._ways(p, s, p_labels, s_labels)
            posteriors = 2 if self.recipe.mask_same else 0
            terms |= {
                "contrastive": sum(losses.contrastive(*way) for way in ways),
                "pairs": sum(losses.pairs(*way[: 2 + posteriors]) for way in ways),
            }
        maps = [_last(*side) for side in ((p.maps, photo_maps), (s.maps, sketch_maps))]
        if weights["hint"] and any(mine for mine, _ in maps):
            terms["hint"] = sum(losses.hints(*side) for side in maps if side[0])
        loss = losses.weighted(terms, weights)
        if loss.requires_grad:  # not with every weight at zero
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        self.index += 1
        if self.optimiser.state:  # not before its first step, or PyTorch warns
            self.schedule.step()
        self.average.update_parameters(self.encoders)
        return {name: term.detach() for name, term in terms.items()}

    def _ways(self, p: Encoded, s: Encoded, p_labels: Tensor, s_labels: Tensor) -> tuple:
        """Return queries, keys and the posteriors of both: from sketches to photos, and back."""
        photos, photo_labels = self._keys("photo", p.embeddings, p_labels)
        sketches, sketch_labels = self._keys("sketch", s.embeddings, s_labels)
        to_photos = s.embeddings, photos, s_labels, photo_labels
        return to_photos, (p.embeddings, sketches, p_labels, sketch_labels)

    def _keys(self, modality: str, embeddings: Tensor, posteriors: Tensor) -> tuple[Tensor, Tensor]:
        """Return this batch and the queue of earlier ones, which it then joins."""
        size = self.recipe.queue
        queue = [rows.to(self.device) for rows in self.queues[modality]]  # from a file: on the CPU
        keys = torch.cat([embeddings, *queue[:1]])
        labels = torch.cat([posteriors, *queue[1:]])
        self.queues[modality] = [keys[:size].detach(), labels[:size].detach()] if size else []
        return keys, labels


def _average_of(ema: float) -> Callable:
    """Return how to average weights: early ones are poor, so the decay grows, up to `ema`."""

    def average(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        updates = int(count) + 1
        get_ema_multi_avg_fn(min(ema, updates / (updates + 10)))(averaged, current, count)

    return average


def teach(
    learner: Learner, teachers: Teachers, photos: Tensor, sketches: Tensor, draw: torch.Generator
) -> dict[str, Tensor]:
    """Let `learner` take one step on the teachers' answers to these images, or to views of them.

    Photos and sketches are (N, 3, H, W) in [0, 1]; sketches may be grey, (N, 1, H, W).
    """
    with learner.threads:
        if learner.recipe.relabel:
            photos = mix(jitter(photos, draw), draw)
            sketches = sketches if learner.recipe.as_drawn else mix(jitter(sketches, draw), draw)
        # only now: jittering one channel is cheaper
        photos, sketches = (
            images.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
            for images in (photos, sketches)
        )
        with torch.no_grad(), autocast(learner.device):
            p, s = teachers.photo(photos), teachers.sketch(sketches)
        return learner.step(photos, sketches, p.logits, s.logits, p.maps, s.maps)


@dataclass
class DistillStep:
    """The record of one iteration: some estimator steps, then some encoder steps."""

    index: int  # iterations before this one
    terms: dict[str, Tensor]  # every loss term of the last estimator and the last encoder step
    made: SynthesisStep  # the last estimator step, with its samples
    encoders: Encoders  # averaged, frozen; they change with the next iteration


class Distillation(Resumable, Iterator[DistillStep]):
    """Teaches a copy of `encoders` without data: one iteration per `next()`.

    Args:
        teachers: all that is known of the data.
        recipe: settings and loss weights; `recipe.weights` may be changed while this runs.
        encoders: where to start, see `new_encoders` and `encoders_from_teachers`.
        steps, seconds: iterations, or time in the loop; then the learning rate is zero.
        width: of the estimators. sketches: see `Synthesis`.

    Attributes:
        encoders: averaged, frozen: the result. done: the share of the run that is over.
    """

    KEPT = ("index", "spent", "learner", "synthesis", "replay", "draw")

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
        sketches: nn.Module | None = None,
    ):
        self.recipe, self.device = recipe, torch.device(device)
        self.steps, self.seconds, self.index, self.spent = steps, seconds, 0, 0.0
        total, by_clock = (steps or 0) * recipe.encoder_steps, (lambda: self.done)
        self.teachers, by = teachers.to(self.device), by_clock if seconds else None
        self.learner = Learner(encoders, recipe, total, self.device, self.teachers, by)
        self.encoders = self.learner.averaged
        shape = {"width": width, "device": self.device, "seed": seed, "sketches": sketches}
        self.synthesis = Synthesis(self.teachers, recipe, encoders=self.encoders, **shape)
        self.replay = Replay(recipe.replay, recipe.batch, teachers.size, self.device)
        self.draw = torch.Generator(self.device).manual_seed(seed + 1)

    @property
    def done(self) -> float:
        over = self.spent / self.seconds if self.seconds else self.index / max(1, self.steps)
        return min(1.0, over)

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
            photos, sketches = self.replay.sample(self.recipe.batch, self.draw)
            drawn = round(self.recipe.contours * len(sketches))
            sketches[:drawn] = contours(drawn, sketches.shape[-1], self.draw)
            terms = teach(self.learner, self.synthesis.judges, photos, sketches, self.draw)
        step = DistillStep(self.index, {**made.terms, **terms}, made, self.encoders)
        self.index += 1
        self.spent += time.monotonic() - began
        return step


distill = Distillation  # the name to call: `for step in distill(...)`
