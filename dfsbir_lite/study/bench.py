"""Measurements that are stored as JSON: `python -m dfsbir_lite bench NAME`."""

from pathlib import Path

import pandas as pd
from joblib import cpu_count

from dfsbir_lite import zoo
from dfsbir_lite.files import write_atomically, write_json
from dfsbir_lite.runtime import Profile, UserError, profile
from dfsbir_lite.study import claims, real, rows

# iterations of each student; differences show best before it has learnt all that its teachers know
STEPS = {"quality": 600, "claims": 100, "regimes": 600, "students": 400, "real-student": 300}
ROWS = {
    "quality": [*rows.RIVALS],
    "claims": [*rows.RIVALS, *rows.ABLATIONS, *rows.OVERLAP],
    "regimes": [*rows.REGIMES],
    "students": [*rows.SIZES],
}
BENCHES = (*ROWS, "real", "real-student")


def command(options) -> None:
    """Run the bench `options.name`, print its result and store it under `options.out`.

    "quality" scores the rivals after many steps, "claims" all that a claim is about, "regimes" the
    recipes with one ingredient more or less, "students" what a student must beat and what it costs.
    On the user's folders, if there are any; what an interrupted call has scored is kept. "real"
    scores two classifiers off the shelf on real data, "real-student" what two real ones teach.
    """
    sizes = profile(options.profile)
    if options.photos and options.name not in ROWS:
        raise UserError(f"bench {options.name}: leave --photos and --sketches out")
    if not options.photos:
        zoo.need_shipped(sizes.name)
    if options.name == "real":
        table = real.measure(Path(options.out) / "real")
        print(table.to_string(index=False, float_format="{:.3f}".format))
        result = {"scores": _records(table)}
    elif options.name == "real-student":
        steps, first = options.steps or STEPS[options.name], options.first_seed
        folder, seeds = Path(options.out) / options.name, range(first, first + options.seeds)
        table = real.measure_student(sizes, folder, steps, seeds, options.device)
        print(table.T.to_string(float_format="{:.3g}".format))
        result = {"steps": steps, "scores": _records(table)}
    else:
        result = _scores(sizes, options)
    path = Path(options.out) / f"{options.name}-{sizes.name}.json"
    write_json(path, {"bench": options.name, "profile": sizes.name, **result})
    print(f"stored in {path}")


def _scores(sizes: Profile, options) -> dict:
    """Print scores with their intervals, and verdicts on claims; also write a tidy CSV."""
    steps = options.steps or STEPS[options.name]
    folder = Path(options.out) / f"{options.name}-{sizes.name}-{steps}"
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    # on a GPU one process keeps the device busy
    workers = options.workers or (cpu_count() if str(options.device) == "cpu" else 1)
    images = (options.photos, options.sketches, str(options.device))
    setting = rows.open_setting(sizes, steps, folder, *images)
    chosen = options.rows or ROWS[options.name]
    runs = rows.compare(setting, chosen, seeds, workers)
    frame = claims.tidy(runs, seeds)
    table = frame.to_csv(index=False, float_format="%.6g")
    write_atomically(folder / f"{options.name}.csv", table.encode())
    for part in pd.unique(frame.part[frame.metric == "map_all"]):
        print(f"mAP@all, {part} classes\n{claims.summary(frame, part).round(3).to_string()}\n")
    verdicts = claims.judge(frame)
    print(f"{verdicts.round(3).to_string(index=False)}\n")
    result = {"runs": runs, "claims": _records(verdicts)}
    if options.name == "students":
        table = rows.costs(setting, chosen)
        print(table.to_string(float_format="{:.3g}".format))
        write_atomically(folder / "costs.csv", table.to_csv(index_label="row").encode())
        result["costs"] = _records(table.reset_index(names="row"))
    return result


def _records(table: pd.DataFrame) -> list[dict]:
    """Return a dict a line, with None for nan, which JSON does not have."""
    return table.astype(object).where(table.notna(), None).to_dict("records")
