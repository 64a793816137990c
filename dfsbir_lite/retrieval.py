"""Embed, rank, score, search. Knows nothing of training.

Conventions: similarity is the cosine; average precision is the plain, non-interpolated one over
all relevant gallery items; ties keep the gallery's order.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite.runtime import UserError


@dataclass(frozen=True)
class Scores:
    """Means over queries, each in [0, 1].

    Attributes:
        map_all: mAP@all, average precision over the whole ranking.
        map_200: mAP@200, over the first 200; divides by min(200, relevant items).
        prec_100, prec_200: Prec@k, the share of relevant items among the first k (of the whole
            gallery if that is smaller).
        chance: what a random ranking's precision is expected to be: the mean share of relevant
            items in the gallery.
    """

    map_all: float
    map_200: float
    prec_100: float
    prec_200: float
    chance: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def embed(readout, images: Tensor, modality: str, batch: int = 256, device="cpu") -> Tensor:
    """`readout` applied to uint8 `images` (N, 3, H, W), batch by batch: (N, E) on the CPU.

    Args:
        readout: maps float images in [0, 1] and their modality to rows, as `Encoders.embed` does.
    """

    def rows(part):
        return readout(part.to(device).float() / 255, modality).float().cpu()

    with torch.no_grad():
        return torch.cat([rows(part) for part in images.split(batch)])


def similarities(queries: Tensor, gallery: Tensor) -> Tensor:
    """Cosines (Q, G) between rows of `queries` (Q, E) and of `gallery` (G, E)."""
    return F.normalize(queries, dim=1) @ F.normalize(gallery, dim=1).T


def search(
    query: Tensor, gallery: Tensor, k: int = 10, among: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The `k` best gallery rows for each query row: cosines (Q, k) and indices (Q, k).

    Args:
        among: bool (G,), the rows that may be found; by default all.
    """
    places = torch.arange(len(gallery)) if among is None else among.nonzero().flatten()
    cosines = similarities(query, gallery[places])
    best = cosines.sort(dim=1, descending=True, stable=True)
    return best.values[:, :k], places[best.indices[:, :k]]


def occlusion(readout, image: Tensor, modality: str, target: Tensor, device="cpu") -> Tensor:
    """What in `image` its cosine to `target` hangs on: the fall when a patch of it is hidden.

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


def average_precision(relevant: Tensor, k: int | None = None) -> Tensor:
    """Average precision of each ranking.

    Args:
        relevant: bool (Q, G), whether the item at each rank is relevant.
        k: look at the first k ranks only, and divide by min(k, relevant items).

    Returns: (Q,); 0 where nothing is relevant.
    """
    top = relevant[:, :k].float()
    precision = top.cumsum(1) / torch.arange(1, top.shape[1] + 1, device=top.device)
    total = relevant.sum(1).clamp(max=k or relevant.shape[1])
    return (precision * top).sum(1) / total.clamp(min=1)


def score(
    queries: Tensor, query_labels: Tensor, gallery: Tensor, gallery_labels: Tensor, chunk: int = 512
) -> Scores:
    """Ranks the gallery for every query and scores the rankings.

    Args:
        queries, gallery: rows (Q, E) and (G, E), of any length.
        query_labels, gallery_labels: (Q,), (G,); equal labels are relevant to each other.
        chunk: queries ranked at a time, so that memory does not grow with Q × G.

    Raises UserError if either side is empty.
    """
    if not len(queries) or not len(gallery):
        raise UserError("retrieval needs at least one query and one gallery image")
    gallery = F.normalize(gallery, dim=1)
    sums = torch.zeros(5, dtype=torch.float64)
    for rows, labels in zip(queries.split(chunk), query_labels.split(chunk), strict=True):
        order = (F.normalize(rows, dim=1) @ gallery.T).argsort(dim=1, descending=True, stable=True)
        hits = gallery_labels[order] == labels[:, None]
        values = [
            average_precision(hits),
            average_precision(hits, 200),
            hits[:, :100].float().mean(1),
            hits[:, :200].float().mean(1),
            hits.float().mean(1),
        ]
        sums += torch.stack(values).double().sum(1)
    return Scores(*(sums / len(queries)).tolist())
