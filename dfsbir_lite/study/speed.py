"""What things cost here: `python -m dfsbir_lite bench speed`.

What is compared runs in turns, round after round, so that whatever else the machine does slows all
of it alike. A ratio is the median over the rounds.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
from dfsbir_lite.models import SmallResNet
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile, autocast, progress
from dfsbir_lite.students import Distillation, distill, new_encoders
from dfsbir_lite.teachers import Reading, Teacher, Teachers
from dfsbir_lite.views import jitter, mix

Step = Callable[[], object]
# computes with one thread as long as the process that began it is there
BUSY = """
import os
parent = os.getppid()
while os.getppid() == parent:
    sum(range(10**6))
"""


class Measure(NamedTuple):
    """One figure; the unit "×" is a ratio of two times of one run, `most` the bar if it has one."""

    part: str
    name: str
    value: float
    unit: str
    most: float = np.nan


def measure(sizes: Profile, device: str = "cpu") -> pd.DataFrame:
    """Measure steps, iterations beside other processes, scoring, search: a line a `Measure`."""
    steps, load = (partial(part, sizes, device) for part in (time_steps, time_load))
    parts = progress((steps, load, time_retrieval), desc="speed")
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
    """Measure both kinds of steps beside their floor, and beside the released code's way."""
    teachers = zoo.load_teachers(sizes.name, device)
    ours, released = running(teachers, sizes, device), released_way(teachers, sizes, device)
    steps = (ours.synthesis.__next__, ours.learn)
    others = (released.synthesis.__next__, released_encoder_step(released))
    measures = []
    for part, step, floor, other in zip(("synthesis", "encoders"), steps, floors(ours), others):
        tasks = {"ours": step, "floor": floor, "released way": other}
        taken, add = interleave(tasks, rounds), partial(Measure, f"step: {part}")
        measures += [add(name, 1e3 * float(np.median(s)), "ms") for name, s in taken.items()]
        measures.append(add("ours / floor", ratio(taken["ours"], taken["floor"]), "×", 1.15))
        less = ratio(taken["ours"], taken["released way"])
        measures.append(add("ours / released way", less, "×", 0.77))
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


class ReadTwice(Teacher):
    """A copy of a teacher that is asked for its class scores first, and then for all the rest."""

    def __init__(self, teacher: Teacher):
        network = SmallResNet(outputs=len(teacher.classes), **teacher.network.geometry)
        network.load_state_dict(teacher.network.state_dict())
        super().__init__(network, teacher.classes, teacher.size)

    def forward(self, images: Tensor, moments: bool = False) -> Reading:
        logits = super().forward(images).logits
        return super().forward(images, moments)._replace(logits=logits)


def released_way(teachers: Teachers, sizes: Profile, device: str = "cpu") -> Distillation:
    """Return a run of the same networks and losses with the habits of the authors' code.

    Teachers read each image twice, frozen networks build gradients of their weights, memory is in
    the default layout, and optimisers are not fused.
    """
    twice = Teachers(*map(ReadTwice, (teachers.photo, teachers.sketch, teachers.guidance)))
    loop = running(twice, sizes, device)
    loop.synthesis.judges = twice = loop.teachers
    frozen = (twice.photo, twice.sketch, twice.guidance, loop.encoders)
    for network in (*frozen, loop.learner.encoders, loop.synthesis.estimators):
        network.to(memory_format=torch.contiguous_format).requires_grad_(True)
    for part, kind in ((loop.synthesis, torch.optim.Adam), (loop.learner, torch.optim.AdamW)):
        (group,) = part.optimiser.param_groups
        part.optimiser = kind([{**group, "fused": False}], fused=False)
    return loop


def released_encoder_step(loop: Distillation) -> Step:
    """Return an encoder step whose teachers, in the graph for no reason, read twice."""
    teachers = loop.synthesis.teachers

    def step():
        pairs = (mix(jitter(x, loop.draw), loop.draw) for x in loop.pictures())
        photos, sketches = (x.expand(-1, 3, -1, -1) for x in pairs)
        p, s = teachers.photo(photos), teachers.sketch(sketches)
        maps = ([m.detach() for m in reading.maps] for reading in (p, s))
        loop.learner.step(photos, sketches, p.logits.detach(), s.logits.detach(), *maps)

    return step


def time_load(sizes: Profile, device="cpu", rounds: int = 3, times: int = 6) -> list[Measure]:
    """Measure an iteration of `distill` alone, beside one and beside three busy processes."""
    loop, taken = running(zoo.load_teachers(sizes.name, device), sizes, device), {}
    for _ in range(rounds):
        for others in (0, 1, 3):
            with busy(others):
                seconds = interleave({"iteration": loop.__next__}, 1, times)["iteration"]
            taken[others] = np.append(taken.get(others, []), seconds)
    add = partial(Measure, "iteration of distill")
    return [
        *(add(f"beside {n} others", float(np.median(s)), "s") for n, s in taken.items()),
        add("beside 1 / alone", ratio(taken[1], taken[0]), "×", 2.2),
        add("beside 3 / alone", ratio(taken[3], taken[0]), "×", 4.5),
    ]


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many other processes computing, with one thread each."""
    with ExitStack() as stack:
        for _ in range(processes):
            other = subprocess.Popen([sys.executable, "-c", BUSY])
            stack.callback(other.wait)
            stack.callback(other.kill)  # before that
        yield


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


def time_retrieval(
    queries: int = 10_000, items: int = 50_000, looped: int = 50, searched: int = 1_000_000
) -> list[Measure]:
    """Measure `retrieval.score` and exact search beside bare products.

    Scoring also beside a loop over the first `looped` queries.
    """
    (rows, labels), gallery = embeddings(queries, 100, 1), embeddings(items, 100, 2)
    few = (rows[:looped], labels[:looped], *gallery)
    index, query = retrieval.Index(embeddings(searched, 100, 2)[0]), rows[:1]
    tasks = {
        "score": partial(retrieval.score, rows, labels, *gallery),
        "products": lambda: [part @ gallery[0].T for part in rows.split(512)],
        "loop": partial(sklearn_loop, *few),
        "search": partial(index.search, query, k=100),
        "product": lambda: query @ index.rows.T,
    }
    score, products, loop, search, product = interleave(tasks, rounds=5).values()
    away = abs(retrieval.score(*few).map_all - sklearn_loop(*few))
    add, found = partial(Measure, "scoring"), partial(Measure, "search")
    return [
        add(f"{queries:,} queries × {items:,} items", float(np.median(score)), "s"),
        add("ours / bare product", ratio(score, products), "×"),
        add("ours / a loop with scikit-learn", ratio(score / queries, loop / looped), "×", 0.02),
        add("mAP@all, away from scikit-learn's", away, "", 1e-6),
        found(f"1 query in {searched:,} items", 1e3 * float(np.median(search)), "ms", 50),
        found("ours / bare product", ratio(search, product), "×"),
    ]
