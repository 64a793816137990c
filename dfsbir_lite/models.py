"""Network definitions: teacher, encoder, estimator, modality guidance.

Images are float tensors (N, 3, H, W) in [0, 1] for every network here: normalisation is the first
layer *inside*, so no caller can forget it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Normalise(nn.Module):
    """Map [0, 1] to about zero mean and unit spread.

    `mean` and `std` are one value, or one per channel. By default the same for both modalities.
    """

    def __init__(self, mean: float | tuple = 0.5, std: float | tuple = 0.25):
        super().__init__()
        for name, value in (("mean", mean), ("std", std)):
            value = torch.tensor(value, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images - self.mean).div_(self.std)


def _conv3(inputs: int, outputs: int, stride: int, squeeze: int) -> nn.Module:
    """Return a 3 × 3 convolution, or a column to outputs / `squeeze` channels and then a row."""
    if squeeze == 1:
        return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    few = outputs // squeeze
    column = nn.Conv2d(inputs, few, (3, 1), (stride, 1), (1, 0), bias=False)
    return nn.Sequential(column, nn.Conv2d(few, outputs, (1, 3), (1, stride), (0, 1), bias=False))


def _apart(kernel: torch.Tensor, squeeze: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return kernels of a column and a row that together come closest to a 3 × 3 `kernel`."""
    outputs, inputs = kernel.shape[:2]
    few, matrix = outputs // squeeze, kernel.permute(1, 2, 0, 3).reshape(3 * inputs, 3 * outputs)
    left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
    half = sizes[:few].sqrt()
    column = (left[:, :few] * half).view(inputs, 3, few).permute(2, 0, 1)[..., None]
    row = (half[:, None] * right[:few]).view(few, outputs, 3).permute(1, 0, 2)[:, :, None]
    return column, row


class Block(nn.Module):
    """The basic residual block of ResNet (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int, squeeze: int = 1):
        super().__init__()
        self.conv1 = _conv3(inputs, outputs, stride, squeeze)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = _conv3(outputs, outputs, 1, squeeze)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # in place wherever nothing else needs the input: less memory traffic
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(out)).add_(self.shortcut(x)), inplace=True)


def _stage(inputs: int, outputs: int, stride: int, blocks: int, squeeze: int) -> nn.Module:
    first = Block(inputs, outputs, stride, squeeze)
    if blocks == 1:
        return first
    return nn.Sequential(first, *(Block(outputs, outputs, 1, squeeze) for _ in range(blocks - 1)))


def geometry(facts: dict) -> dict:
    """Return the arguments that shape a SmallResNet, from a profile's fields or a model card.

    A card of `widths` alone means the smallest network. Raises ValueError for no shape.
    """
    shape = {"widths": list(facts["widths"]), "blocks": 1, "stride": 2, "squeeze": 1}
    shape |= {k: facts[k] for k in ("blocks", "stride", "squeeze") if k in facts}
    counts = *shape["widths"], shape["blocks"], shape["squeeze"]
    sane = all(type(n) is int and n > 0 for n in counts)
    sane = sane and shape["squeeze"] <= min(shape["widths"], default=0)
    if not sane or shape["stride"] not in (2, 4) or not 0 < len(shape["widths"]) <= 8:
        raise ValueError(f"not a valid SmallResNet shape: {shape}")
    return shape


class SmallResNet(nn.Module):
    """A ResNet of basic blocks: 3 M multiply-adds an image at 32 px with widths 16-32-64.

    `forward` maps images to logits (N, outputs); `read` also gives what each stage puts out, a
    list of (N, widths[k], H / (stride * 2**k), W / (stride * 2**k)).

    Args:
        widths: channels of each stage. blocks: residual blocks of each stage.
        stride: what the stem divides the resolution by, 2 or 4. With widths 64-128-256-512, two
            blocks and 4, this is ResNet-18.
        squeeze: what divides the channels inside split convolutions, see `squeezed`; 1: none is.
    """

    def __init__(
        self,
        widths: Sequence[int],
        outputs: int,
        blocks: int = 1,
        stride: int = 2,
        squeeze: int = 1,
    ):
        super().__init__()
        shape = {"blocks": blocks, "stride": stride, "squeeze": squeeze}
        self.geometry = {"widths": list(widths), **shape}
        self.normalise = Normalise()
        side = 2 * stride - 1
        self.stem = nn.Conv2d(3, widths[0], side, 2, side // 2, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        self.pool = nn.MaxPool2d(3, 2, 1) if stride == 4 else nn.Identity()
        inputs = (widths[0], *widths[:-1])
        strides = [1] + [2] * (len(widths) - 1)
        shapes = zip(inputs, widths, strides)
        self.stages = nn.Sequential(*(_stage(*shape, blocks, squeeze) for shape in shapes))
        self.fc = nn.Linear(widths[-1], outputs)

    @classmethod
    def of_card(cls, card: dict) -> "SmallResNet":
        """Return the network, with random weights, that a teacher's model card describes."""
        return cls(outputs=len(card["classes"]), **geometry(card))

    def read(self, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        x, maps = self.bn(self.stem(self.normalise(images))), []
        x = self.pool(F.relu(x, inplace=True))
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return self.fc(x.mean((2, 3))), maps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.read(images)[0]

    def squeezed(self, by: int) -> "SmallResNet":
        """Return a smaller copy: for `by` = 4, with a quarter of all multiply-adds.

        Each 3 × 3 convolution of a block is split into a column and a row, with outputs / `by`
        channels between them: its best approximation of that rank (Jaderberg et al., 2014).
        """
        network = SmallResNet(outputs=self.fc.out_features, **self.geometry | {"squeeze": by})
        weights = self.state_dict()
        for name in weights.keys() - network.state_dict().keys():
            layer, pair = name.removesuffix(".weight"), _apart(weights.pop(name), by)
            weights |= {f"{layer}.{n}.weight": kernel for n, kernel in enumerate(pair)}
        network.load_state_dict(weights)
        return network

    def expanded(self) -> "SmallResNet":
        """Return a copy that computes the same with 3 × 3 convolutions, none of them split."""
        network = SmallResNet(outputs=self.fc.out_features, **self.geometry | {"squeeze": 1})
        weights = self.state_dict()
        for name in network.state_dict().keys() - weights.keys():
            layer = name.removesuffix(".weight")
            column, row = (weights.pop(f"{layer}.{n}.weight") for n in (0, 1))
            weights[name] = torch.einsum("fikx,ofyw->oikw", column, row)
        network.load_state_dict(weights)
        return network.to(self.fc.weight)

    def folded(self) -> "SmallResNet":
        """Return a frozen copy that computes the same in eval mode, faster unless it is squeezed.

        Its convolutions, which are not split, absorb the batch norms that follow them.
        """
        network = self.expanded().eval().requires_grad_(False)
        for module in list(network.modules()):
            for (conv_name, conv), (norm_name, norm) in pairwise(list(module.named_children())):
                if isinstance(norm, nn.BatchNorm2d):
                    setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                    setattr(module, norm_name, nn.Identity())
        return network.to(memory_format=torch.channels_last)


def expected_proxy(
    class_logits: torch.Tensor, proxies: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return the embeddings (N, E) expected under class scores (N, C), of unit length.

    `proxies` (C, E) are one direction per class; `temperature`: see `Encoders`.
    """
    share = (class_logits / temperature).softmax(1) - 1 / class_logits.shape[1]
    return F.normalize((share @ proxies).float(), dim=1)


CLOSE = 8.0  # the score of a class in whose direction a free embedding points


class Encoded(NamedTuple):
    """The results of one forward pass of an encoder."""

    scores: torch.Tensor  # closeness to each class proxy (N, C)
    answers: torch.Tensor  # (N, C), to match a teacher's; the scores, unless the embedding is free
    embeddings: torch.Tensor  # (N, E), of unit length
    maps: list[torch.Tensor]  # the output of each stage


class Encoders(nn.Module):
    """The photo encoder f_p, the sketch encoder f_s and the class proxies that they share.

    Each encoder is a SmallResNet whose last layer gives a point; its inner products with the
    proxies, one direction per class, are its class scores. The embedding is read out of them, as
    the expected proxy: all proxies, weighted by how much likelier than 1 / C each class is. Of a
    small `temperature` only the likeliest counts; of a large one scores count as they are.

    Without a temperature the embedding is free, as in the paper: a head of its own puts a point on
    the sphere, whose cosines with the proxies are the scores; the last layer answers as a teacher
    does. `shape` goes to `SmallResNet`; `modality` is "photo" or "sketch" everywhere.
    """

    def __init__(
        self,
        widths: Sequence[int],
        embed_dim: int,
        classes: int,
        temperature: float | None = 2.5,
        **shape,
    ):
        super().__init__()
        free, last = temperature is None, widths[-1]
        self.photo = SmallResNet(widths, classes if free else embed_dim, **shape)
        self.sketch = SmallResNet(widths, classes if free else embed_dim, **shape)
        self.heads = nn.ModuleDict()
        for modality in ("photo", "sketch") if free else ():
            layers = nn.Linear(last, 2 * last), nn.ReLU(), nn.Linear(2 * last, embed_dim)
            self.heads[modality] = nn.Sequential(*layers)
        self.proxies = nn.Parameter(nn.init.orthogonal_(torch.empty(classes, embed_dim)))
        self.temperature = temperature

    @classmethod
    def of_card(cls, card: dict) -> "Encoders":
        """Return the networks, with random weights, that a model card describes."""
        sizes = {"embed_dim": card["embed_dim"], "classes": card["outputs"], **geometry(card)}
        return cls(**sizes, temperature=card["temperature"])

    def forward(self, images: torch.Tensor, modality: str) -> Encoded:
        """Read `images` in one pass."""
        points, maps = {"photo": self.photo, "sketch": self.sketch}[modality].read(images)
        if self.temperature is None:
            free = self.heads[modality](maps[-1].mean((2, 3))).float()
            embeddings, proxies = F.normalize(free, dim=1), F.normalize(self.proxies, dim=1)
            return Encoded(CLOSE * embeddings @ proxies.T, points.float(), embeddings, maps)
        scores = (points @ self.proxies.T).float()
        return Encoded(scores, scores, expected_proxy(scores, self.proxies, self.temperature), maps)

    def class_logits(self, images: torch.Tensor, modality: str) -> torch.Tensor:
        """Return class scores (N, C) of `images`."""
        return self(images, modality).scores

    def embed(self, images: torch.Tensor, modality: str) -> torch.Tensor:
        """Return embeddings (N, E) of unit length."""
        return self(images, modality).embeddings


def _blur(image: torch.Tensor) -> torch.Tensor:
    """Blur by 3 × 3 binomials, which removes the checkerboard that sub-pixel layers leave."""
    for pad in ((1, 0, 1, 0), (0, 1, 0, 1)):  # two 2 × 2 boxes are the binomial filter
        image = F.avg_pool2d(F.pad(image, pad, mode="replicate"), 2, 1)
    return image


def _enlarged(maps: torch.Tensor) -> torch.Tensor:
    """Turn maps (N, 4 C, H, W) into smooth ones (N, C, 2 H, 2 W): the sub-pixel step."""
    return _blur(F.pixel_shuffle(maps.contiguous(), 2).float())


class _Painter(nn.Module):
    """What estimators have in common: noise (N, noise_dim) to maps (N, channels, H / 2, W / 2).

    Noise is laid out on a grid of at most 8 × 8 cells where `size` can be halved so often, and each
    convolution doubles it, up to half of `size`. A sub-pixel layer makes the last step: at full
    resolution wide layers would cost several times the teacher.
    """

    def __init__(self, size: int, noise_dim: int, width: int):
        super().__init__()
        self.width, self.base, widths = width, size // 8, [width, width, width // 2]
        while self.base > 8 and self.base % 2 == 0:
            self.base //= 2
            widths.append(max(16, widths[-1] // 2))
        self.project, self.channels = nn.Linear(noise_dim, width * self.base**2), widths[-1]
        layers = [nn.BatchNorm2d(width)]
        for inputs, outputs in pairwise(widths):
            layers += [nn.Upsample(scale_factor=2)]
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*layers)

    def maps(self, noise: torch.Tensor) -> torch.Tensor:
        x = self.project(noise).view(-1, self.width, self.base, self.base)
        return self.body(x.contiguous(memory_format=torch.channels_last))


class Estimator(_Painter):
    """A generator from noise (N, noise_dim) to images (N, 3, size, size) in [0, 1].

    A picture is a few things before a background, and so this one paints `objects` layers, each a
    soft mask with something behind it. Painted as one sheet, photos stay coloured fog and sketches
    smudges. Photos (`channels=3`) have a smooth background of any colour. Sketches (`channels=1`)
    are dark on white paper: a network that has to find white first takes hundreds of steps.
    """

    def __init__(self, size: int, channels: int, noise_dim: int, width: int, objects: int = 4):
        super().__init__(size, noise_dim, width)
        self.objects, maps = objects, self.channels
        self.to_layers = nn.Conv2d(maps, 4 * (channels + 1) * objects, 3, padding=1)
        self.tint = nn.Linear(noise_dim, channels * (objects + 1))
        self.background = nn.Conv2d(maps, channels, 1) if channels == 3 else None
        if channels == 1:  # each layer begins as a faint dark spot
            nn.init.constant_(self.to_layers.bias, -2.0)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        x = self.maps(noise)
        tints = self.tint(noise)[:, :, None, None].chunk(self.objects + 1, dim=1)
        # channels apart from here on: a slice of neighbours in channels_last is slow to walk
        layers = F.pixel_shuffle(self.to_layers(x).contiguous(), 2).chunk(self.objects, dim=1)
        image = self._background(x, tints[0], layers[0].shape[-2:])
        for layer, tint in zip(layers, tints[1:], strict=True):
            image = image.lerp(layer[:, :-1] / 2 + tint, torch.sigmoid(2 * layer[:, -1:]))
        return torch.sigmoid(_blur(image.float())).expand(-1, 3, -1, -1)

    def _background(self, features: torch.Tensor, tint: torch.Tensor, size) -> torch.Tensor:
        if self.background is None:
            return (tint + 3.0).expand(-1, -1, *size)
        coarse = self.background(F.adaptive_avg_pool2d(features, 4)) + tint
        return F.interpolate(coarse.contiguous(), size=size, mode="bilinear")


class SceneEstimator(_Painter):
    """A generator from noise (N, noise_dim) to pairs: one scene, painted and drawn.

    Not in the paper, whose two estimators share nothing but the noise. Photo and sketch have the
    same `objects` soft masks: the photo shows what is behind each, in colour, the sketch its
    outline, darker or fainter, so that a shape has to please both teachers.
    """

    def __init__(self, size: int, noise_dim: int, width: int, objects: int = 5):
        super().__init__(size, noise_dim, width)
        self.shape = {"size": size, "noise_dim": noise_dim, "width": width, "objects": objects}
        self.objects, maps = objects, self.channels
        self.to_masks = nn.Conv2d(maps, 4 * objects, 3, padding=1)
        self.to_colours = nn.Conv2d(maps, 4 * 3 * objects, 3, padding=1)
        self.tint = nn.Linear(noise_dim, 3 * (objects + 1))
        self.ink = nn.Linear(noise_dim, objects)
        self.background = nn.Conv2d(maps, 3, 1)
        nn.init.constant_(self.to_masks.bias, -1.5)  # things begin faint, on nearly white paper

    def forward(self, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.maps(noise)
        masks = torch.sigmoid(3 * _enlarged(self.to_masks(x))).split(1, dim=1)
        return self._painted(x, noise, masks), self._drawn(noise, masks)

    def _painted(self, x, noise, masks) -> torch.Tensor:
        tints = self.tint(noise).float()[:, :, None, None].chunk(self.objects + 1, dim=1)
        colours = _enlarged(self.to_colours(x)).chunk(self.objects, dim=1)
        coarse = self.background(F.adaptive_avg_pool2d(x, 8)).float() + tints[0]
        image = F.interpolate(coarse.contiguous(), size=colours[0].shape[-2:], mode="bilinear")
        for mask, colour, tint in zip(masks, colours, tints[1:], strict=True):
            image = image.lerp(colour / 2 + tint, mask)
        return torch.sigmoid(image)

    def _drawn(self, noise, masks) -> torch.Tensor:
        dark = torch.sigmoid(self.ink(noise).float() + 1.5)[:, :, None, None].split(1, dim=1)
        ink = torch.zeros_like(masks[0])
        for mask, how_dark in zip(masks, dark, strict=True):
            soft = _blur(mask)
            line = 4 * soft * (1 - soft) * how_dark  # 0 inside and outside, dark in between
            ink = line + ink * (1 - mask) * (1 - line)  # an object hides lines behind it
        return (0.97 - 0.9 * ink).expand(-1, 3, -1, -1)


class Estimators(nn.ModuleDict):
    """The estimators of a run, by name: "scene" alone, or "photo" and "sketch".

    `forward` maps noise (N, noise_dim) to photos and sketches, each (N, 3, size, size) in [0, 1].
    """

    def forward(self, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if "scene" in self:
            return self["scene"](noise)
        return self["photo"](noise), self["sketch"](noise)
