"""Ranks of a query's relevant items, counted instead of sorted: the inner loop of evaluation.

Compiled at its first use on a machine, which takes some seconds, and read from a cache after that.
"""

import numpy as np
from numba import njit

BINS = 4096


def ranks(distances: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Ranks (Q, R) of the items `relevant`, from 1, rising; equally distant ones keep their order.

    Args:
        distances: (Q, G), C-contiguous, finite.
        relevant: (R,), rising places in the gallery, at least one.
    """
    mine = distances[:, relevant]
    order = mine.argsort(axis=1, kind="stable")
    return _count(distances, np.take_along_axis(mine, order, 1), relevant[order])


@njit(nogil=True, cache=True)
def _count(distances, ends, places):
    """For each query, how many items there are up to each of its rising `ends` (Q, R).

    The ends are the distances of the items at `places` (Q, R). For the ranks of all items one has
    to sort; for those of a few it is enough to count what lies between two of them. Bins of equal
    width say at once where an item belongs, unless it shares its bin with an end.
    """
    queries, items = distances.shape
    found = np.empty(ends.shape, np.int64)
    near, where = np.empty(items, distances.dtype), np.empty(items, np.int32)
    bins, first_end = np.empty(items, np.int32), np.empty(BINS + 1, np.int32)
    for query in range(queries):
        row, mine, place = distances[query], ends[query], places[query]
        first, last = mine[0], mine[-1]
        scale = np.float32((BINS - 1) / max(last - first, 1e-30))
        # without a branch, which would often be guessed wrong: the next item is written over one
        # that lies behind the last end
        count = 0
        for item in range(items):
            near[count], where[count] = row[item], item
            count += row[item] <= last
        for i in range(count):
            bins[i] = np.int32(max((near[i] - first) * scale, np.float32(0)))
        first_end[:] = 0
        for end in mine:
            first_end[np.int32((end - first) * scale) + 1] += 1
        for b in range(BINS):
            first_end[b + 1] += first_end[b]
        between = np.zeros(len(mine) + 1, np.int64)  # the last for those equal to the last end
        for i in range(count):
            low, high = first_end[bins[i]], first_end[bins[i] + 1]
            while low < high:
                middle = (low + high) // 2
                end = mine[middle]
                if end < near[i] or (end == near[i] and place[middle] < where[i]):
                    low = middle + 1
                else:
                    high = middle
            between[low] += 1
        found[query] = between[:-1].cumsum()
    return found
