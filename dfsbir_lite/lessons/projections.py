"""Looking at an embedding space: flat maps of it, and measures of the gap between the modalities.

Rows are embeddings (N, E) of any length; everything here compares their directions only.
"""

import threading
import warnings
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite.retrieval import similarities

# numba's simplest threading layer ends the process if two threads use it at the same time
_one_at_a_time = threading.Lock()


def flatten(
    rows: Tensor,
    neighbours: int = 15,
    spread: float = 0.3,
    seed: int = 0,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """UMAP of `rows` (N, E): points (N, 2). Look at neighbourhoods, not at distances or axes.

    Args:
        neighbours: how many near points each point is tied to; few show detail, many the whole.
        spread: how far apart close points are drawn, UMAP's `min_dist`, in [0, 1].
        start: where the points begin (N, 2); by default UMAP chooses.

    One thread, so that a seed gives the same map again on the same machine; other machines draw
    another one. Calls from several threads wait for each other.
    """
    with _one_at_a_time, warnings.catch_warnings():
        # of TensorFlow, which we do not need, and of islands that no tie connects, which we want
        warnings.simplefilter("ignore")
        import umap  # takes some seconds: only for those who draw maps

        reducer = umap.UMAP(
            n_neighbors=min(neighbours, len(rows) - 1),
            min_dist=spread,
            random_state=seed,
            n_jobs=1,
            init="spectral" if start is None else start,
        )
        return reducer.fit_transform(F.normalize(rows, dim=1).cpu().numpy())


def aligned(points: np.ndarray, to: np.ndarray) -> np.ndarray:
    """`points` (N, 2) turned, mirrored, scaled and moved to lie as near as possible to `to` (N, 2).

    That is all one may do to a map without changing what it says (orthogonal Procrustes).
    """
    mean, wanted = points.mean(0), to.mean(0)
    left, sizes, right = np.linalg.svd((points - mean).T @ (to - wanted))
    scale = sizes.sum() / ((points - mean) ** 2).sum()
    return (scale * (points - mean) @ left @ right + wanted).astype(np.float32)


def flatten_course(course: Iterable[Tensor], **options) -> np.ndarray:
    """Maps (T, N, 2) of the same N pictures at T moments, each laid beside the next one.

    The last moment gets a map as `flatten` draws it, with these `options`. Going back in time, each
    earlier map starts from the points of the one after it and is `aligned` to it, so that a point
    moves between two frames where its neighbours change, and not because a map was turned.

    Args:
        course: rows (N, E) of each moment, first to last.
    """
    frames: list[np.ndarray] = []
    for rows in reversed(list(course)):
        points = flatten(rows, start=frames[-1] if frames else None, **options)
        frames.append(aligned(points, frames[-1]) if frames else points)
    return np.stack(frames[::-1])


def centroid_gap(photos: Tensor, sketches: Tensor) -> float:
    """Distance between the mean directions of both modalities, in [0, 2] (Liang et al., 2022)."""
    difference = F.normalize(photos, dim=1).mean(0) - F.normalize(sketches, dim=1).mean(0)
    return float(difference.norm())


def neighbour_mix(photos: Tensor, sketches: Tensor) -> float:
    """The share of sketches whose nearest neighbour among all other pictures is a photo.

    0 where the modalities live apart; about the photos' share of all pictures where they mix.
    """
    to_photos = similarities(sketches, photos)
    to_sketches = similarities(sketches, sketches).fill_diagonal_(-2)  # not itself
    return float((to_photos.max(1).values > to_sketches.max(1).values).float().mean())


def pair_cosines(
    sketches: Tensor, sketch_labels: Tensor, photos: Tensor, photo_labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Cosines of all sketch-photo pairs: those of the same class, and those of different ones."""
    cosines = similarities(sketches, photos)
    same = sketch_labels[:, None] == photo_labels
    return cosines[same], cosines[~same]


def centred(rows: Tensor) -> Tensor:
    """`rows` as unit vectors with their mean taken away: the modality's common part is gone."""
    rows = F.normalize(rows, dim=1)
    return rows - rows.mean(0)


def joint(photos: Tensor, sketches: Tensor) -> tuple[Tensor, Tensor]:
    """Both modalities as one set: unit rows (N, E), and which of them are sketches (N,)."""
    rows = torch.cat([F.normalize(photos, dim=1), F.normalize(sketches, dim=1)])
    return rows, torch.arange(len(rows)) >= len(photos)
