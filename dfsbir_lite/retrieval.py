"""Embed, rank, score, search. This file knows nothing of training.

Conventions: similarity is the cosine; average precision is the plain, non-interpolated one over
all relevant gallery items. Items of exactly equal cosine are tied, as those of equal rows are; a
score is the mean over all orders of what is tied, and a search gives it in the gallery's order.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from scipy.special import digamma
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite.runtime import UserError, count
from dfsbir_lite.teachers import Teachers

# A read-out maps (images in [0, 1], modality) to rows that are compared by cosine.
ReadOut = Callable[[Tensor, str], Tensor]

HELD = 2**25  # cosines that scoring keeps at a time, of all threads together: 134 MB
ONE_AT_A_TIME = Lock()  # around limits that hold for the whole process


@dataclass(frozen=True)
class Scores:
    """Means over queries, each in [0, 1]."""

    map_all: float  # mAP@all, average precision over the whole ranking
    map_200: float  # over the first 200; divides by min(200, relevant items)
    prec_100: float  # the share of relevant items among the first 100
    prec_200: float
    chance: float  # the precision that a random ranking can expect


def embed(readout: ReadOut, images: Tensor, modality: str, batch=256, device="cpu") -> Tensor:
    """Apply `readout` to uint8 `images` (N, 3, H, W), batch by batch; return (N, E) on the CPU."""
    with torch.no_grad():
        inputs = (part.to(device).float() / 255 for part in images.split(batch))
        return torch.cat([readout(part, modality).float().cpu() for part in inputs])


def similarities(queries: Tensor, gallery: Tensor) -> Tensor:
    """Return the cosines (Q, G) between rows of `queries` (Q, E) and of `gallery` (G, E)."""
    return F.normalize(queries, dim=1) @ F.normalize(gallery, dim=1).T


def search(
    query: Tensor, gallery: Tensor, k: int = 10, among: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Find the `k` best gallery rows for each query row: cosines (Q, k) and indices (Q, k).

    `among`, bool (G,), are the rows to search; by default all.
    """
    places = torch.arange(len(gallery)) if among is None else among.nonzero().flatten()
    rows = _unit(gallery, "gallery row")[places]
    cosines = _unit(query, "query") @ rows.T
    best = torch.zeros(len(cosines), min(k, len(places)), dtype=torch.long)
    for row, found in zip(cosines.numpy(), best.numpy(), strict=True):
        found[:] = _first(row, k)
    return cosines.gather(1, best), places[best]


def _unit(rows: Tensor, what: str) -> Tensor:
    """Return `rows` (N, E) with length 1, or 0. UserError, naming a row, if one is not finite."""
    rows = rows.detach().contiguous().to(torch.promote_types(rows.dtype, torch.float32))
    if broken := (~rows.isfinite().all(1)).nonzero().flatten().tolist():
        raise UserError(f"{what} {broken[0]} of {len(rows)} is not finite: it cannot be ranked")
    return F.normalize(rows, dim=1)


def _first(cosines: np.ndarray, k: int) -> np.ndarray:
    """Find the `k` largest of `cosines` (G,), the largest first; of equal ones the first."""
    least = np.partition(cosines, -k)[-k] if k < len(cosines) else -np.inf
    reached = np.flatnonzero(cosines >= least)  # more than k if several are equal to the least
    return reached[np.argsort(-cosines[reached], kind="stable")[:k]]


def average_precision(relevant: Tensor, k: int | None = None, cosines=None) -> Tensor:
    """Return the average precision of each ranking, or its mean over all orders of what is tied.

    Args:
        relevant: bool (Q, G), whether the item at each rank is relevant.
        k: look at the first k ranks only, and divide by min(k, relevant items).
        cosines: (Q, G), falling, of the items; those with equal ones are tied. By default none are.

    Returns: (Q,); 0 where nothing is relevant.
    """
    hits, size = relevant.cpu().numpy(), relevant.shape[1]
    found = np.pad(hits.cumsum(1), [(0, 0), (1, 0)])  # up to each rank, from rank 0
    if cosines is None:
        ranks = np.arange(1, size + 1)
        parts = found[:, 1:] / ranks * (hits & (ranks <= (k or size)))
    else:
        closer, tied = count(*2 * [-cosines.cpu().numpy()])[:2]
        before, after = (np.take_along_axis(found, rank, 1) for rank in (closer, closer + tied))
        parts = hits * _precision(closer, tied, before, after - before, k or size)
    return torch.from_numpy(parts.sum(1) / np.clip(hits.sum(1), 1, k)).float()


def _precision(closer, tied, before, alike, k: int) -> np.ndarray:
    """Return what each item can expect to add to the sum of precisions up to rank `k`: (Q, R).

    `closer` items are closer, `before` of them relevant; `tied` are as close, itself among them,
    and `alike` of them relevant. Its rank is closer + j, as likely for each j from 1 to tied; of
    j - 1 tied ones ahead, (j - 1)(alike - 1) / (tied - 1) are relevant (McSherry, Najork, 2008).
    """
    reached = np.clip(k - closer, 0, tied)
    share = (alike - 1) / np.maximum(tied - 1, 1)
    rest = before + 1 - share * (closer + 1)  # at rank r there are rest + share * r hits
    # 1 / n, summed over the ranks that are reached, is a difference of digammas
    return (share * reached + rest * (digamma(closer + reached + 1) - digamma(closer + 1))) / tied


def score(queries: Tensor, query_labels: Tensor, gallery: Tensor, gallery_labels: Tensor) -> Scores:
    """Rank the gallery for every query and score the rankings.

    All figures follow from how many items are closer than each relevant one, and how many tied,
    from one sort of each query's distances. Memory does not grow with Q × G.

    Args:
        queries, gallery: rows (Q, E) and (G, E), of any length.
        query_labels, gallery_labels: (Q,), (G,); equal labels are relevant to each other.

    Raises UserError if either side is empty or holds a row that is not finite.
    """
    if not len(queries) or not len(gallery):
        raise UserError("retrieval needs at least one query and one gallery image")
    rows, items = _unit(queries, "query").cpu().numpy(), _unit(gallery, "gallery row").cpu().numpy()
    columns = np.ascontiguousarray(-items.T)
    _, first, same = np.unique(items.view(f"V{items[0].nbytes}"), True, True)
    originals = first[same.ravel()]  # for each item the first that has an equal row
    copies = np.flatnonzero(originals != np.arange(len(items)))
    labels, item_labels = query_labels.cpu().numpy(), gallery_labels.cpu().numpy()
    threads = torch.get_num_threads()
    chunk = max(1, min(128, HELD // (threads * len(gallery))))

    def figures(parts) -> np.ndarray:
        """Sum the figures of `parts`, whose products share memory: allocating costs as much."""
        place = np.empty((chunk, len(gallery)), np.result_type(rows, columns))
        sums = np.zeros(5)
        for label, part in parts:
            distances = np.matmul(part, columns, out=place[: len(part)])
            distances[:, copies] = distances[:, originals[copies]]  # else rounded apart
            sums += _figures(distances, np.flatnonzero(item_labels == label)).sum(1)
        return sums

    alike = {label: rows[labels == label] for label in np.intersect1d(labels, item_labels)}
    parts = [(k, part) for k, v in alike.items() for part in np.array_split(v, -(-len(v) // chunk))]
    # each thread makes its own products and counts, and lets go of the GIL in both
    with ONE_AT_A_TIME, threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        sums = sum(pool.map(figures, (parts[i::threads] for i in range(threads))), np.zeros(5))
    return Scores(*(sums / len(queries)).tolist())


def _figures(distances: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Return the figures of `Scores` (5, Q) from (Q, G) and the places (R,) of relevant items."""
    counts = count(distances, np.sort(distances[:, relevant], axis=1))
    (size, items), (closer, tied) = (distances.shape[1], len(relevant)), counts[:2]
    average = [_precision(*counts, k).sum(1) / min(k, items) for k in (size, 200)]
    found = [(np.clip(k - closer, 0, tied) / tied).sum(1) / min(k, size) for k in (100, 200)]
    return np.stack([*average, *found, np.full(len(distances), items / size)])


def evaluate(readout: ReadOut, photos, sketches, device="cpu") -> Scores:
    """Score sketches as queries against photos as the gallery, each a `data.ImageSet`."""
    gallery = embed(readout, photos.images, "photo", device=device)
    queries = embed(readout, sketches.images, "sketch", device=device)
    return score(queries, sketches.labels, gallery, photos.labels)


def teacher_readouts(teachers: Teachers) -> dict[str, ReadOut]:
    """Return the read-outs that need no student: the teachers' features, logits and posteriors.

    Features are the paper's baseline "classifier only" (our reading). Where both teachers are
    good, posteriors find seen classes almost perfectly: a student has to be judged beside them.
    """

    def read(images: Tensor, modality: str):
        return getattr(teachers, modality)(images)

    return {
        "teacher features": lambda *given: read(*given).features,
        "teacher logits": lambda *given: read(*given).logits,
        "teacher posteriors": lambda *given: F.softmax(read(*given).logits, 1),
    }
