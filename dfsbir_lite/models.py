"""Network definitions: teacher, encoder, estimator, modality guidance.

Images are float tensors (N, 3, H, W) in [0, 1] for every network here: normalisation is the first
layer *inside*, so no caller can forget it.
"""

import torch
from torch import nn
from torch.nn import functional as F


class Normalise(nn.Module):
    """Maps [0, 1] to about zero mean and unit spread, the same for both modalities."""

    def __init__(self, mean: float = 0.5, std: float = 0.25):
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images - self.mean) / self.std


class Block(nn.Module):
    """The basic residual block of ResNet (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class SmallResNet(nn.Module):
    """A ResNet of one block a stage: 3 M multiply-adds an image at 32 px with widths 16-32-64.

    `forward` maps images to logits (N, outputs). `features` gives what the last layer reads,
    (N, widths[-1]).
    """

    def __init__(self, widths: tuple[int, ...], outputs: int):
        super().__init__()
        self.normalise = Normalise()
        self.stem = nn.Conv2d(3, widths[0], 3, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        inputs = (widths[0], *widths[:-1])
        strides = [1] + [2] * (len(widths) - 1)
        self.stages = nn.Sequential(*map(Block, inputs, widths, strides))
        self.fc = nn.Linear(widths[-1], outputs)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(stage.conv1.out_channels for stage in self.stages)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn(self.stem(self.normalise(images))))
        return self.stages(x).mean((2, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(images))


class Encoders(nn.Module):
    """The photo encoder f_p, the sketch encoder f_s and the class proxies that they share.

    Each encoder is a SmallResNet whose last layer gives the embedding. The proxies are one
    learnt direction a class in the embedding space; they exist for training, retrieval does not
    need them.
    """

    def __init__(self, widths: tuple[int, ...], embed_dim: int, classes: int, scale: float = 12.0):
        super().__init__()
        self.photo = SmallResNet(widths, embed_dim)
        self.sketch = SmallResNet(widths, embed_dim)
        self.proxies = nn.Parameter(torch.randn(classes, embed_dim))
        self.scale = scale

    def embed(self, images: torch.Tensor, modality: str) -> torch.Tensor:
        """Embeddings (N, E) of unit length, from `modality` "photo" or "sketch"."""
        encoder = {"photo": self.photo, "sketch": self.sketch}[modality]
        return F.normalize(encoder(images).float(), dim=1)

    def class_logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Cosine to each class proxy times `scale`: how an embedding reads as a class (N, C)."""
        return self.scale * embeddings @ F.normalize(self.proxies, dim=1).T


class Estimator(nn.Module):
    """A generator from noise (N, noise_dim) to images (N, 3, size, size) in [0, 1].

    The wide layers stay at a quarter and half of the resolution, and a sub-pixel layer makes the
    last step: at full resolution they would cost several times the teacher. A 3 × 3 binomial blur
    behind it takes away the checkerboard that sub-pixel layers leave. With `channels=1`
    (sketches) the image is grey and starts white, as paper is: from mid-grey, finding white takes
    hundreds of steps.
    """

    def __init__(self, size: int, channels: int, noise_dim: int, width: int):
        super().__init__()
        self.width, self.base = width, size // 8
        self.project = nn.Linear(noise_dim, width * self.base**2)
        self.body = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width // 2, 3, padding=1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.to_pixels = nn.Conv2d(width // 2, 4 * channels, 3, padding=1)
        if channels == 1:
            nn.init.constant_(self.to_pixels.bias, 3.0)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        x = self.project(noise).view(-1, self.width, self.base, self.base)
        x = self.to_pixels(self.body(x.contiguous(memory_format=torch.channels_last)))
        x = F.pixel_shuffle(x, 2).float()
        for pad in ((1, 0, 1, 0), (0, 1, 0, 1)):  # twice a 2 × 2 box is the binomial filter
            x = F.avg_pool2d(F.pad(x, pad, mode="replicate"), 2, 1)
        return torch.sigmoid(x).expand(-1, 3, -1, -1)
