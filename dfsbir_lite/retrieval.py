"""Embed, rank, score, search. This file knows nothing of training.

Conventions: similarity is the cosine; average precision is the plain, non-interpolated one over
all relevant gallery items; ties keep the gallery's order.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from threading import Lock

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite.runtime import UserError, counter
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

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def embed(readout, images: Tensor, modality: str, batch: int = 256, device="cpu") -> Tensor:
    """Apply `readout` to uint8 `images` (N, 3, H, W), batch by batch; return (N, E) on the CPU.

    Args:
        readout: maps float images in [0, 1] and their modality to rows, as `Encoders.embed` does.
    """

    def rows(part):
        return readout(part.to(device).float() / 255, modality).float().cpu()

    with torch.no_grad():
        return torch.cat([rows(part) for part in images.split(batch)])


def similarities(queries: Tensor, gallery: Tensor) -> Tensor:
    """Return the cosines (Q, G) between rows of `queries` (Q, E) and of `gallery` (G, E)."""
    return F.normalize(queries, dim=1) @ F.normalize(gallery, dim=1).T


class Index:
    """A gallery (G, E) to search many times: its rows are brought to unit length once."""

    def __init__(self, gallery: Tensor):
        self.rows = _unit(gallery)

    def search(
        self, query: Tensor, k: int = 10, among: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Find the `k` best rows for each query row: cosines (Q, k) and indices (Q, k).

        Args:
            among: bool (G,), the rows to search; by default all.
        """
        places = torch.arange(len(self.rows)) if among is None else among.nonzero().flatten()
        cosines = _unit(query) @ (self.rows if among is None else self.rows[places]).T
        best = torch.zeros(len(cosines), min(k, len(places)), dtype=torch.long)
        for row, found in zip(cosines.numpy(), best.numpy(), strict=True):
            found[:] = _first(row, k)
        return cosines.gather(1, best), places[best]


def search(
    query: Tensor, gallery: Tensor, k: int = 10, among: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Search a gallery once, see `Index.search`."""
    return Index(gallery).search(query, k, among)


def _unit(rows: Tensor) -> Tensor:
    """Return `rows` (N, E) with length 1, or 0 for those that hold infinity or nan."""
    rows = rows.detach().to(torch.promote_types(rows.dtype, torch.float32))
    return F.normalize(rows, dim=1).nan_to_num_(0.0)


def _first(cosines: np.ndarray, k: int) -> np.ndarray:
    """Find the `k` largest of `cosines` (G,), the largest first; of equal ones the first."""
    if k < len(cosines):
        least = np.partition(cosines, -k)[-k]
        reached = np.flatnonzero(cosines >= least)  # more than k if several are equal to the least
    else:
        reached = np.arange(len(cosines))
    return reached[np.argsort(-cosines[reached], kind="stable")[:k]]


def average_precision(relevant: Tensor, k: int | None = None) -> Tensor:
    """Return the average precision of each ranking.

    Args:
        relevant: bool (Q, G), whether the item at each rank is relevant.
        k: look at the first k ranks only, and divide by min(k, relevant items).

    Returns: (Q,); 0 where nothing is relevant.
    """
    relevant = relevant.cpu().numpy()
    ranks = np.where(relevant, np.arange(1, relevant.shape[1] + 1), np.inf)
    return torch.from_numpy(_average_precision(np.sort(ranks, 1), relevant.sum(1), k)).float()


def _average_precision(ranks: np.ndarray, items, k: int | None = None) -> np.ndarray:
    """Return average precisions (Q,).

    Args:
        ranks: (Q, R), those of the relevant items, rising from 1, with infinity for none.
        items: how many items are relevant, one number or (Q,).
    """
    k = k or np.inf
    precision = np.arange(1, ranks.shape[1] + 1) / ranks * (ranks <= k)
    return precision.sum(1) / np.clip(items, 1, k)


def score(queries: Tensor, query_labels: Tensor, gallery: Tensor, gallery_labels: Tensor) -> Scores:
    """Rank the gallery for every query and score the rankings.

    All figures follow from the ranks of the relevant items, which `item_ranks` finds without
    sorting the others. Memory does not grow with Q × G.

    Args:
        queries, gallery: rows (Q, E) and (G, E), of any length.
        query_labels, gallery_labels: (Q,), (G,); equal labels are relevant to each other.

    Raises UserError if either side is empty.
    """
    if not len(queries) or not len(gallery):
        raise UserError("retrieval needs at least one query and one gallery image")
    rows = _unit(queries).cpu().numpy()
    columns = np.ascontiguousarray(-_unit(gallery).cpu().numpy().T)
    labels, item_labels = query_labels.cpu().numpy(), gallery_labels.cpu().numpy()
    threads = torch.get_num_threads()
    chunk = max(1, min(128, HELD // (threads * len(gallery))))

    def figures(parts) -> np.ndarray:
        """Sum the figures of `parts`, whose products share memory: allocating costs as much."""
        place = np.empty((chunk, len(gallery)), np.result_type(rows, columns))
        sums = np.zeros(5)
        for label, part in parts:
            distances = np.matmul(part, columns, out=place[: len(part)])
            ranks = item_ranks(distances, np.flatnonzero(item_labels == label))
            sums += _figures(ranks, len(gallery)).sum(1)
        return sums

    alike = {label: rows[labels == label] for label in np.intersect1d(labels, item_labels)}
    parts = [(k, part) for k, v in alike.items() for part in np.array_split(v, -(-len(v) // chunk))]
    # each thread makes its own products and counts, and lets go of the GIL in both
    with ONE_AT_A_TIME, threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        sums = sum(pool.map(figures, (parts[i::threads] for i in range(threads))), np.zeros(5))
    return Scores(*(sums / len(queries)).tolist())


def _figures(ranks: np.ndarray, size: int) -> np.ndarray:
    """Return the figures of `Scores` (5, Q) from rising ranks (Q, R) in a gallery of `size`."""
    items = ranks.shape[1]
    average = [_average_precision(ranks, items, k) for k in (None, 200)]
    precisions = [(ranks <= k).sum(1) / min(k, size) for k in (100, 200)]
    return np.stack([*average, *precisions, np.full(len(ranks), items / size)])


def item_ranks(distances: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Return the ranks (Q, R) of the items `relevant`, from 1, rising; ties keep their order.

    Args:
        distances: (Q, G), C-contiguous, finite.
        relevant: (R,), rising places in the gallery, at least one.
    """
    mine = distances[:, relevant]
    order = mine.argsort(axis=1, kind="stable")
    return counter()(distances, np.take_along_axis(mine, order, 1), relevant[order])


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

    def logits(images: Tensor, modality: str) -> Tensor:
        return getattr(teachers, modality)(images).logits

    return {
        "teacher features": lambda images, modality: getattr(teachers, modality)(images).features,
        "teacher logits": logits,
        "teacher posteriors": lambda images, modality: F.softmax(logits(images, modality), 1),
    }
