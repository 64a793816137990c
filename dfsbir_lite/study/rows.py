"""Everything that is compared, by name, and the runner that makes its scores.

A row is a function of a `Setting` that returns scores. There are three groups: rivals of the
data-free student, students of the recipe with one change, and students of teachers who share only
some of their classes.
"""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from operator import attrgetter
from pathlib import Path

import torch

from dfsbir_lite import pipeline
from dfsbir_lite.adopt import imagenet_backbone
from dfsbir_lite.data import together
from dfsbir_lite.files import write_json
from dfsbir_lite.losses import ESTIMATOR_TERMS
from dfsbir_lite.pipeline import Benchmark, RealDataStudent
from dfsbir_lite.recipes import Recipe, recipe
from dfsbir_lite.retrieval import teacher_readouts
from dfsbir_lite.runtime import Profile, UserError, progress
from dfsbir_lite.students import Distillation, distill
from dfsbir_lite.study.baselines import (
    FedStudent,
    Source,
    alternative,
    averaged_weights,
    gaussian,
    metadata,
    textures,
    unimodal,
)
from dfsbir_lite.teachers import Teachers
from dfsbir_lite.zoo import ASSETS

OURS, REAL = "data-free student", "real-data student"
UNIMODAL = "uni-modal distillation"
TEXTURES = "textures instead of synthesis"


@dataclass(frozen=True)
class Plan:
    """What is compared on what: all that a worker needs to be told.

    Attributes:
        photos, sketches: the user's folders; None is ToyBox.
        steps: iterations of each student.
        folder: where scores, and teachers that had to be trained, are kept.
    """

    sizes: Profile
    steps: int
    folder: Path
    photos: str | None = None
    sketches: str | None = None
    device: str = "cpu"

    @property
    def shipped(self) -> bool:
        """Whether the teachers are those that ship, and not trained for this."""
        return not self.photos

    @property
    def networks(self) -> Path:
        """Where the teachers are."""
        if self.shipped:
            return ASSETS / self.sizes.name
        return self.folder.parent / f"teachers-{self.sizes.name}"


@dataclass(frozen=True)
class Setting:
    """What a row is made from: a plan, the benchmark and teachers it names, a seed, the recipe."""

    plan: Plan
    benchmark: Benchmark
    teachers: Teachers
    seed: int
    recipe: Recipe

    @property
    def folder(self) -> Path:
        """Where this seed's scores are kept."""
        return self.plan.folder / f"seed{self.seed}"

    def encoders(self, start: str = "scratch"):
        return pipeline.start_encoders(start, self.teachers, self.plan.sizes, self.seed)

    def learner(self) -> dict:
        """The arguments that optimisation steps share, whatever they learn from."""
        steps = self.plan.steps * self.recipe.encoder_steps
        return {"steps": steps, "device": self.plan.device, "seed": self.seed}

    def distiller(self) -> dict:
        """The arguments of `distill`."""
        width = self.plan.sizes.estimator_width
        options = {"steps": self.plan.steps, "device": self.plan.device, "seed": self.seed}
        return {"width": width, **options}

    def teacher(self, name: str, part, folder: Path | None = None, seed: int = 0):
        """The teacher `name` of the images `part`, trained if there is none in `folder`."""
        options = {"train": folder is not None or not self.plan.shipped}
        options |= {"device": self.plan.device, "seed": seed}
        return pipeline.get_teacher(
            name, part, self.plan.sizes, folder or self.plan.networks, **options
        )


def open_setting(plan: Plan) -> Setting:
    """The benchmark of `plan` and its teachers, shipped or trained on the folders; for seed 0."""
    benchmark = pipeline.open_benchmark(plan.photos, plan.sketches, plan.sizes)
    if not plan.shipped:
        pipeline.open_run(plan.networks, {"source": benchmark.source})
    teachers = pipeline.get_teachers(
        benchmark, plan.sizes, plan.networks, train=not plan.shipped, device=plan.device
    )
    return Setting(plan, benchmark, teachers, 0, recipe("kit"))


# --- rivals -----------------------------------------------------------------------------------


def _unified(setting: Setting) -> Teachers:
    """The released code's variant: one teacher, of photos and sketches together, in both places."""
    one = setting.teacher("unified", together(*setting.benchmark.train), seed=3)
    return Teachers(one, one, setting.teachers.guidance)


def _distilled(setting: Setting, start: str = "scratch") -> Distillation:
    settings = pipeline.suited(setting.recipe, start)
    return distill(setting.teachers, settings, setting.encoders(start), **setting.distiller())


def _of_unified(setting: Setting) -> Distillation:
    return distill(_unified(setting), setting.recipe, setting.encoders(), **setting.distiller())


def _apart(setting: Setting) -> Distillation:
    return unimodal(setting.teachers, setting.recipe, setting.encoders(), **setting.distiller())


def _real(setting: Setting) -> RealDataStudent:
    return RealDataStudent(
        *setting.benchmark.train, setting.recipe, setting.encoders(), **setting.learner()
    )


def _fed(source: Source, setting: Setting) -> FedStudent:
    return FedStudent(
        source, setting.teachers, setting.recipe, setting.encoders(), **setting.learner()
    )


def _inverted(setting: Setting) -> FedStudent:
    draw = torch.Generator(setting.plan.device).manual_seed(setting.seed)
    return _fed(metadata(setting.teachers, draw, batch=setting.recipe.batch), setting)


STILL = {  # nothing is learnt
    "teacher features": lambda s: teacher_readouts(s.teachers)["teacher features"],
    "teacher logits": lambda s: teacher_readouts(s.teachers)["teacher logits"],
    "teacher posteriors": lambda s: teacher_readouts(s.teachers)["teacher posteriors"],
    "averaged weights": lambda s: averaged_weights(s.teachers),
    "unified teacher's features": lambda s: teacher_readouts(_unified(s))["teacher features"],
    "ImageNet backbone": lambda s: imagenet_backbone(s.plan.device),
}
LEARNERS = {
    OURS: _distilled,
    REAL: _real,
    TEXTURES: partial(_fed, textures),
    UNIMODAL: _apart,
    "Gaussian prior": partial(_fed, gaussian),
    "meta-data": _inverted,
    "alternative data": partial(_fed, alternative),
    "student of a unified teacher": _of_unified,
}
WITHOUT_HINTS = (OURS, TEXTURES, UNIMODAL, "Gaussian prior", "meta-data", "alternative data")
FROM_TEACHERS = {f"{OURS} from teachers": partial(_distilled, start="teachers")}


def _read(name: str, setting: Setting) -> dict:
    """Scores of a read-out that needs no training."""
    return setting.benchmark.scores(STILL[name](setting), setting.plan.device)


def watched(make: Callable[[Setting], Iterator], name: str, looks: int, setting: Setting) -> dict:
    """Runs a learner to its end and scores it; looks at it on the way, with the clock stopped.

    Returns its scores, its seconds (those of teachers that it had to train among them), and
    `course`: (seconds, seen mAP@all) at each look.
    """
    # class scores would tie encoders that learnt apart after all, by the names of the classes
    read = attrgetter("features" if name == UNIMODAL else "embed")
    course, seconds, began = [], 0.0, time.perf_counter()
    loop = make(setting)
    for n, step in enumerate(progress(loop, desc=name, unit="step"), 1):
        if n % max(1, len(loop) // looks) == 0 or n == len(loop):
            seconds += time.perf_counter() - began
            readout = read(getattr(step, "encoders", step))
            scores = setting.benchmark.scores(readout, setting.plan.device)
            course.append([round(seconds, 1), scores["seen"]["map_all"]])
            began = time.perf_counter()
    return {"seconds": round(seconds, 1), "course": course, **scores}


RIVALS = {name: partial(_read, name) for name in STILL} | {
    name: partial(watched, make, name, 12) for name, make in LEARNERS.items()
}


# --- rivals that are told the teachers' answers, and not the way to them ----------------------


def _without_hints(make: Callable[[Setting], Iterator], setting: Setting) -> Iterator:
    return make(replace(setting, recipe=recipe("kit", hint=0)))


UNHINTED = {
    f"{name} without hints": partial(watched, partial(_without_hints, LEARNERS[name]), name, 12)
    for name in WITHOUT_HINTS
}


# --- the recipe with one change ---------------------------------------------------------------


def _only(term: str) -> dict:
    """Changes that leave the estimators one of their terms, at the recipe's weight."""
    return {name: 0 for name in ESTIMATOR_TERMS if name != term}


CHANGES = {
    "no batch statistics": {"bn": 0},
    "no one-hot": {"one_hot": 0},
    "no alignment": {"align": 0},
    "no guidance": {"modal": 0},
    "no adversary": {"adv": 0},
    "no diversity": {"diversity": 0},
    "batch statistics alone": _only("bn"),
    "one-hot alone": _only("one_hot"),
    "alignment alone": _only("align"),
    "guidance alone": _only("modal"),
    "adversary alone": _only("adv"),
    "diversity alone": _only("diversity"),
    "arg-max labels": {"labels": "teacher"},
    "one-way alignment": {"one_way": True},
    "proxy loss": {"match": 0, "proxy": 1},
    "contrastive loss": {"match": 0, "contrastive": 1, "queue": 512},
    "no hints": {"hint": 0},
    "no replay": {"replay": 1},
    "no relabelling": {"relabel": False},
    "no contours": {"contours": 0},
    "contours for all sketches": {"contours": 1},
    "one scene": {"scene": True, "views": True},
}


def _changed(changes: dict, setting: Setting) -> Distillation:
    settings = recipe("kit", **changes)
    return distill(setting.teachers, settings, setting.encoders(), **setting.distiller())


ABLATIONS = {
    name: partial(watched, partial(_changed, changes), name, 1) for name, changes in CHANGES.items()
}


# --- teachers who share some of their classes -------------------------------------------------

SHARES = (0.1, 0.25, 0.5, 0.75)


def split_classes(
    classes: Sequence[str], share: float, seed: int = 0
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Two lists that have about `share` of `classes` in common, at least one, and split the rest.

    Returns: what a photo teacher and what a sketch teacher is to be taught, in the given order.
    """
    drawn = random.Random(seed).sample(list(classes), len(classes))
    common = max(1, round(share * len(classes)))
    shared, rest = drawn[:common], drawn[common:]
    lists = ({*shared, *rest[::2]}, {*shared, *rest[1::2]})
    return tuple(tuple(c for c in classes if c in taught) for taught in lists)


def partly_shared(setting: Setting, share: float) -> Teachers:
    """Teachers trained on two lists that have `share` of the classes in common, widened to all."""
    folder = setting.folder / f"teachers-{share:.0%}"
    lists = split_classes(setting.benchmark.classes, share, setting.seed)
    parts = zip(("photo", "sketch"), setting.benchmark.train, lists, strict=True)
    pair = [
        setting.teacher(name, part.only(names), folder, seed=2 * setting.seed + n)
        for n, (name, part, names) in enumerate(parts)
    ]
    wide = (teacher.widened(setting.benchmark.classes) for teacher in pair)
    return Teachers(*wide, setting.teachers.guidance).to(setting.plan.device)


def _of_partly_shared(share: float, setting: Setting) -> Distillation:
    teachers = partly_shared(setting, share)
    return distill(teachers, setting.recipe, setting.encoders(), **setting.distiller())


def _posteriors_of_partly_shared(share: float, setting: Setting) -> dict:
    readout = teacher_readouts(partly_shared(setting, share))["teacher posteriors"]
    return setting.benchmark.scores(readout, setting.plan.device)


def overlap_row(share: float, what: str = "") -> str:
    """The name of the row of a student whose teachers share that much of their classes.

    Args:
        what: "posteriors" for the row of those teachers' posteriors.
    """
    return f"{share:.0%} shared" + (f": {what}" if what else "")


OVERLAP = {
    overlap_row(s): partial(watched, partial(_of_partly_shared, s), overlap_row(s), 1)
    for s in SHARES
} | {overlap_row(s, "posteriors"): partial(_posteriors_of_partly_shared, s) for s in SHARES}
ROWS = {**RIVALS, **UNHINTED, **ABLATIONS, **OVERLAP} | {
    name: partial(watched, make, name, 12) for name, make in FROM_TEACHERS.items()
}


# --- the runner -------------------------------------------------------------------------------


def compare(plan: Plan, rows: Sequence[str], seeds: Sequence[int], workers: int = 1) -> list[dict]:
    """Scores of `rows` for each of `seeds`: a dict a seed, row → {"seen": {...}, ...}.

    Each score is kept in its seed's folder as it is finished; the same call goes on where an
    earlier one was stopped or killed, and ends in the same scores. Rows are begun in their order,
    each for all seeds. Everything is made by one thread, so that scores do not hang on how many
    `workers`, processes of their own, there are.

    Raises UserError for unknown rows, for one that cannot be made, if the folder holds something
    else, and when interrupted.
    """
    if unknown := [row for row in rows if row not in ROWS]:
        raise UserError(f"no row {unknown[0]!r}: choose among {', '.join(ROWS)}")
    with _one_thread():
        first = open_setting(plan)
        known = {seed: _known(replace(first, seed=seed)) for seed in seeds}
        jobs = [(row, seed) for row in rows for seed in seeds if row not in known[seed]]
        workers = min(workers, len(jobs))
        made = _in_workers(plan, jobs, workers) if workers > 1 else _here(first, jobs)
        try:
            with closing(made):
                for row, seed, scores in progress(made, desc="rows", total=len(jobs), unit="row"):
                    known[seed][row] = scores
                    write_json(replace(first, seed=seed).folder / "scores.json", known[seed])
        except KeyboardInterrupt:
            raise UserError("stopped; the same command goes on") from None
        except BrokenProcessPool:
            raise UserError("a worker was killed; the same command goes on") from None
    return [{row: known[seed][row] for row in rows} for seed in seeds]


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _known(setting: Setting) -> dict:
    """The scores that an earlier call has left for the setting's seed."""
    plan = setting.plan
    facts = {"source": setting.benchmark.source, "profile": plan.sizes.name, "steps": plan.steps}
    facts |= {"seed": setting.seed, "teachers": pipeline.fingerprint(setting.teachers)}
    return pipeline.open_run(setting.folder, {**facts, **asdict(setting.recipe)})


def _here(setting: Setting, jobs: list) -> Iterator[tuple[str, int, dict]]:
    """The jobs' scores, made in this process."""
    for row, seed in jobs:
        yield row, seed, _score(setting, row, seed)


def _score(setting: Setting, row: str, seed: int) -> dict:
    try:
        return ROWS[row](replace(setting, seed=seed))
    except (UserError, FloatingPointError) as reason:
        raise UserError(f"row {row}, seed {seed}: {reason}") from None


def _in_workers(plan: Plan, jobs: list, workers: int) -> Iterator[tuple[str, int, dict]]:
    """The jobs' scores as they are finished, made in processes of their own."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (plan,))
    try:
        waiting: dict[Future, tuple] = {pool.submit(_work, *job): job for job in jobs}
        for future in as_completed(waiting):
            yield *waiting[future], future.result()
    except BaseException:  # nobody waits for rows that have just begun
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown()


_plan: Plan | None = None  # of a worker


def _begin(plan: Plan) -> None:
    """Makes a new process a worker, which ends when the one that began it does."""
    global _plan
    _plan = plan
    os.environ["DFSBIR_QUIET"] = "1"
    os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # ToyBox draws in this process: the others work, too
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it, and ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _work(row: str, seed: int) -> dict:
    return _score(_worker_setting(), row, seed)


@cache
def _worker_setting() -> Setting:
    return open_setting(_plan)
