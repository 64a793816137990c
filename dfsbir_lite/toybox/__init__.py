"""ToyBox: an embedded benchmark of photos and sketches, drawn by code.

Sixteen kinds of objects, twelve of them seen in training and four kept unseen. A photo and a
sketch of a class come from the same family of shapes, but each picture rolls its own dice, so
there are no photo-sketch pairs. A seed gives the same picture content at every size.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from dfsbir_lite.toybox import kitchen, outdoors, vehicles
from dfsbir_lite.toybox.geometry import Dice
from dfsbir_lite.toybox.photo import photograph
from dfsbir_lite.toybox.sketch import scribble

SEEN = (
    "mug", "teacup", "car", "truck", "key", "spoon",
    "tree", "mushroom", "fish", "boat", "house", "umbrella",
)  # fmt: skip
UNSEEN = ("teapot", "bus", "fork", "lighthouse")
CLASSES = SEEN + UNSEEN
SHAPES = {**vars(kitchen), **vars(outdoors), **vars(vehicles)}  # a class: its parts, by dice
MODALITIES = ("photo", "sketch")
SPLITS = ("train", "val", "test")

_CHUNK = 100  # images drawn by one job
_SMALL_JOB = 1000  # images at 32 px that are drawn before worker processes would have started
_LARGE_JOB = 2000  # and that take seconds: these have a bar, whatever the machine's speed


def draw(
    modality: str, name: str, index: int = 0, *, split: str = "train", size: int = 32, seed: int = 0
) -> np.ndarray:
    """Draw one picture: (size, size, 3) uint8 RGB.

    modality: "photo" or "sketch". name: one of `CLASSES`. index: which picture of the class.
    Raises ValueError, naming the choices, for an unknown modality, split or class.
    """
    known = (("modality", modality, MODALITIES), ("split", split, SPLITS), ("class", name, CLASSES))
    for what, value, allowed in known:
        if value not in allowed:
            raise ValueError(f"unknown {what} {value!r}; choose one of {', '.join(allowed)}")
    dice = Dice(seed, SPLITS.index(split), MODALITIES.index(modality), CLASSES.index(name), index)
    parts = SHAPES[name](dice)
    paint = photograph if modality == "photo" else scribble
    return paint(parts, name, dice, size)


def _batch(modality: str, name: str, indices: range, about: dict) -> np.ndarray:
    """Draw pictures of one class, (n, 3, size, size) uint8."""
    pictures = [draw(modality, name, index, **about) for index in indices]
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))


def _batch_in_worker(*job) -> np.ndarray:
    """Draw a `_batch` in a process of its own, where cv2 must not start threads as well."""
    cv2.setNumThreads(1)
    return _batch(*job)


def render(
    modality: str,
    split: str,
    *,
    classes: Sequence[str] = SEEN,
    per_class: int = 100,
    size: int = 32,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a labelled set, class by class.

    Returns images (N, 3, size, size) uint8 and labels (N,) int64 that index into `classes`,
    with N = len(classes) * per_class. Image i of a class depends neither on per_class nor on the
    other classes. Large sets are drawn by every core. Raises ValueError as `draw` does.
    """
    about = {"split": split, "size": size, "seed": seed}
    jobs = [
        (modality, name, range(start, min(start + _CHUNK, per_class)), about)
        for name in classes
        for start in range(0, per_class, _CHUNK)
    ]
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), per_class)
    work = len(labels) * (size / 32) ** 2
    if work < _SMALL_JOB:
        batches = (_batch(*job) for job in jobs)
    else:
        from joblib import Parallel, delayed  # takes a moment: only for large sets

        from dfsbir_lite.runtime import progress

        calls = (delayed(_batch_in_worker)(*job) for job in jobs)
        drawn = Parallel(n_jobs=-1, return_as="generator")(calls)
        bar = {"desc": f"drawing {modality} images", "total": len(jobs)}
        batches = progress(drawn, **bar) if work >= _LARGE_JOB else drawn
    return np.concatenate([np.empty((0, 3, size, size), np.uint8), *batches]), labels
