"""ToyBox: an embedded benchmark of photos and sketches, drawn by code.

Sixteen kinds of objects, twelve of them seen in training and four kept unseen. A photo and a
sketch of a class come from the same family of shapes, but each picture rolls its own dice, so
there are no photo-sketch pairs. A seed gives the same picture content at every size.
"""

import numpy as np

from . import shapes
from .geometry import Dice
from .photo import photograph
from .sketch import scribble

SEEN = (
    "mug", "teacup", "car", "truck", "key", "spoon",
    "tree", "mushroom", "fish", "boat", "house", "umbrella",
)  # fmt: skip
UNSEEN = ("teapot", "bus", "fork", "lighthouse")
CLASSES = SEEN + UNSEEN
MODALITIES = ("photo", "sketch")
SPLITS = ("train", "val", "test")

_SMALLEST = 16
_CHUNK = 100  # images drawn by one job
_SMALL_JOB = 1000  # images at 32 px that are drawn before worker processes would have started


def _check(modality, split, names, size, seed):
    """Raise ValueError, naming the bad value and what is allowed."""
    for what, value, allowed in (("modality", modality, MODALITIES), ("split", split, SPLITS)):
        if value not in allowed:
            raise ValueError(f"unknown {what} {value!r}; choose one of {', '.join(allowed)}")
    for name in names:
        if name not in CLASSES:
            raise ValueError(f"unknown class {name!r}; choose from {', '.join(CLASSES)}")
    if size < _SMALLEST:
        raise ValueError(f"size {size!r} is too small; use {_SMALLEST} pixels or more")
    if seed < 0:
        raise ValueError(f"seed {seed!r} is negative; use 0 or more")


def draw(modality, name, index=0, *, split="train", size=32, seed=0):
    """Draw one picture.

    modality: "photo" or "sketch". name: one of `CLASSES`. index: which picture of the class.
    Returns (size, size, 3) uint8 RGB. Raises ValueError for unknown names or size < 16.
    """
    _check(modality, split, (name,), size, seed)
    if index < 0:
        raise ValueError(f"index {index!r} is negative; use 0 or more")
    return _draw(modality, name, index, split, size, seed)


def _draw(modality, name, index, split, size, seed):
    dice = Dice(seed, SPLITS.index(split), MODALITIES.index(modality), CLASSES.index(name), index)
    parts = getattr(shapes, name)(dice)
    make = photograph if modality == "photo" else scribble
    return make(parts, name, dice, size)


def _batch(modality, name, indices, split, size, seed):
    """Pictures of one class, (n, 3, size, size) uint8."""
    images = np.empty((len(indices), 3, size, size), np.uint8)
    for row, index in enumerate(indices):
        picture = _draw(modality, name, index, split, size, seed)
        images[row] = picture.transpose(2, 0, 1)
    return images


def _batch_in_worker(*job):
    """`_batch` in a process of its own, where cv2 must not start threads as well."""
    import cv2

    cv2.setNumThreads(1)
    return _batch(*job)


def render(
    modality, split, *, classes=SEEN, per_class=100, size=32, seed=0, workers=None, watch=None
):
    """Draw a labelled set, ordered class by class.

    Returns images (N, 3, size, size) uint8 and labels (N,) int64 that index into `classes`,
    with N = len(classes) * per_class. workers: number of processes; None uses every core for
    big jobs and stays in this process for small ones. Image i of a class does not depend on
    per_class, on the other classes, or on workers. watch: called with an iterable of finished
    batches and their number, returns an iterable over them; for a progress bar. Raises ValueError
    as `draw` does.
    """
    if isinstance(classes, str):
        raise ValueError(f"classes {classes!r} is one name; pass a sequence such as ({classes!r},)")
    classes = tuple(classes)
    _check(modality, split, classes, size, seed)
    if per_class < 0:
        raise ValueError(f"per_class {per_class!r} is negative; ask for 0 images or more")
    jobs = [
        (modality, name, range(start, min(start + _CHUNK, per_class)), split, size, seed)
        for name in classes
        for start in range(0, per_class, _CHUNK)
    ]
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), per_class)
    batches = _run(jobs, _workers(workers, len(labels) * (size / 32) ** 2))
    if watch is not None:
        batches = watch(batches, len(jobs))
    empty = np.empty((0, 3, size, size), np.uint8)
    return np.concatenate([empty, *batches]), labels


def _workers(workers, load):
    """Processes to use for a load counted in 32 px images."""
    if workers is not None:
        if workers < 1:
            raise ValueError(f"workers {workers!r} is too few; use 1 or more, or None")
        return workers
    if load < _SMALL_JOB:
        return 1
    from joblib import cpu_count  # unlike os.cpu_count, it respects containers' limits

    return cpu_count()


def _run(jobs, workers):
    """The batches of all jobs, in order, as they are finished."""
    if workers == 1:
        return (_batch(*job) for job in jobs)
    from joblib import Parallel, delayed

    return Parallel(n_jobs=workers, return_as="generator")(
        delayed(_batch_in_worker)(*job) for job in jobs
    )
