"""Measurements behind the README's figures: `python -m dfsbir_lite bench NAME`, stored as JSON."""

from dataclasses import asdict
from functools import partial
from io import BytesIO
from itertools import islice, product
from pathlib import Path

import pandas as pd
from joblib import cpu_count

from dfsbir_lite import pipeline, zoo
from dfsbir_lite.adopt import imagenet_weights
from dfsbir_lite.files import write_atomically, write_json
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile, UserError, profile, progress
from dfsbir_lite.study import claims
from dfsbir_lite.study.rows import (
    ABLATIONS,
    FROM_TEACHERS,
    OURS,
    OVERLAP,
    REAL,
    RIVALS,
    UNHINTED,
    Plan,
    compare,
    open_setting,
)
from dfsbir_lite.study.speed import compiled, figure, ranking, scaling, startup, steps
from dfsbir_lite.study.speed.measures import about_machine, table
from dfsbir_lite.synthesis import synthesize
from dfsbir_lite.zoo import (
    TEACHERS,
    accuracy,
    judged,
    load_or_train,
    need_shipped,
    teacher_data,
)

# iterations of each student, where they differ from those of `run`; differences show best before
# the student has learnt all that its teachers know
STEPS = {"quality": 600, "claims": 100, "samples": 1500}
BACKBONE = "ImageNet backbone"
ESTIMATORS = {  # those of `bench samples`, as changes to the recipe
    "two estimators": {},
    "two estimators, teachers see views": {"views": True},
    "one scene, teachers see views": {"scene": True, "views": True},
}


def speed(sizes: Profile, options) -> dict:
    """Steps, evaluation, search, drawing and imports against their bars, and how costs grow.

    Prints the table; also draws a figure beside the JSON.
    """
    device = str(options.device)
    parts = (
        partial(steps.measure, sizes, device),
        ranking.measure_evaluation,
        ranking.measure_search,
        partial(startup.measure_toybox, sizes),
        startup.measure_imports,
        partial(compiled.measure, sizes, device),
    )
    measures = [m for part in progress(parts, desc="speed") for m in part()]
    costs = scaling.measure(device=device)
    print(table(measures).to_string(index=False))
    path = Path(options.out) / f"speed-{sizes.name}.png"
    picture = BytesIO()
    figure.draw(measures, costs).savefig(picture, format="png", dpi=90)
    write_atomically(path, picture.getvalue())
    print(f"drawn in {path}")
    return {
        "machine": about_machine(device),
        "measures": [{**asdict(m), "met": m.met} for m in measures],
        "costs": list(map(asdict, costs)),
    }


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
    setting = open_setting(_plan("path", sizes, options))
    runs = []
    for seed in _seeds(options):
        folder = Path(options.out) / f"path-{sizes.name}-seed{seed}"
        shared = {"steps": options.steps, "device": options.device, "seed": seed}
        given = (setting.benchmark, setting.teachers, sizes, recipe("kit"), folder)
        runs.append(pipeline.run(*given, **shared))
    _means(runs)
    _seconds(runs)
    return {"runs": runs}


def quality(sizes: Profile, options) -> dict:
    """How close the data-free student comes to one trained on real data, on the test split.

    On ToyBox with the shipped teachers; on the user's folders with teachers trained there. Prints
    means, the ratios to the student trained on real data and seconds. Resumes.
    """
    rows = options.rows or _available([*RIVALS, *UNHINTED, *FROM_TEACHERS])
    runs = compare(_plan("quality", sizes, options), rows, _seeds(options), options.workers)
    _tell_left_out(options)
    return {"runs": runs, **_verdicts(runs)}


def samples(sizes: Profile, options) -> dict:
    """How often samples are seen as what they should be, also by a teacher that had no part in it.

    The judge from outside is the unified teacher: trained on the same data, never asked by an
    estimator. Prints means over seeds of the shares among 1,024 pairs. Resumes.
    """
    teachers = zoo.load_teachers(sizes.name, options.device)
    outsider = load_or_train("unified", sizes.name, options.device)
    folder = Path(options.out) / f"samples-{sizes.name}-{options.steps}"
    known = pipeline.open_run(folder, {"teachers": pipeline.fingerprint(teachers)})
    runs = {}
    for name, seed in progress(list(product(ESTIMATORS, _seeds(options))), desc="samples"):
        if (row := f"{name}, seed {seed}") not in known:
            settings = recipe("kit", refresh_every=0, diversity=0, **ESTIMATORS[name])
            shared = {"width": sizes.estimator_width, "device": options.device, "seed": seed}
            loop = synthesize(teachers, settings, steps=options.steps, **shared)
            for _ in islice(loop, options.steps):
                pass
            noise = loop.noise(1024)
            seen = judged(loop.sample(noise), loop.wanted(noise), teachers, outsider)
            known[row] = {f"{m}, {by}": x for by, both in seen.items() for m, x in both.items()}
            write_json(folder / "scores.json", known)
        runs[name, seed] = known[row]
    frame = pd.DataFrame(runs).T.rename_axis(["estimators", "seed"])
    by_row = frame.groupby(level=0, sort=False)
    for title, shares in {"mean": by_row.mean(), "standard deviation": by_row.std()}.items():
        print(f"{title} over {options.seeds} seeds\n{shares.round(3).to_string()}\n")
    return {"steps": options.steps, "runs": frame.reset_index().to_dict("records")}


def all_claims(sizes: Profile, options) -> dict:
    """Every claim of the paper, and some of ours, judged: rivals, ablations, partial overlap.

    Prints scores with intervals and the verdicts; also writes one tidy CSV. Resumes.
    """
    rows = options.rows or _available([*RIVALS, *ABLATIONS, *OVERLAP])
    seeds = _seeds(options)
    plan = _plan("claims", sizes, options)
    runs = compare(plan, rows, seeds, options.workers)
    _tell_left_out(options)
    frame = claims.tidy(runs, seeds)
    path = plan.folder / "claims.csv"
    write_atomically(path, frame.to_csv(index=False, float_format="%.6g").encode())
    for part in pd.unique(frame.part[frame.metric == "map_all"]):
        print(f"mAP@all, {part} classes\n{claims.summary(frame, part).round(3).to_string()}\n")
    judged = []
    for title, chosen in (("the paper's", claims.OF_THE_PAPER), ("our own", claims.OF_THE_KIT)):
        judged.append(claims.judge(frame, chosen))
        if len(judged[-1]):
            print(f"{title} claims\n{judged[-1].round(3).to_string(index=False)}\n")
    spent = frame.value[frame.metric == "seconds"].sum() / 60
    print(f"{len(rows)} rows of {len(seeds)} seeds took {spent:.0f} minutes of one worker")
    print(f"stored in {path}")
    stored = pd.concat(judged).astype(object)
    stored = stored.where(stored.notna(), None)  # one seed has no interval, and JSON no nan
    return {"runs": runs, "claims": stored.to_dict("records")}


def _plan(name: str, sizes: Profile, options) -> Plan:
    folder = Path(options.out) / f"{name}-{sizes.name}-{options.steps}"
    given = (options.photos, options.sketches, str(options.device))
    return Plan(sizes, options.steps, folder, *given)


def _seeds(options) -> range:
    return range(options.first_seed, options.first_seed + options.seeds)


def _available(rows: list[str]) -> list[str]:
    """`rows`, without the one whose weights are not on this machine."""
    return [row for row in rows if row != BACKBONE or imagenet_weights().is_file()]


def _tell_left_out(options) -> None:
    if not options.rows and not imagenet_weights().is_file():
        print(f"without the row {BACKBONE}: there is no {imagenet_weights()}\n")


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
    if not {OURS, REAL} <= runs[0].keys():
        return {}

    def value(rows, name, part):
        return rows[name][part]["map_all"]

    ratios = {
        part: [value(r, OURS, part) / value(r, REAL, part) for r in runs]
        for part in pipeline.PROTOCOLS
        if part in runs[0][OURS]
    }
    for part, each in ratios.items():
        print(f"{OURS} / {REAL}, {part}: {sum(each) / len(each):.3f} {[round(x, 3) for x in each]}")
    reached = {}
    for share in (0.5, 0.8):
        reached[share] = [
            next((s for s, got in r[OURS]["course"] if got >= share * value(r, REAL, "seen")), None)
            for r in runs
        ]
        print(f"seconds until {share:.0%} of the {REAL}'s seen score: {reached[share]}")
    return {"ratios": ratios, "seconds_to_share": reached}


BENCHES = {
    "quality": quality,
    "claims": all_claims,
    "samples": samples,
    "speed": speed,
    "teachers": teacher_accuracy,
    "path": from_scratch,
}


def command(options) -> None:
    """Runs the bench `options.name`, prints its result and stores it under `options.out`."""
    sizes = profile(options.profile)
    if options.photos and options.name in ("samples", "speed", "teachers"):
        raise UserError(f"bench {options.name} measures ToyBox: leave --photos and --sketches out")
    if not options.photos:
        need_shipped(sizes.name)
    if options.workers is None:  # on a GPU one process keeps the device busy
        options.workers = cpu_count() if str(options.device) == "cpu" else 1
    options.steps = options.steps or STEPS.get(options.name, pipeline.STEPS)
    result = BENCHES[options.name](sizes, options)
    path = Path(options.out) / f"{options.name}-{sizes.name}.json"
    write_json(path, {"bench": options.name, "profile": sizes.name, **result})
    if options.name == "teachers":
        print(result)
    print(f"stored in {path}")
