"""How costs grow: seconds and memory against batch, resolution, classes and gallery."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from dfsbir_lite.models import SmallResNet
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import profile, progress
from dfsbir_lite.students import Distillation, distill, new_encoders
from dfsbir_lite.study.speed.measures import interleave, peak_extra
from dfsbir_lite.study.speed.ranking import evaluation
from dfsbir_lite.teachers import Teacher, Teachers

RANGES = {
    "batch": (32, 64, 128, 256),
    "resolution": (32, 64, 96, 128),
    "classes": (12, 60, 345),
    "gallery": (1_000, 10_000, 100_000),
}
QUERIES = 200  # of each evaluation


@dataclass(frozen=True)
class Cost:
    """What one point of the plot took.

    Attributes:
        axis, value: what was varied, and to what: images a step, pixels a side, classes, items.
        seconds: of an iteration (one estimator step, six encoder steps), of `QUERIES` sketches
            that are scored for the axis "gallery"; the smallest of three.
        memory: bytes at the peak on top of a process with torch loaded; None if not known.
    """

    axis: str
    value: int
    seconds: float
    memory: int | None


def measure(ranges: dict[str, tuple[int, ...]] = RANGES, device: str = "cpu") -> list[Cost]:
    """A cost for each value of each axis; the others stay as in the profile laptop."""
    points = [(axis, value) for axis, values in ranges.items() for value in values]
    return [_cost(*point, device) for point in progress(points, desc="scaling")]


def _cost(axis: str, value: int, device: str) -> Cost:
    call = _prepared(axis, value, device)
    seconds = min(interleave({"call": call}, 3, device, warm=0)["call"])
    on_cpu = torch.device(device).type == "cpu"
    memory = peak_extra(_begun, axis, value, device) if on_cpu else None
    return Cost(axis, value, float(seconds), memory)


def _begun(axis: str, value: int, device: str) -> Callable[[], object]:
    """All that is measured, from the first allocation on, as one call."""
    return lambda: _prepared(axis, value, device)()


def _prepared(axis: str, value: int, device: str) -> Callable[[], object]:
    """A call that does the work once, after everything that is done only once."""
    if axis == "gallery":
        return evaluation(QUERIES, value, classes=16)
    sizes = {"batch": 128, "resolution": 32, "classes": 12} | {axis: value}
    loop = _loop(*sizes.values(), device)
    next(loop)

    return partial(next, loop)


def _loop(batch: int, size: int, classes: int, device: str) -> Distillation:
    """The kit's recipe on untrained teachers: they cost what trained ones do."""
    sizes = profile("laptop")
    names = tuple(map(str, range(classes)))
    kinds = (names, names, ("photo", "sketch"))
    teachers = Teachers(*(Teacher(SmallResNet(sizes.widths, len(n)), n, size) for n in kinds))
    for teacher in (teachers.photo, teachers.sketch, teachers.guidance):
        teacher.to(memory_format=torch.channels_last)
    settings = recipe(
        "kit", batch=batch, noise_dim=max(128, classes), refresh_every=0, adv_after=0, replay=20
    )
    shape = {"steps": 10**6, "width": sizes.estimator_width, "device": device}
    return distill(teachers, settings, new_encoders(sizes, classes), **shape)
