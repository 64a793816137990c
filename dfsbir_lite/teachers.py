"""Teachers: wrap, train, save and load frozen classifiers, read in one pass."""

import copy
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor, nn
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


def moments_of(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance (channels,) of maps (N, channels, H, W), over all the rest.

    In at least single precision. `torch.var_mean` takes ten times as long for bfloat16 maps in
    channels_last, and a synthesis step needs this for every batch-norm layer of both teachers.
    """
    rows = maps.movedim(1, -1).flatten(0, -2)
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    mean = rows.mean(0)
    return mean, (rows - mean).square().mean(0)


# What hooks note down in the pass that is under way; threads share teachers, but not this.
_pass: ContextVar[SimpleNamespace | None] = ContextVar("passes", default=None)


class Teacher(nn.Module):
    """A frozen classifier over images (N, 3, H, W) in [0, 1].

    Wraps any module that returns the scores of its last layer, linear or a pooled convolution, as
    they are. Its parameters get no gradients and it always stays in eval mode, while gradients
    flow through it to the images. Several threads may read with it at once.

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
        self.head = _head(network, len(self.classes), size)
        norms = [m for m in network.modules() if getattr(m, "running_var", None) is not None]
        for layer in (self.head, *norms, *_stages(network)):
            layer.register_forward_hook(self._keep)

    def _keep(self, layer, inputs, output) -> None:
        """Note down what this layer read or put out, if a pass of this teacher is under way."""
        record = _pass.get()
        if not record or record.teacher is not self:
            return
        if layer is self.head:
            record.features = inputs[0] if inputs[0].dim() == 2 else inputs[0].mean((2, 3))
        elif not hasattr(layer, "running_var"):
            record.maps.append(output)
        elif record.wants_moments and inputs[0].dim() == 4:
            stored = layer.running_mean, layer.running_var
            record.moments.append((*moments_of(inputs[0]), *stored))

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in eval mode: a teacher's statistics must not change."""
        return super().train(False)

    def forward(self, images: Tensor, moments: bool = False) -> Reading:
        """Read `images`; `moments` adds the batch-norm statistics."""
        record = SimpleNamespace(teacher=self, wants_moments=moments, moments=[], maps=[])
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
        size = "out_features" if isinstance(self.head, nn.Linear) else "out_channels"
        setattr(other.head, size, len(places))
        other.classes = tuple(names)
        other.taught = torch.cat([self.taught, self.taught.new_zeros(1)])[places]
        return other

    def folded(self) -> "Teacher":
        """Return a faster copy, without moments, or itself if its network is no SmallResNet."""
        if not isinstance(self.network, SmallResNet):
            return self
        fast = Teacher(self.network.folded(), self.classes, self.size)
        fast.taught = self.taught
        return fast

    @property
    def proxies(self) -> Tensor:
        return self.head.weight.flatten(1)


def _stages(network: nn.Module) -> list[nn.Module]:
    """Return the stages of a ResNet of ours or of torchvision's, perhaps a part of `network`."""
    for module in network.modules():
        if isinstance(module, SmallResNet):
            return list(module.stages)
        if hasattr(module, "layer4"):
            return [module.layer1, module.layer2, module.layer3, module.layer4]
    return []


def _head(network: nn.Module, outputs: int, size: int) -> nn.Linear | nn.Conv2d:
    """Return the linear layer or convolution called last: `network` must return its outputs."""
    layers = [m for m in network.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    name, called = type(network[-1] if isinstance(network, nn.Sequential) else network).__name__, []
    fault = f"{name} cannot read images (N, 3, {size}, {size})"
    found = _probe(network, size, layers, lambda layer, *_: called.append(layer), fault)
    if not called:
        raise UserError(f"{name} has no linear layer: not a classifier we can read")
    if (has := len(called[-1].weight)) != outputs:
        raise UserError(f"{name} ends in {has} outputs, but {outputs} classes were named")
    marks = [float(n) for n in range(1, outputs + 2)]

    def put_marks(layer, x, y):
        return torch.cat([torch.full_like(y[:, :1], n) for n in marks], 1)

    # `only` and `widened` change that layer alone: what it puts out must come back, whatever it is
    fault = f"{name} must pass on any scores of its last layer"
    back = _probe(network, size, called[-1:], put_marks, fault)
    if not (isinstance(back, Tensor) and torch.equal(back.cpu().float(), torch.tensor([marks]))):
        what = f"tensor {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise UserError(f"{name} returned a {what}, not the {outputs} scores of its last layer")
    return called[-1]


def _probe(network: nn.Module, size: int, layers: list[nn.Module], hook, fault: str):
    """Return what `network` makes of one black image, with `hook` on these layers."""
    hooks = [layer.register_forward_hook(hook) for layer in layers]
    black = torch.zeros(1, 3, size, size, device=layers[0].weight.device if layers else None)
    try:
        with torch.no_grad():
            return network(black)
    except Exception as reason:  # each network has its own way to refuse an image
        raise UserError(f"{fault}: {' '.join(str(reason).split())[:200]}") from reason
    finally:
        for hook in hooks:
            hook.remove()


@dataclass
class Teachers:
    """All that the method knows: two teachers with one class list, and the guidance network.

    For the released code's variant with one unified teacher, pass it twice.
    """

    photo: Teacher
    sketch: Teacher
    guidance: Teacher

    def __post_init__(self):
        self.classes, self.size = self.photo.classes, self.photo.size
        if self.photo.classes != self.sketch.classes:
            only = set(self.photo.classes) ^ set(self.sketch.classes)
            how = f"differ in {', '.join(sorted(only))}" if only else "are ordered differently"
            raise UserError(f"the classes of the photo teacher and the sketch teacher {how}")
        if self.guidance.classes != ("photo", "sketch"):
            raise UserError('the classes of the guidance network must be "photo", "sketch"')
        if len({self.photo.size, self.sketch.size, self.guidance.size}) > 1:
            raise UserError("teachers and guidance network expect images of different sizes")

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
