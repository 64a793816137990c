"""Teachers: wrap, train, save and load frozen classifiers that are read in one pass."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from dfsbir_lite.files import check_fit, load_weights, rebuilding, save_weights
from dfsbir_lite.models import SmallResNet, geometry
from dfsbir_lite.runtime import Profile, UserError, autocast, progress, unbroken
from dfsbir_lite.views import jitter


class Reading(NamedTuple):
    """What one forward pass of a teacher gives.

    Attributes:
        logits: (N, C).
        features: (N, D), the input of the last layer.
        moments: for each batch-norm layer the batch's mean and variance and the stored mean and
            variance, each (channels,); empty unless asked for.
        maps: what each stage of a ResNet puts out, ours or torchvision's; empty for other networks.
    """

    logits: Tensor
    features: Tensor
    moments: list[tuple[Tensor, Tensor, Tensor, Tensor]]
    maps: list[Tensor]


class Moments(torch.autograd.Function):
    """Mean and variance (channels,) of maps (N, channels, H, W), over all but the channels.

    What `torch.var_mean` gives, forward and backward some ten times as fast for bfloat16 maps in
    channels_last: a synthesis step needs it for every batch-norm layer of both teachers.
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
    """Every position of every map, (N * H * W, channels), in no less than single precision."""
    rows = maps.movedim(1, -1).flatten(0, -2)
    return rows.to(torch.promote_types(rows.dtype, torch.float32))


class Teacher(nn.Module):
    """A frozen classifier over images (N, 3, H, W) in [0, 1].

    Wraps any module whose last linear layer has one output a class: the kit's small ResNets, a
    torchvision model, the user's own. Its parameters get no gradients and it stays in eval mode
    whatever is called on it, while gradients flow through it to the images.

    Args:
        network: the classifier. If it expects normalised images, put that layer into it.
        classes: the names of the outputs, in order.
        size: the side of the images that it was trained on, in pixels.

    `taught` (C,) is true for the classes that it was trained on: all of them, see `widened`.
    """

    def __init__(self, network: nn.Module, classes: tuple[str, ...], size: int):
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.classes, self.size = tuple(classes), size
        self.taught = torch.ones(len(self.classes), dtype=torch.bool)
        self.head = _last_linear(network, len(self.classes))
        self._features: Tensor | None = None
        self._moments: list | None = None
        self._maps: list[Tensor] = []
        self.head.register_forward_pre_hook(self._keep_features)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_pre_hook(self._keep_moments)
        for stage in _stages(network):
            stage.register_forward_hook(self._keep_map)

    def _keep_features(self, layer, inputs):
        self._features = inputs[0]

    def _keep_moments(self, layer, inputs):
        if self._moments is not None:
            mean, var = Moments.apply(inputs[0])
            self._moments.append((mean, var, layer.running_mean, layer.running_var))

    def _keep_map(self, stage, inputs, output):
        self._maps.append(output)

    def train(self, mode: bool = True) -> "Teacher":
        """Stays in eval mode: a teacher's statistics are facts."""
        return super().train(False)

    def forward(self, images: Tensor, moments: bool = False) -> Reading:
        """Reads `images`; `moments` adds the batch-norm statistics."""
        self._moments, self._maps = ([] if moments else None), []
        logits = self.network(images).float()
        reading = Reading(logits, self._features.float(), self._moments or [], self._maps)
        self._features, self._moments, self._maps = None, None, []
        return reading

    def posteriors(self, images: Tensor) -> Tensor:
        """Class probabilities (N, C) for `images`, without gradients."""
        with torch.no_grad():
            return F.softmax(self(images).logits, dim=1)

    def only(self, classes: Sequence[str], names: Sequence[str] | None = None) -> "Teacher":
        """A copy that knows these of its classes alone, in this order, and calls them `names`."""
        rows = [self.classes.index(name) for name in classes]
        small = copy.deepcopy(self)
        for name in ("weight", "bias"):
            if (whole := getattr(small.head, name)) is not None:
                setattr(small.head, name, nn.Parameter(whole[rows], requires_grad=False))
        small.head.out_features, small.classes = len(rows), tuple(names or classes)
        small.taught = self.taught[rows]
        return small

    def widened(self, classes: Sequence[str]) -> "Teacher":
        """A copy with outputs for all `classes`, and no opinion on those that are not its own.

        The score of a class that it was not taught is the mean of its scores, which is again an
        output of a linear layer. Raises UserError if a class of its own is missing.
        """
        if missing := [name for name in self.classes if name not in classes]:
            raise UserError(f"the teacher's class {missing[0]!r} is not among {', '.join(classes)}")
        places = [self.classes.index(name) if name in self.classes else -1 for name in classes]
        wide = copy.deepcopy(self)
        for name in ("weight", "bias"):
            if (rows := getattr(self.head, name)) is not None:
                rows = torch.cat([rows, rows.mean(0, keepdim=True)])[places]
                setattr(wide.head, name, nn.Parameter(rows, requires_grad=False))
        wide.head.out_features, wide.classes = len(places), tuple(classes)
        wide.taught = torch.cat([self.taught, torch.tensor([False])])[places]
        return wide

    def folded(self) -> "Teacher":
        """A copy to be asked often: see `SmallResNet.folded`. Moments are gone from it.

        A network of another kind stays as it is.
        """
        if not isinstance(self.network, SmallResNet):
            return self
        fast = Teacher(self.network.folded(), self.classes, self.size)
        fast.taught = self.taught
        return fast

    @property
    def proxies(self) -> Tensor:
        """Class proxies (C, D): the rows of the last layer."""
        return self.head.weight


def _stages(network: nn.Module) -> list[nn.Module]:
    """The stages of a ResNet of ours or of torchvision's, which may be part of `network`."""
    for module in network.modules():
        if isinstance(module, SmallResNet):
            return list(module.stages)
        if hasattr(module, "layer4"):
            return [module.layer1, module.layer2, module.layer3, module.layer4]
    return []


def _last_linear(network: nn.Module, outputs: int) -> nn.Linear:
    """The last linear layer of `network`; raises UserError unless it has `outputs` outputs."""
    layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
    if not layers:
        raise UserError(
            f"{type(network).__name__} has no linear layer: not a classifier we can read"
        )
    if layers[-1].out_features != outputs:
        raise UserError(
            f"{type(network).__name__} ends in {layers[-1].out_features} outputs, "
            f"but {outputs} classes were named"
        )
    return layers[-1]


@dataclass
class Teachers:
    """All that the method is given: two teachers with one class list, and the guidance network.

    For the released code's variant with one unified teacher, pass it twice.
    """

    photo: Teacher
    sketch: Teacher
    guidance: Teacher

    def __post_init__(self):
        if self.photo.classes != self.sketch.classes:
            only = set(self.photo.classes) ^ set(self.sketch.classes)
            told = f"differ in {', '.join(sorted(only))}" if only else "are ordered differently"
            raise UserError(f"the classes of the photo teacher and the sketch teacher {told}")
        if self.guidance.classes != ("photo", "sketch"):
            raise UserError(
                'the guidance network must tell ("photo", "sketch") apart, in that order'
            )
        if len({self.photo.size, self.sketch.size, self.guidance.size}) > 1:
            raise UserError(
                "the teachers and the guidance network expect images of different sizes"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        return self.photo.classes

    @property
    def size(self) -> int:
        return self.photo.size

    def folded(self) -> "Teachers":
        """All three as `Teacher.folded` has them."""
        return Teachers(*(t.folded() for t in (self.photo, self.sketch, self.guidance)))

    def to(self, device) -> "Teachers":
        """Moves all three to `device`, in the memory layout that convolutions like best."""
        for network in (self.photo, self.sketch, self.guidance):
            network.to(device, memory_format=torch.channels_last)
        return self


def train_teacher(
    images: Tensor,
    labels: Tensor,
    classes: tuple[str, ...],
    profile: Profile,
    *,
    epochs: int | None = None,
    batch: int = 64,
    lr: float = 3e-3,
    device="cpu",
    seed: int = 0,
    desc: str = "teacher",
) -> Teacher:
    """Trains a small ResNet on labelled images and freezes it.

    Args:
        images: uint8 (N, 3, size, size). labels: int64 (N,), indices into `classes`.
        epochs: passes over the images; the profile's by default.

    AdamW with a one-cycle schedule on randomly mirrored, turned, scaled and shifted images. An
    interrupt waits for the step that has begun; there is no teacher then, and nothing else changed.
    """
    device, epochs = torch.device(device), epochs or profile.teacher_epochs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the same initial weights on every device
        network = SmallResNet(outputs=len(classes), **geometry(vars(profile)))
    network.to(device, memory_format=torch.channels_last)
    steps = epochs * max(1, len(images) // batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    draw, views = torch.Generator().manual_seed(seed), torch.Generator(device).manual_seed(seed)
    for _ in progress(range(steps), desc=desc, unit="step"):
        with unbroken(), torch.enable_grad():
            pick = torch.randint(len(images), (min(batch, len(images)),), generator=draw)
            batch_images = jitter(images[pick].to(device).float() / 255, views)
            with autocast(device):
                loss = F.cross_entropy(
                    network(batch_images).float(), labels[pick].to(device), label_smoothing=0.05
                )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return Teacher(network, classes, profile.size)


def save_teacher(path: str | Path, teacher: Teacher, card: dict) -> dict:
    """Saves a teacher built on SmallResNet and its model card beside it; returns the card."""
    if not isinstance(teacher.network, SmallResNet):
        raise UserError("only teachers built on SmallResNet can be saved: save your own weights")
    if not teacher.taught.all():
        raise UserError("a widened teacher cannot be saved: save the one that it was made from")
    facts = {"architecture": "SmallResNet", **teacher.network.geometry, "size": teacher.size}
    card = {**facts, "classes": list(teacher.classes), **card}
    return save_weights(path, teacher.network.state_dict(), card)


def load_teacher(path: str | Path, classes: tuple[str, ...] | None = None) -> Teacher:
    """Loads what `save_teacher` saved.

    Raises UserError, naming the file, if it is missing or damaged, or if `classes` are given
    and are not the ones that it was trained on.
    """
    weights, card = load_weights(path)
    with rebuilding(path):
        known, size = tuple(card["classes"]), card["size"]
        shape = {"outputs": len(known), **geometry(card)}
        check_fit(lambda: SmallResNet(**shape), weights)
        network = SmallResNet(**shape)
        network.load_state_dict(weights)
    if classes is not None and tuple(classes) != known:
        raise UserError(f"{path}: trained on {', '.join(known)}; needed {', '.join(classes)}")
    return Teacher(network.to(memory_format=torch.channels_last), known, size)
