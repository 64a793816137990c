"""Random views of image batches (N, 3, H, W) in [0, 1], and textures: images without content.

`draw` is the generator that all randomness comes from; it lives on the images' device.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def _uniform(shape, low: float, high: float, draw: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=draw, device=draw.device) * (high - low) + low


def jitter(images: Tensor, draw: torch.Generator, turn: float = 10.0, zoom: float = 0.15) -> Tensor:
    """Mirror, turn (up to `turn` degrees), scale (by up to 1 ± `zoom`) and shift by up to 1/10.

    Pixels that leave the frame are lost; the edge fills the gaps.
    """
    n = len(images)
    angle = _uniform(n, -turn, turn, draw) * math.pi / 180
    scale = _uniform(n, 1 - zoom, 1 + zoom, draw)
    mirror = _uniform(n, -1, 1, draw).sign()
    cos, sin = scale * angle.cos(), scale * angle.sin()
    dx, dy = _uniform((2, n), -0.2, 0.2, draw)  # the frame is 2 wide in grid units
    rows = torch.stack([cos * mirror, -sin, dx, sin * mirror, cos, dy], dim=1)
    # what `affine_grid` gives, as sums of a row and a column: faster
    across, down, shift = rows.view(2 * n, 3, 1, 1).unbind(1)
    sides = (images.shape[3], images.shape[2])
    x, y = ((2 * torch.arange(side, device=draw.device) + 1) / side - 1 for side in sides)
    grid = (across * x + (down * y[:, None] + shift)).view(n, 2, len(y), len(x))
    grid = grid.permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def mix(images: Tensor, draw: torch.Generator) -> Tensor:
    """Blend half of the images with their neighbour in the batch, at a weight of up to 0.5."""
    share = _uniform((len(images), 1, 1, 1), -0.5, 0.5, draw).clamp(min=0)
    return images.lerp(images.roll(1, 0), share)


# --- textures ---------------------------------------------------------------------------------


def blobs(n: int, channels: int, cells: int, size: int, draw: torch.Generator) -> Tensor:
    """Draw smooth noise (n, channels, size, size): random values on a grid of `cells`, enlarged."""
    noise = torch.rand(n, channels, cells, cells, generator=draw, device=draw.device)
    return F.interpolate(noise, size=(size, size), mode="bicubic")


def contours(n: int, size: int, draw: torch.Generator) -> Tensor:
    """Draw winding lines, (n, 1, size, size) in [0, 1]: where smooth noise crosses its mean."""
    return (12 * (blobs(n, 1, 6, size, draw) - 0.5).abs()).clamp(0, 1)
