"""Everything that is compared, by name, and `compare`, which scores it.

Rivals of the data-free student; the recipe with one change; teachers who share some classes.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from operator import attrgetter
from pathlib import Path

import pandas as pd
import torch
from joblib import Parallel, delayed

from dfsbir_lite import pipeline
from dfsbir_lite.data import together
from dfsbir_lite.files import write_json
from dfsbir_lite.models import Encoders
from dfsbir_lite.pipeline import Benchmark, RealDataStudent
from dfsbir_lite.recipes import RECIPES, Recipe, recipe
from dfsbir_lite.retrieval import ReadOut, teacher_readouts
from dfsbir_lite.runtime import Profile, UserError, progress
from dfsbir_lite.students import Distillation, distill
from dfsbir_lite.study import baselines
from dfsbir_lite.study.baselines import FedStudent, averaged_weights, metadata
from dfsbir_lite.study.readouts import canonical, cost, over_views, turned
from dfsbir_lite.teachers import Teachers
from dfsbir_lite.zoo import ASSETS, load_or_train

OURS, REAL = "data-free student", "real-data student"
UNIMODAL = "uni-modal distillation"
TEXTURES = "textures instead of synthesis"
SHARES = (0.1, 0.25, 0.5, 0.75)  # of the classes, common to both teachers
Loop = Distillation | FedStudent | RealDataStudent


@dataclass(frozen=True)
class Setting:
    """The ingredients of a row."""

    benchmark: Benchmark
    teachers: Teachers
    sizes: Profile
    steps: int  # iterations of each student
    folder: Path = Path("runs")  # for scores, and for teachers of some of the classes
    networks: Path = ASSETS / "laptop"  # the folder of `teachers`
    device: str = "cpu"
    seed: int = 0
    regime: str = "kit"  # the recipe
    changes: dict = field(default_factory=dict)  # to it
    start: str = "scratch"  # where students begin, see `pipeline.start_encoders`
    borrowed: bool = False  # whether the rows of the teacher's last layer are the first proxies

    @property
    def recipe(self) -> Recipe:
        return pipeline.suited(recipe(self.regime, **self.changes), self.start)

    def changed(self, **changes) -> "Setting":
        """Return this setting with more `changes`."""
        return replace(self, changes={**self.changes, **changes})

    def distilled(self) -> Distillation:
        """Return the loop of a data-free student."""
        width = self.sizes.estimator_width
        return self._loop(distill, self.teachers, steps=self.steps, width=width)

    def fed(self, student: Callable[..., Loop], *sources) -> Loop:
        """Return the loop of a `student` of other images, with as many optimisation steps."""
        return self._loop(student, *sources, steps=self.steps * self.recipe.encoder_steps)

    def _loop(self, student: Callable[..., Loop], *sources, **options) -> Loop:
        options |= {"device": self.device, "seed": self.seed}
        begin = self.start, self.teachers, self.sizes, self.seed, self.recipe.temperature
        encoders = pipeline.start_encoders(*begin)
        if self.borrowed:
            encoders.proxies.data.copy_(self.teachers.photo.proxies)
        return student(*sources, self.recipe, encoders, **options)


def open_setting(
    sizes: Profile, steps: int, folder: Path, photos=None, sketches=None, device: str = "cpu"
) -> Setting:
    """Return ToyBox and its shipped teachers, or the user's folders and teachers trained there."""
    benchmark = pipeline.open_benchmark(photos, sketches, sizes)
    networks = folder.parent / f"teachers-{sizes.name}" if photos else ASSETS / sizes.name
    options = {"train": bool(photos), "device": device}
    teachers = pipeline.get_teachers(benchmark, sizes, networks, **options)
    return Setting(benchmark, teachers, sizes, steps, folder, networks, device)


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    name: str
    make: Callable[[Setting], ReadOut | Loop]  # a read-out, or a student's loop, run to its end
    read: Callable[[Encoders], ReadOut] = attrgetter("embed")  # of the encoders of its student

    def scores(self, setting: Setting) -> dict:
        """Make the row and return its scores, {"seen": {...}, "unseen": {...}}.

        A student's also have the "seconds" that it took to learn.
        """
        began, made = time.perf_counter(), self.make(setting)
        if not isinstance(made, Iterator):
            return setting.benchmark.scores(made, setting.device)
        for _ in progress(made, desc=self.name, unit="step"):
            pass
        seconds = round(time.perf_counter() - began, 1)
        scores = setting.benchmark.scores(self.read(made.encoders), setting.device)
        return {"seconds": seconds, **scores}


def _named(*rows: Row) -> dict[str, Row]:
    return {row.name: row for row in rows}


def _features(encoders: Encoders) -> ReadOut:
    return lambda *given: encoders(*given).maps[-1].float().mean((2, 3))


def _unified(setting: Setting) -> Setting:
    """Return the released code's setting: one teacher of both modalities, in both places."""
    both, options = together(*setting.benchmark.train), {"device": setting.device, "seed": 3}
    one = pipeline.get_teacher("unified", both, setting.sizes, setting.networks, **options)
    return replace(setting, teachers=Teachers(one, one, setting.teachers.guidance))


RIVALS = _named(
    Row("teacher features", lambda s: teacher_readouts(s.teachers)["teacher features"]),
    Row("teacher logits", lambda s: teacher_readouts(s.teachers)["teacher logits"]),
    Row("teacher posteriors", lambda s: teacher_readouts(s.teachers)["teacher posteriors"]),
    Row("averaged weights", lambda s: averaged_weights(s.teachers)),
    Row("unified teacher's features", lambda s: RIVALS["teacher features"].make(_unified(s))),
    Row(OURS, Setting.distilled),
    Row(REAL, lambda s: s.fed(RealDataStudent, *s.benchmark.train)),
    Row(TEXTURES, lambda s: s.fed(FedStudent, baselines.textures, s.teachers)),
    # class scores would tie two encoders that learn apart, by the names of the classes
    Row(UNIMODAL, lambda s: s.changed(align=0, modal=0, adv=0).distilled(), read=_features),
    Row("Gaussian prior", lambda s: s.fed(FedStudent, baselines.gaussian, s.teachers)),
    Row("meta-data", lambda s: s.fed(FedStudent, metadata(s.teachers, s.seed), s.teachers)),
    Row("alternative data", lambda s: s.fed(FedStudent, baselines.alternative, s.teachers)),
    Row("student of a unified teacher", lambda s: _unified(s).distilled()),
)


def _regime(name: str, regime: str, **changes) -> Row:
    return Row(name, lambda s: replace(s, regime=regime).changed(**changes).distilled())


TERMS = {"batch statistics": "bn", "one-hot": "one_hot", "alignment": "align"}
TERMS |= {"guidance": "modal", "adversary": "adv", "hints": "hint"}
ABLATIONS = _named(
    *(_regime(f"no {n}", "kit", **{term: 0}) for n, term in TERMS.items()),
    _regime("adversary from the start", "kit", adv_after=0),
)

# the paper's ingredients, and ours: the terms of each
INGREDIENTS = {
    "semantic terms": ("one_hot", "entropy", "activation"),
    "alignment": ("align",),
    "guidance": ("modal",),
    "adversary": ("adv",),
    "batch statistics": ("bn",),
}
PAIRS, BN, OWN = "paper-pairs", "paper-proxies+bn", "kit-without-hints"
NOISE, BOTH = f"{BN}: labels from the noise", f"{BN}: pairs as well"
MAPPED = ("paper-proxies", BN, OWN)  # regimes of the map: those that leave chance


def toggled(regime: str, ingredient: str) -> str:
    """Return the name of the row that has an `ingredient` less than `regime`, or one more."""
    if "paper" in regime and ingredient == "batch statistics":
        return regime.removesuffix("+bn") if "+bn" in regime else f"{regime}+bn"
    return f"{regime} {'without' if _has(regime, ingredient) else 'with'} {ingredient}"


def with_and_without(regime: str, ingredient: str) -> tuple[str, str]:
    """Return the rows with an ingredient and without it: the regime and its `toggled` row."""
    if regime == "kit":
        return OURS, next(f"no {n}" for n, term in TERMS.items() if term in INGREDIENTS[ingredient])
    other = toggled(regime, ingredient)
    return (regime, other) if _has(regime, ingredient) else (other, regime)


def _has(regime: str, ingredient: str) -> bool:
    return any(getattr(recipe(regime).weights, term) for term in INGREDIENTS[ingredient])


def _toggled(regime: str, ingredient: str) -> Row:
    terms = dict.fromkeys(INGREDIENTS[ingredient], 0)
    if not _has(regime, ingredient):
        usual = recipe(BN).weights
        terms = {term: getattr(usual, term) for term in terms}
    return _regime(toggled(regime, ingredient), regime, **terms)


def _begun(regime: str, **options) -> Callable[[Setting], Loop]:
    return lambda s: replace(s, regime=regime, **options).distilled()


REGIMES = _named(
    *(_regime(name, name) for name in (PAIRS, f"{PAIRS}+bn")),
    _regime(f"{PAIRS}+bn: same class masked", f"{PAIRS}+bn", mask_same=True),
    Row(f"{PAIRS}+bn: begun as the teachers", _begun(f"{PAIRS}+bn", start="teachers")),
    *(_regime(name, name) for name in MAPPED),
    _regime(BOTH, BN, pairs=1, queue=128),
    _regime(f"{BOTH} without alignment", BN, pairs=1, queue=128, align=0),
    Row(f"{BN}: unified teacher", lambda s: _begun(BN, borrowed=True)(_unified(s))),
    _regime(NOISE, BN, labels="noise"),
    _regime(f"{NOISE} without alignment", BN, labels="noise", align=0),
    *(_toggled(r, i) for r in MAPPED for i in INGREDIENTS if toggled(r, i) not in RECIPES),
    *(
        Row(f"{OWN}: {row.name}", lambda s, row=row: row.make(replace(s, regime=OWN)))
        for row in (RIVALS[TEXTURES], RIVALS["alternative data"], RIVALS[REAL])
    ),
)


def split_classes(
    classes: Sequence[str], share: float, seed: int = 0
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return classes for a photo and for a sketch teacher, each in the order of `classes`.

    They have about `share` of `classes` in common, at least one, and split the rest.
    """
    drawn = random.Random(seed).sample(list(classes), len(classes))
    common = max(1, round(share * len(classes)))
    unknown = drawn[common + 1 :: 2], drawn[common::2]  # to one of the two each
    return tuple(tuple(c for c in classes if c not in names) for names in unknown)


def partly_shared(share: float, setting: Setting) -> Setting:
    """Return `setting` with teachers that have `share` of the classes in common."""
    classes, pair = setting.benchmark.classes, []
    folder = setting.folder / f"seed{setting.seed}" / f"teachers-{share:.0%}"
    for n, names in enumerate(split_classes(classes, share, setting.seed)):
        part, name = setting.benchmark.train[n].only(names), ("photo", "sketch")[n]
        options = {"device": setting.device, "seed": 2 * setting.seed + n}
        teacher = pipeline.get_teacher(name, part, setting.sizes, folder, **options)
        pair.append(teacher.widened(classes))
    return replace(setting, teachers=Teachers(*pair, setting.teachers.guidance))


def overlap_row(share: float, what: str = "") -> str:
    """Return the name of that share's row: of the student, or of the teachers' "posteriors"."""
    return f"{share:.0%} shared" + (f": {what}" if what else "")


def _overlap(share: float, row: Row, what: str = "") -> Row:
    return Row(overlap_row(share, what), lambda s: row.make(partly_shared(share, s)))


OVERLAP = _named(
    *(_overlap(share, RIVALS[OURS]) for share in SHARES),
    *(_overlap(share, RIVALS["teacher posteriors"], "posteriors") for share in SHARES),
)


def _viewed(name: str, views: int) -> Row:
    make = RIVALS[name].make
    return Row(f"{name}: {views} views", lambda s: over_views(make(s), views))


def _narrow(setting: Setting) -> Distillation:
    half = tuple(width // 2 for width in setting.sizes.widths)
    return replace(setting, sizes=replace(setting.sizes, widths=half)).distilled()


# what a student must beat, and what it may cost
SIZES = _named(
    *(RIVALS[name] for name in ("teacher logits", "teacher posteriors")),
    *(_viewed(name, n) for name in ("teacher logits", "teacher posteriors") for n in (8, 24)),
    Row("features turned to agree", lambda s: turned(s.teachers)),
    Row("canonical correlation", lambda s: canonical(s.teachers, load_or_train("scenes"))),
    RIVALS[OURS],
    Row("student begun as the teachers", _begun("kit", start="teachers")),
    Row("student of half the widths", _narrow),
    Row("small student", _begun("kit", start="squeezed")),
)
ROWS = {**RIVALS, **ABLATIONS, **OVERLAP, **REGIMES, **SIZES}


def compare(
    setting: Setting, rows: Sequence[str], seeds: Sequence[int], workers: int = 1
) -> list[dict]:
    """Return the scores of `rows` for each of `seeds`: a dict a seed, row → `Row.scores`.

    Each score is kept in its seed's folder as soon as it is there, and the same call goes on where
    an earlier one was stopped. Raises UserError for an unknown row, for one that cannot be made,
    and if the folder holds something else. One thread makes each score, however many `workers`,
    which are processes, there are.
    """
    if unknown := [row for row in rows if row not in ROWS]:
        raise UserError(f"no row {unknown[0]!r}: choose among {', '.join(ROWS)}")
    settings = {seed: replace(setting, seed=seed) for seed in seeds}
    known = {seed: _known(each) for seed, each in settings.items()}
    jobs = [(row, seed) for row in rows for seed in seeds if row not in known[seed]]
    workers = max(1, min(workers, len(jobs)))
    calls = (delayed(_score)(settings[seed], row, workers > 1) for row, seed in jobs)
    pool = Parallel(workers, return_as="generator_unordered", batch_size=1)
    for row, seed, scores in progress(pool(calls), desc="rows", total=len(jobs), unit="row"):
        known[seed][row] = scores
        write_json(setting.folder / f"seed{seed}" / "scores.json", known[seed])
    return [{row: known[seed][row] for row in rows} for seed in seeds]


def costs(setting: Setting, rows: Sequence[str]) -> pd.DataFrame:
    """Return what it costs to read a photo, a line for each of `rows`, see `readouts.cost`."""
    return pd.DataFrame({row: _cost(setting, ROWS[row]) for row in rows}).T


def _cost(setting: Setting, row: Row) -> dict[str, float]:
    made, networks = row.make(setting), (setting.teachers.photo, setting.teachers.sketch)
    if isinstance(made, Iterator):  # a student, which is not trained here
        networks, made = [made.encoders], row.read(made.encoders)
    photo = torch.rand(1, 3, setting.sizes.size, setting.sizes.size, device=setting.device)
    return cost(made, networks, photo)


def _known(setting: Setting) -> dict:
    """Return the scores that an earlier call has left for the setting's seed."""
    facts = {"source": setting.benchmark.source, "profile": setting.sizes.name}
    facts |= {"steps": setting.steps, "seed": setting.seed, **asdict(setting.recipe)}
    facts |= {"teachers": pipeline.fingerprint(setting.teachers)}
    return pipeline.open_run(setting.folder / f"seed{setting.seed}", facts)


def _score(setting: Setting, row: str, quiet: bool) -> tuple[str, int, dict]:
    if quiet:  # a worker, beside others: one progress bar is enough
        os.environ["DFSBIR_QUIET"] = "1"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return row, setting.seed, ROWS[row].scores(setting)
    except (UserError, FloatingPointError) as reason:
        raise UserError(f"row {row}, seed {setting.seed}: {reason}") from None
    finally:
        torch.set_num_threads(threads)
