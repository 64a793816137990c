"""Where a network looks: what happens when a part of the picture is hidden."""

import torch
from torch import Tensor

from dfsbir_lite.retrieval import ReadOut, embed, similarities


def occlusion(
    readout: ReadOut, image: Tensor, modality: str, target: Tensor, device="cpu"
) -> Tensor:
    """Map how much the cosine of `image` to `target` falls when a patch of it is hidden.

    Args:
        image: uint8 (3, H, H). target: (E,), the row of a picture that it is compared with.

    A square of a quarter of the side moves over the image. What it hides becomes blank paper in a
    sketch, and the mean colour in a photo. Returns (H, H): for each pixel the mean fall of the
    patches that cover it; negative where hiding brings the two closer.
    """
    side = image.shape[-1]
    patch, step = side // 4, max(1, side // 10)
    starts = sorted({*range(0, side - patch, step), side - patch})
    corners = [(top, left) for top in starts for left in starts]
    blank = 255.0 if modality == "sketch" else image.float().mean((1, 2), keepdim=True)
    hidden = torch.zeros(len(corners), side, side)
    for mask, (top, left) in zip(hidden, corners, strict=True):
        mask[top : top + patch, left : left + patch] = 1
    views = torch.where(hidden[:, None].bool(), blank, image.float()).round().byte()
    rows = embed(readout, torch.cat([image[None], views]), modality, device=device)
    whole, *parts = similarities(rows, target[None])
    falls = (whole - torch.stack(parts)).view(-1, 1, 1)
    return (hidden * falls).sum(0) / hidden.sum(0)
