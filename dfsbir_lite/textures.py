"""Random pictures that mean nothing: coloured clouds, and dark contours on white paper.

`draw` is the generator that all randomness comes from; the pictures lie on its device.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def _blobs(n: int, channels: int, cells: int, size: int, draw: torch.Generator) -> Tensor:
    """Smooth noise (n, channels, size, size): random values on a grid of `cells`, enlarged."""
    noise = torch.rand(n, channels, cells, cells, generator=draw, device=draw.device)
    # interpolation is linear: as two products it takes a tenth of its time
    identity = torch.eye(cells, device=draw.device)[None, None]
    enlarge = F.interpolate(identity, size=(size, cells), mode="bicubic")
    return enlarge @ noise @ enlarge.mT


def clouds(n: int, size: int, draw: torch.Generator) -> Tensor:
    """Coloured noise of several scales, (n, 3, size, size) from 0 to 1 in each image."""
    images = sum(_blobs(n, 3, cells, size, draw) / cells**0.5 for cells in (2, 4, 8, 16, size))
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low)


def contours(n: int, size: int, draw: torch.Generator) -> Tensor:
    """Winding lines, (n, 1, size, size) in [0, 1]: where smooth noise crosses its mean."""
    return (12 * (_blobs(n, 1, 6, size, draw) - 0.5).abs()).clamp(0, 1)
