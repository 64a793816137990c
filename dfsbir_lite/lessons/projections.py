"""Embedding maps: projections of a space onto a plane, and measures of the modality gap.

Rows are embeddings (N, E) of any length; only their directions count.
"""

import threading
import warnings
from tempfile import mkdtemp

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite.retrieval import similarities

# numba's simplest threading layer ends the process if two threads use it at the same time
_one_at_a_time = threading.Lock()


def flatten(rows: Tensor, neighbours: int = 15, spread: float = 0.3, seed: int = 0) -> np.ndarray:
    """Return a UMAP projection (N, 2) of `rows`. Look at neighbourhoods, not at distances or axes.

    `neighbours` near points are tied to each point; `spread`, in [0, 1], is UMAP's `min_dist`.
    """
    settings = {"n_neighbors": min(neighbours, len(rows) - 1), "min_dist": spread}
    return _fit("UMAP", _unit(rows), {**settings, "random_state": seed})


def time_lapse(moments: list[Tensor]) -> np.ndarray:
    """Return projections (T, N, 2) of the rows (N, E) of the same pictures at T moments.

    Points move where their neighbours change, not because a map was turned (`umap.AlignedUMAP`).
    """
    same = [{i: i for i in range(len(rows))} for rows in moments[1:]]
    settings = {"min_dist": 0.3, "n_epochs": 100, "alignment_window_size": 2, "random_state": 0}
    return np.stack(_fit("AlignedUMAP", list(map(_unit, moments)), settings, relations=same))


def _unit(rows: Tensor) -> np.ndarray:
    return F.normalize(rows, dim=1).cpu().numpy()


def _fit(kind: str, rows, settings: dict, **relations):
    threads = torch.get_num_threads()  # UMAP sets the number that OpenMP uses, so PyTorch too
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TensorFlow, threads, and islands that nothing ties
        try:
            import umap  # takes some seconds: only for those who draw maps
        except RuntimeError:  # it insists on a cache, and neither its folder nor the home takes one
            from numba.core import config

            config.CACHE_DIR = mkdtemp(prefix="numba-")
            import umap

        try:
            return getattr(umap, kind)(**settings).fit_transform(rows, **relations)
        finally:
            torch.set_num_threads(threads)


def centroid_gap(photos: Tensor, sketches: Tensor) -> float:
    """Return the distance of the mean directions, in [0, 2] (Liang et al., 2022)."""
    return float((F.normalize(photos, dim=1).mean(0) - F.normalize(sketches, dim=1).mean(0)).norm())


def neighbour_mix(photos: Tensor, sketches: Tensor) -> float:
    """Return the share of sketches whose nearest neighbour among all other pictures is a photo."""
    to_sketches = similarities(sketches, sketches).fill_diagonal_(-2)  # not itself
    nearer = similarities(sketches, photos).max(1).values > to_sketches.max(1).values
    return float(nearer.float().mean())
