"""What evaluation and search cost, beside the loops that people write and the bare product.

The embeddings are drawn: around one direction a class, further from it for some items than for
others, so that the easy ones lie close and the hard ones among other classes, as a student's do.
"""

import time
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite import retrieval
from dfsbir_lite.study.speed.measures import Measure, interleave, peak_extra, ratio

DIM, SPREAD = 64, 0.7
EVALUATION, SEARCH = "evaluation", "search"


def embeddings(count: int, classes: int, seed: int, dim: int = DIM) -> tuple[Tensor, Tensor]:
    """Rows (count, dim) of unit length, and their labels (count,).

    An item is its class's direction plus noise of an exponentially distributed length, on average
    `SPREAD`. Two of 100 classes and 64 dimensions have a cosine of 0 ± .12, two items of one class
    of .68 ± .23; the shipped student's photos and sketches of one class: .73 ± .32.
    """
    proxies = torch.randn(classes, dim, generator=torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=draw)
    noise = F.normalize(torch.randn(count, dim, generator=draw), dim=1)
    noise *= torch.empty(count, 1).exponential_(1 / SPREAD, generator=draw)
    return F.normalize(F.normalize(proxies, dim=1)[labels] + noise, dim=1), labels


# --- evaluation -------------------------------------------------------------------------------


def walk(found: np.ndarray, label: int) -> float:
    """Average precision of one ranking: a Python loop over the labels (G,) that were found."""
    hits, total = 0, 0.0
    for rank, found_label in enumerate(found, 1):
        if found_label == label:
            hits += 1
            total += hits / rank
    return total / max(hits, 1)


def released_loop(queries: Tensor, labels: Tensor, gallery: Tensor, gallery_labels: Tensor) -> list:
    """Average precisions as the paper's released code goes about them, on unit-length rows.

    It sorts a batch with torch and walks each ranking in Python; there only as far as the tenth
    hit, which is not mAP@all (notebook 08), and here to the end.
    """
    ranks = torch.argsort(queries @ gallery.T, dim=1, descending=True)
    pairs = zip(gallery_labels[ranks], labels.tolist(), strict=True)
    return [walk(found.numpy(), label) for found, label in pairs]


def numpy_loop(queries: Tensor, labels: Tensor, gallery: Tensor, gallery_labels: Tensor) -> list:
    """The same, query by query in numpy, whose argsort is the fastest on new processors."""
    gallery, gallery_labels = gallery.numpy(), gallery_labels.numpy()
    pairs = zip(queries.numpy(), labels.tolist(), strict=True)
    return [walk(gallery_labels[np.argsort(-(gallery @ row))], label) for row, label in pairs]


def sklearn_loop(queries: Tensor, labels: Tensor, gallery: Tensor, gallery_labels: Tensor) -> list:
    """The same, query by query with scikit-learn's `average_precision_score`."""
    gallery, gallery_labels = gallery.numpy(), gallery_labels.numpy()
    pairs = zip(queries.numpy(), labels.tolist(), strict=True)
    return [average_precision_score(gallery_labels == label, gallery @ row) for row, label in pairs]


LOOPS = {"released loop": released_loop, "numpy loop": numpy_loop, "sklearn loop": sklearn_loop}


def product(queries: Tensor, gallery: Tensor, chunk: int = 512) -> None:
    """All cosines of unit-length rows and nothing else: what no exact evaluation can do without."""
    rows, columns = queries.numpy(), np.ascontiguousarray(gallery.numpy().T)
    place = np.empty((chunk, columns.shape[1]), columns.dtype)  # the same for every chunk
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        np.matmul(part, columns, out=place[: len(part)])


def evaluation(queries: int, items: int, classes: int):
    """A case to score, drawn, and the call that scores it; what is compiled once is there."""
    rows, labels = embeddings(queries, classes, 1)
    retrieval.score(rows[:1], labels[:1], rows[:1], labels[:1])
    return partial(retrieval.score, rows, labels, *embeddings(items, classes, 2))


def measure_evaluation(
    queries: int = 10_000,
    items: int = 50_000,
    classes: int = 100,
    looped: int = 50,
    rounds: int = 5,
) -> list[Measure]:
    """`retrieval.score` beside loops over queries, of which `looped` are run."""
    call = evaluation(queries, items, classes)
    rows, labels, gallery, gallery_labels = call.args
    few = rows[:looped], labels[:looped], gallery, gallery_labels
    tasks = {"ours": call, "bare matrix product": partial(product, rows, gallery)}
    tasks |= {f"{name}, {looped} queries": partial(loop, *few) for name, loop in LOOPS.items()}
    seconds = interleave(tasks, rounds, warm=1)
    each = {name: s / (looped if "queries" in name else queries) for name, s in seconds.items()}
    ours, bare, *loops = each.values()
    peak = peak_extra(evaluation, queries, items, classes)
    measure = partial(Measure, EVALUATION)
    return [
        measure(f"{queries:,} queries × {items:,} items", _median(seconds["ours"]), "s"),
        *(measure(f"{name}: each", 1e3 * _median(s), "ms") for name, s in each.items()),
        measure("ours / bare matrix product", ratio(ours, bare), "×"),
        *(
            measure(f"{name} / bare matrix product", ratio(loop, bare), "×")
            for name, loop in zip(LOOPS, loops, strict=True)
        ),
        *(
            measure(f"{name} / ours", ratio(loop, ours), "×", least=100)
            for name, loop in zip(LOOPS, loops, strict=True)
        ),
        measure("away from sklearn, at most", _difference(*few), "AP", most=1e-6),
        *([] if peak is None else [measure("peak memory, extra", peak / 1e6, "MB", most=500)]),
    ]


def _difference(queries, labels, gallery, gallery_labels) -> float:
    """How far the average precision of any of the queries is from scikit-learn's."""
    theirs = sklearn_loop(queries, labels, gallery, gallery_labels)
    pairs = zip(queries.split(1), labels.split(1), strict=True)
    ours = [retrieval.score(*pair, gallery, gallery_labels).map_all for pair in pairs]
    return float(np.abs(np.subtract(ours, theirs)).max())


# --- search -----------------------------------------------------------------------------------


def measure_search(
    items: int = 1_000_000, classes: int = 100, k: int = 100, searched: int = 100
) -> list[Measure]:
    """One query at a time: exact search and the bare product, and faiss, where it is installed."""
    gallery, _ = embeddings(items, classes, 2)
    queries = embeddings(searched, classes, 1)[0].split(1)
    exact = retrieval.Index(gallery)
    searches = {
        "exact": partial(exact.search, k=k),
        "bare product": lambda query: query @ exact.rows.T,
    }
    if find_spec("faiss"):
        approximate, took = _approximate(gallery)
        searches["approximate"] = partial(approximate.search, k=k)
    seconds = {name: [] for name in searches}
    for query in queries:
        tasks = {name: partial(task, query) for name, task in searches.items()}
        for name, taken in interleave(tasks, 1, warm=1).items():
            seconds[name].append(taken[0])
    seconds = {name: np.array(taken) for name, taken in seconds.items()}
    measure = partial(Measure, SEARCH)
    measures = [
        measure(f"exact, 1 query in {items:,}", _median(seconds["exact"]) * 1e3, "ms", most=50),
        measure("bare product", _median(seconds["bare product"]) * 1e3, "ms"),
        measure("exact / bare product", ratio(seconds["exact"], seconds["bare product"]), "×"),
    ]
    if "approximate" in searches:
        faster = ratio(seconds["exact"], seconds["approximate"])
        measures += [
            measure("faiss, 1 query", _median(seconds["approximate"]) * 1e3, "ms"),
            measure("exact / faiss", faster, "×", least=5),
            measure(f"faiss, recall@{k}", _recall(exact, approximate, queries, k), "", least=0.95),
            measure("faiss, to build", took, "s"),
        ]
    return measures


def _approximate(gallery: Tensor) -> tuple[retrieval.Index, float]:
    """An approximate index, and the seconds that it took to build."""
    began = time.perf_counter()
    return retrieval.Index(gallery, approximate=True), time.perf_counter() - began


def _recall(exact: retrieval.Index, other: retrieval.Index, queries, k: int) -> float:
    """The share of the `k` best rows that `other` finds too."""
    pairs = ((exact.search(query, k)[1], other.search(query, k)[1]) for query in queries)
    return float(np.mean([np.isin(theirs, mine).mean() for mine, theirs in pairs]))


def _median(seconds: np.ndarray) -> float:
    return float(np.median(seconds))
