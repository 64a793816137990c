"""Measurements behind the README's figures: `python -m dfsbir_lite bench NAME`, stored as JSON."""

import time
from pathlib import Path

import pandas as pd

from dfsbir_lite import pipeline, toybox
from dfsbir_lite.checkpoint import write_json
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile, profile
from dfsbir_lite.zoo import ASSETS, TEACHERS, accuracy, load_or_train, teacher_data


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
    benchmark = pipeline.toybox_benchmark(sizes)
    teachers = pipeline.get_teachers(
        benchmark, sizes, ASSETS / sizes.name, train=False, device=options.device
    )
    runs = []
    for seed in range(options.seeds):
        folder = Path(options.out) / f"path-{sizes.name}-seed{seed}"
        shared = {"steps": options.steps, "device": options.device, "seed": seed}
        runs.append(pipeline.run(benchmark, teachers, sizes, recipe("kit"), folder, **shared))
    by_row = pd.concat(map(pipeline.table, runs)).groupby(level=0, sort=False)
    for title, frame in {"mean": by_row.mean(), "standard deviation": by_row.std()}.items():
        print(f"{title} over {options.seeds} seeds\n{frame.round(3).to_string()}\n")
    for name in ("data-free student", "real-data student"):
        print(f"{name}: {[rows[name]['seconds'] for rows in runs]} seconds")
    return {"runs": runs}


BENCHES = {"toybox": toybox_speed, "teachers": teacher_accuracy, "path": from_scratch}


def command(options) -> None:
    """Runs the bench `options.name`, prints its result and stores it under `options.out`."""
    sizes = profile(options.profile)
    result = BENCHES[options.name](sizes, options)
    path = Path(options.out) / f"{options.name}-{sizes.name}.json"
    write_json(path, {"bench": options.name, "profile": sizes.name, **result})
    if options.name != "path":
        print(result)
    print(f"stored in {path}")
