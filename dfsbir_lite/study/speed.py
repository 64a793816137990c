"""What things cost here: `python -m dfsbir_lite bench speed`.

What is compared runs in turns, round after round, so that whatever else the machine does slows all
of it alike. A ratio is the median over the rounds.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional as F
from torch.utils.benchmark import Timer

from dfsbir_lite import retrieval, zoo
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile, autocast, progress
from dfsbir_lite.students import Distillation, distill, new_encoders
from dfsbir_lite.teachers import Teachers

Step = Callable[[], object]


class Measure(NamedTuple):
    """One figure; the unit "×" is a ratio of two times of one run, `most` the bar if it has one."""

    part: str
    name: str
    value: float
    unit: str
    most: float = np.nan


def measure(sizes: Profile, device: str = "cpu") -> pd.DataFrame:
    """Measure steps and scoring: a line a `Measure`."""
    parts = progress((partial(time_steps, sizes, device), time_scoring), desc="speed")
    return pd.DataFrame([m for part in parts for m in part()])


def interleave(tasks: dict[str, Step], rounds: int, times: int = 1) -> dict[str, np.ndarray]:
    """Return each task's mean seconds of `times` calls, after two, in each round (rounds,)."""
    timer = partial(Timer, "task()", num_threads=torch.get_num_threads())
    timers = [timer(globals={"task": task}) for task in tasks.values()]
    taken = [[timer.timeit(times).mean for timer in timers] for _ in range(rounds)]
    return dict(zip(tasks, np.array(taken).T))


def ratio(mine: np.ndarray, other: np.ndarray) -> float:
    """Return how many times longer `mine` takes than `other`."""
    return float(np.median(mine / other))


def time_steps(sizes: Profile, device: str = "cpu", rounds: int = 10) -> list[Measure]:
    """Measure both kinds of steps beside their floor."""
    loop, measures = running(zoo.load_teachers(sizes.name, device), sizes, device), []
    steps = (loop.synthesis.__next__, loop.learn)
    for part, step, floor in zip(("synthesis", "encoders"), steps, floors(loop)):
        taken = interleave({"ours": step, "floor": floor}, rounds)
        add = partial(Measure, f"step: {part}")
        measures += [add(name, 1e3 * float(np.median(s)), "ms") for name, s in taken.items()]
        measures.append(add("ours / floor", ratio(taken["ours"], taken["floor"]), "×", 1.15))
    return measures


def running(teachers: Teachers, sizes: Profile, device: str = "cpu") -> Distillation:
    """Return a run of the kit's recipe after one iteration: no refreshes, the adversary on."""
    settings = recipe("kit", refresh_every=0, adv_after=0)
    encoders = new_encoders(sizes, len(teachers.classes))
    shape = {"steps": 10**6, "width": sizes.estimator_width, "device": device}
    loop = distill(teachers, settings, encoders, **shape)
    next(loop)
    return loop


def floors(loop: Distillation) -> tuple[Step, Step]:
    """Return the bare passes of an estimator step and of an encoder step, there and back.

    They run the networks that the step runs, and nothing else.
    """
    made, learner, teachers = loop.synthesis, loop.learner, loop.synthesis.teachers
    batch = [images.expand(-1, 3, -1, -1).contiguous() for images in loop.pictures()]

    def estimators():
        noise = made.noise()
        with autocast(loop.device):
            photos, sketches = made.paint(noise)
            guidance = made.judges.guidance.network(torch.cat([photos, sketches]))
            logits = teachers.photo.network(photos), teachers.sketch.network(sketches)
            read = loop.encoders.photo(photos), loop.encoders.sketch(sketches)
        _descend(made.optimiser, (guidance, *logits, *read))

    def encoders():
        photos, sketches = batch
        with autocast(loop.device):
            with torch.no_grad():
                made.judges.photo.network(photos), made.judges.sketch.network(sketches)
            read = learner.encoders.photo(photos), learner.encoders.sketch(sketches)
        _descend(learner.optimiser, read)

    return estimators, encoders


def _descend(optimiser: torch.optim.Optimizer, outputs) -> None:
    """Go the way back from any loss at all, without the step."""
    optimiser.zero_grad()
    sum(out.float().square().mean() for out in outputs).backward()


def embeddings(count: int, classes: int, seed: int, dim: int = 64) -> tuple[Tensor, Tensor]:
    """Return rows (count, dim) of unit length, and their labels (count,).

    Items lie around their class's direction, some far away, as those of a student do: two of a
    class have a cosine of .68 ± .23, two others of 0 ± .12.
    """
    proxies = torch.randn(classes, dim, generator=torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=draw)
    noise = F.normalize(torch.randn(count, dim, generator=draw), dim=1)
    noise *= torch.empty(count, 1).exponential_(1 / 0.7, generator=draw)
    return F.normalize(F.normalize(proxies, dim=1)[labels] + noise, dim=1), labels


def sklearn_loop(queries: Tensor, labels: Tensor, gallery: Tensor, gallery_labels: Tensor) -> float:
    """Return mAP@all, query by query with scikit-learn."""
    relevant, cosines = labels[:, None] == gallery_labels, queries @ gallery.T
    return float(np.mean(list(map(average_precision_score, relevant.numpy(), cosines.numpy()))))


def time_scoring(queries: int = 10_000, items: int = 50_000, looped: int = 50) -> list[Measure]:
    """Measure `retrieval.score` beside bare products, and a loop over the first queries."""
    (rows, labels), gallery = embeddings(queries, 100, 1), embeddings(items, 100, 2)
    few = (rows[:looped], labels[:looped], *gallery)
    tasks = {
        "score": partial(retrieval.score, rows, labels, *gallery),
        "products": lambda: [part @ gallery[0].T for part in rows.split(512)],
        "loop": partial(sklearn_loop, *few),
    }
    score, products, loop = interleave(tasks, rounds=5).values()
    away = abs(retrieval.score(*few).map_all - sklearn_loop(*few))
    add = partial(Measure, "scoring")
    return [
        add(f"{queries:,} queries × {items:,} items", float(np.median(score)), "s"),
        add("ours / bare product", ratio(score, products), "×"),
        add("ours / a loop with scikit-learn", ratio(score / queries, loop / looped), "×", 0.02),
        add("mAP@all, away from scikit-learn's", away, "", 1e-6),
    ]
