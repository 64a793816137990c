"""Random views of image batches (N, 3, H, W) in [0, 1]. Every image gets its own.

`draw` is the generator that all randomness comes from; it lives on the images' device.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def _uniform(shape, low: float, high: float, draw: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=draw, device=draw.device) * (high - low) + low


def jitter(images: Tensor, draw: torch.Generator, turn: float = 10.0, zoom: float = 0.15) -> Tensor:
    """Mirrors, turns (up to `turn` degrees), scales (by up to 1 ± `zoom`) and shifts by up to 1/10.

    What leaves the frame is gone; what enters repeats the edge.
    """
    n = len(images)
    angle = _uniform(n, -turn, turn, draw) * math.pi / 180
    scale = _uniform(n, 1 - zoom, 1 + zoom, draw)
    mirror = _uniform(n, -1, 1, draw).sign()
    cos, sin = scale * angle.cos(), scale * angle.sin()
    dx, dy = _uniform((2, n), -0.2, 0.2, draw)  # the frame is 2 wide in grid units
    rows = torch.stack([cos * mirror, -sin, dx, sin * mirror, cos, dy], dim=1)
    grid = F.affine_grid(rows.view(n, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def recolour(images: Tensor, draw: torch.Generator) -> Tensor:
    """Permutes the channels and changes gain, bias and, at times, sign of each."""
    n = len(images)
    order = _uniform((n, 3), 0, 1, draw).argsort(1)[:, :, None, None].expand_as(images)
    gain = _uniform((n, 3, 1, 1), 0.5, 1.5, draw)
    gain = torch.where(_uniform((n, 3, 1, 1), 0, 1, draw) < 0.15, -gain, gain)
    bias = _uniform((n, 3, 1, 1), -0.2, 0.2, draw)
    return ((images.gather(1, order) - 0.5) * gain + 0.5 + bias).clamp(0, 1)


def mix(images: Tensor, draw: torch.Generator) -> Tensor:
    """Blends each image with its neighbour in the batch, half of them by a share below one half."""
    share = _uniform((len(images), 1, 1, 1), -0.5, 0.5, draw).clamp(min=0)
    return images.lerp(images.roll(1, 0), share)


def scramble(images: Tensor, draw: torch.Generator, colour: bool = True) -> Tensor:
    """The strong augmentation for relabelling: jitter, colours (if `colour`), mixing and noise.

    The result needs no label of its own: the teacher says what it sees there.
    """
    images = mix(jitter(images, draw), draw)
    if colour:
        images = recolour(images, draw)
    strength = _uniform((len(images), 1, 1, 1), 0, 0.08, draw)
    shape = images.shape if colour else images[:, :1].shape  # grey stays grey
    noise = torch.randn(shape, generator=draw, device=draw.device)
    return (images + strength * noise).clamp(0, 1)
