"""Teachers: wrap, train, save and load frozen classifiers, read in one pass."""

import copy
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from dfsbir_lite.files import load_network, save_weights
from dfsbir_lite.models import SmallResNet
from dfsbir_lite.runtime import UserError


class Reading(NamedTuple):
    """The results of one forward pass of a teacher."""

    logits: Tensor  # (N, C)
    features: Tensor  # (N, D), the input of the last layer
    # batch mean and variance, stored mean and variance of each batch-norm layer; empty by default
    moments: list[tuple[Tensor, Tensor, Tensor, Tensor]]
    maps: list[Tensor]  # the output of each stage of a ResNet, ours or torchvision's; else none


class Moments(torch.autograd.Function):
    """Mean and variance (channels,) of maps (N, channels, H, W), over all but the channels.

    The biased variance, ten times as fast as `torch.var_mean` for bfloat16 maps in channels_last:
    a synthesis step needs it for every batch-norm layer of both teachers.
    """

    @staticmethod
    def forward(ctx, maps: Tensor) -> tuple[Tensor, Tensor]:
        rows = _rows(maps)
        mean = rows.mean(0)
        var = (rows - mean).square_().mean(0)
        ctx.save_for_backward(maps, mean)
        return mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx, to_mean: Tensor, to_var: Tensor) -> Tensor:
        maps, mean = ctx.saved_tensors
        rows = _rows(maps)
        slope = 2 * to_var / len(rows)
        to_rows = torch.addcmul(to_mean / len(rows) - slope * mean, rows, slope)
        n, channels, *sides = maps.shape
        return to_rows.to(maps.dtype).view(n, *sides, channels).movedim(-1, 1)


def _rows(maps: Tensor) -> Tensor:
    """Return all positions of all maps, (N * H * W, channels), in at least single precision."""
    rows = maps.movedim(1, -1).flatten(0, -2)
    return rows.to(torch.promote_types(rows.dtype, torch.float32))


class _Record:
    """What the hooks of one teacher note down during one forward pass."""

    def __init__(self, teacher: "Teacher", moments: bool):
        self.teacher, self.wants_moments = teacher, moments
        self.features: Tensor | None = None
        self.moments: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self.maps: list[Tensor] = []


# The pass that is under way, in each thread its own: teachers are shared between threads.
_pass: ContextVar[_Record | None] = ContextVar("passes", default=None)


class Teacher(nn.Module):
    """A frozen classifier over images (N, 3, H, W) in [0, 1].

    Wraps any module whose last linear layer has one output a class. Its parameters get no
    gradients and it always stays in eval mode, while gradients flow through it to the images.
    Several threads may read with it at once.

    Args:
        network: the classifier. If it expects normalised images, put that layer into it.
        classes: the names of the outputs, in order.
        size: the side of the images that it was trained on, in pixels.

    Attributes:
        taught: bool (C,), the classes that it was trained on: all of them, but see `widened`.
        proxies: (C, D), the rows of the last layer.
    """

    def __init__(self, network: nn.Module, classes: tuple[str, ...], size: int):
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.classes, self.size = tuple(classes), size
        taught = torch.ones(len(self.classes), dtype=torch.bool)
        self.register_buffer("taught", taught, persistent=False)
        self.head = _last_linear(network, len(self.classes))
        self.head.register_forward_pre_hook(self._keep_features)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_pre_hook(self._keep_moments)
        for stage in _stages(network):
            stage.register_forward_hook(self._keep_map)

    def _record(self) -> _Record | None:
        """Return the record of the pass under way, if it is one of this teacher's."""
        record = _pass.get()
        return record if record and record.teacher is self else None

    def _keep_features(self, layer, inputs) -> None:
        if record := self._record():
            record.features = inputs[0]

    def _keep_moments(self, layer, inputs) -> None:
        record = self._record()
        if record and record.wants_moments:
            stored = layer.running_mean, layer.running_var
            record.moments.append((*Moments.apply(inputs[0]), *stored))

    def _keep_map(self, stage, inputs, output) -> None:
        if record := self._record():
            record.maps.append(output)

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in eval mode: a teacher's statistics must not change."""
        return super().train(False)

    def forward(self, images: Tensor, moments: bool = False) -> Reading:
        """Read `images`; `moments` adds the batch-norm statistics."""
        record = _Record(self, moments)
        token = _pass.set(record)
        try:
            logits = self.network(images).float()
        finally:
            _pass.reset(token)
        return Reading(logits, record.features.float(), record.moments, record.maps)

    def posteriors(self, images: Tensor) -> Tensor:
        """Return class probabilities (N, C) for `images`, without gradients."""
        with torch.no_grad():
            return F.softmax(self(images).logits, dim=1)

    def only(self, classes: Sequence[str], names: Sequence[str] | None = None) -> "Teacher":
        """Return a copy that knows these classes alone, in this order, and calls them `names`."""
        return self._with_outputs([self.classes.index(c) for c in classes], names or classes)

    def widened(self, classes: Sequence[str]) -> "Teacher":
        """Return a copy with outputs for all `classes`, without opinion on those not its own.

        The score of a class that it was not taught is the mean of its scores, which is again an
        output of a linear layer. Raises UserError if a class of its own is missing.
        """
        if missing := [name for name in self.classes if name not in classes]:
            raise UserError(f"the teacher's class {missing[0]!r} is not among {', '.join(classes)}")
        places = {name: n for n, name in enumerate(self.classes)}
        return self._with_outputs([places.get(name, -1) for name in classes], classes)

    def _with_outputs(self, places: list[int], names: Sequence[str]) -> "Teacher":
        """Return a copy with these of the outputs, in this order; -1 is the mean of all."""
        other = copy.deepcopy(self)
        for name in ("weight", "bias"):
            if (rows := getattr(self.head, name)) is not None:
                rows = torch.cat([rows, rows.mean(0, keepdim=True)])[places]
                setattr(other.head, name, nn.Parameter(rows, requires_grad=False))
        other.head.out_features, other.classes = len(places), tuple(names)
        other.taught = torch.cat([self.taught, self.taught.new_zeros(1)])[places]
        return other

    def folded(self) -> "Teacher":
        """Return a faster copy, without moments; see `SmallResNet.folded`.

        A network of another kind stays as it is.
        """
        if not isinstance(self.network, SmallResNet):
            return self
        fast = Teacher(self.network.folded(), self.classes, self.size)
        fast.taught = self.taught
        return fast

    @property
    def proxies(self) -> Tensor:
        return self.head.weight


def _stages(network: nn.Module) -> list[nn.Module]:
    """Return the stages of a ResNet of ours or of torchvision's, perhaps a part of `network`."""
    for module in network.modules():
        if isinstance(module, SmallResNet):
            return list(module.stages)
        if hasattr(module, "layer4"):
            return [module.layer1, module.layer2, module.layer3, module.layer4]
    return []


def _last_linear(network: nn.Module, outputs: int) -> nn.Linear:
    """Return the last linear layer of `network`, which must have `outputs` outputs."""
    layers, name = (
        [m for m in network.modules() if isinstance(m, nn.Linear)],
        type(network).__name__,
    )
    if not layers:
        raise UserError(f"{name} has no linear layer: not a classifier we can read")
    if (has := layers[-1].out_features) != outputs:
        raise UserError(f"{name} ends in {has} outputs, but {outputs} classes were named")
    return layers[-1]


@dataclass
class Teachers:
    """All that the method knows: two teachers with one class list, and the guidance network.

    For the released code's variant with one unified teacher, pass it twice.
    """

    photo: Teacher
    sketch: Teacher
    guidance: Teacher

    def __post_init__(self):
        if self.photo.classes != self.sketch.classes:
            only = set(self.photo.classes) ^ set(self.sketch.classes)
            how = f"differ in {', '.join(sorted(only))}" if only else "are ordered differently"
            raise UserError(f"the classes of the photo teacher and the sketch teacher {how}")
        if self.guidance.classes != ("photo", "sketch"):
            raise UserError('the classes of the guidance network must be "photo", "sketch"')
        if len({self.photo.size, self.sketch.size, self.guidance.size}) > 1:
            raise UserError("teachers and guidance network expect images of different sizes")

    @property
    def classes(self) -> tuple[str, ...]:
        return self.photo.classes

    @property
    def size(self) -> int:
        return self.photo.size

    def folded(self) -> "Teachers":
        """Return all three as `Teacher.folded` has them."""
        return Teachers(*(t.folded() for t in (self.photo, self.sketch, self.guidance)))

    def to(self, device) -> "Teachers":
        """Return copies on `device`, in the memory layout that convolutions run fastest in."""
        copies = copy.deepcopy((self.photo, self.sketch, self.guidance))
        return Teachers(*(t.to(device, memory_format=torch.channels_last) for t in copies))


def save_teacher(path: str | Path, teacher: Teacher, card: dict) -> dict:
    """Save a teacher built on SmallResNet, with its model card beside it; return the card."""
    if not isinstance(teacher.network, SmallResNet):
        raise UserError("only teachers built on SmallResNet can be saved: save your own weights")
    if not teacher.taught.all():
        raise UserError("a widened teacher cannot be saved: save the one that you widened")
    facts = {"architecture": "SmallResNet", **teacher.network.geometry, "size": teacher.size}
    card = {**facts, "classes": list(teacher.classes), **card}
    return save_weights(path, teacher.network.state_dict(), card)


def load_teacher(path: str | Path, classes: tuple[str, ...] | None = None) -> Teacher:
    """Load what `save_teacher` saved.

    Raises UserError, naming the file, if it is missing or damaged, or if it was trained on other
    classes than `classes`.
    """
    network, card = load_network(path, SmallResNet.of_card)
    known = tuple(card["classes"])
    if classes is not None and tuple(classes) != known:
        raise UserError(f"{path}: trained on {', '.join(known)}; needed {', '.join(classes)}")
    return Teacher(network.to(memory_format=torch.channels_last), known, card["size"])
