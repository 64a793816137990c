"""Measurements behind the README's figures: `python -m dfsbir_lite bench NAME`, stored as JSON."""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from operator import attrgetter
from pathlib import Path

import pandas as pd
import torch

from dfsbir_lite import pipeline, toybox
from dfsbir_lite.baselines import (
    FedStudent,
    RealDataStudent,
    averaged_weights,
    teacher_readouts,
    unimodal,
)
from dfsbir_lite.checkpoint import write_json
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile, UserError, profile, progress
from dfsbir_lite.sources import alternative, gaussian, metadata, textures
from dfsbir_lite.students import distill
from dfsbir_lite.zoo import (
    ASSETS,
    TEACHERS,
    accuracy,
    load_or_train,
    need_shipped,
    teacher_data,
)

# iterations of each student, where they differ from those of `run`; what an ingredient brings shows
# best before the student has learnt all that its teachers know
STEPS = {"quality": 600, "ingredients": 100}


def toybox_speed(sizes: Profile, options) -> dict:
    """Images a second of ToyBox on all cores, half photos and half sketches; best of three."""
    per_class, best = 100, 0.0
    for _ in range(3):
        began = time.perf_counter()
        made = sum(
            len(toybox.render(m, "val", per_class=per_class, size=sizes.size)[0])
            for m in toybox.MODALITIES
        )
        best = max(best, made / (time.perf_counter() - began))
    return {"images_per_second": round(best), "size": sizes.size}


def teacher_accuracy(sizes: Profile, options) -> dict:
    """Accuracy of the shipped teachers on the seen classes' test split."""
    networks = {name: load_or_train(name, sizes.name, options.device) for name in TEACHERS}
    return {
        name: accuracy(network, teacher_data(name, sizes, "test"), options.device)
        for name, network in networks.items()
    }


def from_scratch(sizes: Profile, options) -> dict:
    """The whole path on ToyBox's test split, once a seed: scores and seconds.

    A bench that was interrupted goes on where it stopped.
    """
    benchmark, teachers = _given(sizes, options)
    runs = []
    for seed in range(options.seeds):
        folder = Path(options.out) / f"path-{sizes.name}-seed{seed}"
        shared = {"steps": options.steps, "device": options.device, "seed": seed}
        runs.append(pipeline.run(benchmark, teachers, sizes, recipe("kit"), folder, **shared))
    _means(runs)
    _seconds(runs)
    return {"runs": runs}


def quality(sizes: Profile, options) -> dict:
    """How close the data-free student comes to one trained on real data, on the test split.

    On ToyBox with the shipped teachers; on the user's folders with teachers trained there. Every
    row is scored as it is finished, once a seed; a bench that was interrupted goes on where it
    stopped. Prints means, the ratios to the student trained on real data and seconds.
    """
    benchmark, teachers = _given(sizes, options)
    runs = _compete("quality", _contestants, benchmark, teachers, sizes, options)
    return {"runs": runs, **_verdicts(runs)}


def ingredients(sizes: Profile, options) -> dict:
    """What each ingredient of the recipe brings: students from scratch, each without one of them.

    Once a seed on the test split; resumes. Prints scores, what is lost and seconds.
    """
    benchmark, teachers = _given(sizes, options)
    runs = _compete("ingredients", _variants, benchmark, teachers, sizes, options)
    means = _means(runs)
    loss = means - means.loc["kit"]
    print(f"against the kit's recipe\n{loss.round(3).to_string()}\n")
    _seconds(runs)
    return {"runs": runs}


def _given(sizes: Profile, options):
    """The test split and teachers: ToyBox's shipped ones, or those of folders, trained once."""
    benchmark = pipeline.open_benchmark(options.photos, options.sketches, sizes)
    folder = ASSETS / sizes.name
    if options.photos:
        folder = Path(options.out) / f"teachers-{sizes.name}"
        pipeline.open_run(folder, {"source": benchmark.source})
    return benchmark, pipeline.get_teachers(
        benchmark, sizes, folder, train=bool(options.photos), device=options.device
    )


def _compete(
    name: str, contestants: Callable, benchmark, teachers, sizes: Profile, options
) -> list[dict]:
    """Rows of scores, one dict a seed, each kept in its seed's folder as it is finished.

    `contestants(benchmark, teachers, sizes, options, seed)` gives for each row a function that
    returns its scores. A row is done for all seeds before the next one begins; with
    `options.rows` only those are made, and returned.
    """
    runs, rivals = {}, {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        folder = Path(options.out) / f"{name}-{sizes.name}-{options.steps}" / f"seed{seed}"
        facts = {"source": benchmark.source, "profile": sizes.name}
        facts |= {"steps": options.steps, "seed": seed}
        path = folder / "scores.json"
        runs[path] = pipeline.open_run(folder, {**facts, **asdict(recipe("kit"))})
        rivals[path] = contestants(benchmark, teachers, sizes, options, seed)
    known = next(iter(rivals.values()))
    if unknown := [row for row in options.rows if row not in known]:
        raise UserError(f"no row {unknown[0]!r}: choose among {', '.join(known)}")
    chosen = options.rows or tuple(known)
    for row in chosen:
        for path, rows in runs.items():
            if row not in rows:
                rows[row] = rivals[path][row]()
                write_json(path, rows)
    return [{row: rows[row] for row in chosen} for rows in runs.values()]


def _contestants(benchmark, teachers, sizes: Profile, options, seed: int) -> dict:
    """What competes: for each row a function that learns it and returns its scores."""
    device, settings = options.device, recipe("kit")
    shared = {"device": device, "seed": seed}
    steps = options.steps * settings.encoder_steps

    def begin(start="scratch"):
        return pipeline.start_encoders(start, teachers, sizes, seed)

    def fed(source):
        return FedStudent(source, teachers, settings, begin(), steps=steps, **shared)

    def inverted():
        draw = torch.Generator(device).manual_seed(seed)
        return fed(metadata(teachers, draw, batch=settings.batch))

    length = {"steps": options.steps, "width": sizes.estimator_width}

    def distilled(start):
        return distill(teachers, pipeline.suited(settings, start), begin(start), **length, **shared)

    still = {**teacher_readouts(teachers), "averaged weights": averaged_weights(teachers)}
    learners = {
        "data-free student": lambda: distilled("scratch"),
        "real-data student": lambda: RealDataStudent(
            *benchmark.train, settings, begin(), steps=steps, **shared
        ),
        "textures instead of synthesis": lambda: fed(textures),
        "uni-modal distillation": lambda: unimodal(teachers, settings, begin(), **length, **shared),
        "Gaussian prior": lambda: fed(gaussian),
        "meta-data": inverted,
        "alternative data": lambda: fed(alternative),
        "data-free student, from teachers": lambda: distilled("teachers"),
    }
    rows = {name: partial(benchmark.scores, read, device) for name, read in still.items()}
    for name, make in learners.items():
        read = attrgetter("features" if name == "uni-modal distillation" else "embed")
        rows[name] = partial(_watched, make, name, benchmark, device, read)
    return rows


WITHOUT = {
    "kit": {},
    "no hints": {"hint": 0},
    "no hints; posteriors instead of answers": {"hint": 0, "match": 0, "proxy": 1},
    "no relabelling": {"relabel": False},
    "no replay": {"replay": 1},
    "no contours": {"contours": 0},
    "contours in place of all sketches": {"contours": 1},
    "no batch statistics": {"bn": 0},
    "no diversity": {"diversity": 0},
    "no one-hot": {"one_hot": 0},
    "no alignment": {"align": 0},
    "no guidance": {"modal": 0},
    "no adversary": {"adv": 0},
    "noise never redrawn": {"refresh_every": 0},
    "no averaging": {"ema": 0},
}


def _variants(benchmark, teachers, sizes: Profile, options, seed: int) -> dict:
    """For each of `WITHOUT` a function that learns a student and returns its scores."""
    device = options.device

    def learn(changes):
        begin = pipeline.start_encoders("scratch", teachers, sizes, seed)
        shared = {"width": sizes.estimator_width, "device": device, "seed": seed}
        return distill(teachers, recipe("kit", **changes), begin, steps=options.steps, **shared)

    return {
        name: partial(_watched, partial(learn, changes), name, benchmark, device, looks=1)
        for name, changes in WITHOUT.items()
    }


def _watched(
    make: Callable, name: str, benchmark, device, read=attrgetter("embed"), looks: int = 12
) -> dict:
    """Runs a learner to its end and scores it; looks at it on the way, with the clock stopped.

    `read` says what of the encoders is compared.

    Returns its scores, its seconds, and `course`: (seconds, seen mAP@all) at each look.
    """
    course, seconds, began = [], 0.0, time.perf_counter()
    loop = make()
    for n, step in enumerate(progress(loop, desc=name, unit="step"), 1):
        if n % max(1, len(loop) // looks) == 0 or n == len(loop):
            seconds += time.perf_counter() - began
            encoders = getattr(step, "encoders", step)
            scores = benchmark.scores(read(encoders), device)
            course.append([round(seconds, 1), scores["seen"]["map_all"]])
            began = time.perf_counter()
    return {"seconds": round(seconds, 1), "course": course, **scores}


def _means(runs: list[dict]) -> pd.DataFrame:
    """Prints mean and standard deviation over the runs; returns the means."""
    by_row = pd.concat(map(pipeline.table, runs)).groupby(level=0, sort=False)
    for title, frame in {"mean": by_row.mean(), "standard deviation": by_row.std()}.items():
        print(f"{title} over {len(runs)} seeds\n{frame.round(3).to_string()}\n")
    return by_row.mean()


def _seconds(runs: list[dict]) -> None:
    for name in (n for n, row in runs[0].items() if "seconds" in row):
        print(f"{name}: {[rows[name]['seconds'] for rows in runs]} seconds")


def _verdicts(runs: list[dict]) -> dict:
    """Prints the table, ratios and seconds; returns the ratios, where both students have rows."""
    _means(runs)
    _seconds(runs)
    ours, real = "data-free student", "real-data student"
    if not {ours, real} <= runs[0].keys():
        return {}

    def value(rows, name, part):
        return rows[name][part]["map_all"]

    ratios = {
        part: [value(r, ours, part) / value(r, real, part) for r in runs]
        for part in pipeline.PROTOCOLS
        if part in runs[0][ours]
    }
    for part, each in ratios.items():
        print(f"{ours} / {real}, {part}: {sum(each) / len(each):.3f} {[round(x, 3) for x in each]}")
    reached = {}
    for share in (0.5, 0.8):
        reached[share] = [
            next((s for s, got in r[ours]["course"] if got >= share * value(r, real, "seen")), None)
            for r in runs
        ]
        print(f"seconds until {share:.0%} of the {real}'s seen score: {reached[share]}")
    return {"ratios": ratios, "seconds_to_share": reached}


BENCHES = {
    "quality": quality,
    "ingredients": ingredients,
    "toybox": toybox_speed,
    "teachers": teacher_accuracy,
    "path": from_scratch,
}


def command(options) -> None:
    """Runs the bench `options.name`, prints its result and stores it under `options.out`."""
    sizes = profile(options.profile)
    if options.photos and options.name in ("toybox", "teachers"):
        raise UserError(f"bench {options.name} measures ToyBox: leave --photos and --sketches out")
    if not options.photos and options.name != "toybox":
        need_shipped(sizes.name)
    options.steps = options.steps or STEPS.get(options.name, pipeline.STEPS)
    result = BENCHES[options.name](sizes, options)
    path = Path(options.out) / f"{options.name}-{sizes.name}.json"
    write_json(path, {"bench": options.name, "profile": sizes.name, **result})
    if options.name in ("toybox", "teachers"):
        print(result)
    print(f"stored in {path}")
