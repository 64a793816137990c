"""The whole path as plain functions: a benchmark, its teachers, a student, the table of scores.

`python -m dfsbir_lite run` and the benches call these; the notebooks walk the same steps by hand.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite import ranks, toybox
from dfsbir_lite.budget import Clock, Pace, fitting, forecast, measure
from dfsbir_lite.data import ImageSet, class_key, folder_pair, together, toybox_set
from dfsbir_lite.files import delete, load_state, read_json, rebuilding, save_state, write_json
from dfsbir_lite.losses import Weights
from dfsbir_lite.models import Encoders, SmallResNet, geometry
from dfsbir_lite.recipes import Recipe
from dfsbir_lite.retrieval import evaluate, teacher_readouts
from dfsbir_lite.runtime import (
    Profile,
    Threads,
    UserError,
    approx,
    autocast,
    is_quiet,
    progress,
    unbroken,
)
from dfsbir_lite.students import (
    Distillation,
    Learner,
    check_run,
    distill,
    new_encoders,
    save_encoders,
)
from dfsbir_lite.teachers import Teacher, Teachers, load_teacher, save_teacher
from dfsbir_lite.views import jitter

SAVE_EVERY = 30  # seconds between checkpoints of a running distillation
STEPS = 400  # iterations of a student: under five minutes for the laptop profile on two cores
STARTS = ("scratch", "teachers")
PROTOCOLS = ("seen", "unseen")
Pair = tuple[ImageSet, ImageSet]  # photos, sketches


@dataclass
class Benchmark:
    """What teachers train on and students are tested on. `unseen` classes have no teacher.

    `train` is None where teachers were given and there is nothing to train on.
    """

    source: str
    train: Pair | None
    seen: Pair
    unseen: Pair | None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.seen[0].classes

    def scores(self, readout: Callable, device="cpu") -> dict[str, dict]:
        """Test scores of a read-out: {"seen": {...}, "unseen": {...}}."""
        pairs = {name: getattr(self, name) for name in PROTOCOLS}
        return {k: evaluate(readout, *pair, device).as_dict() for k, pair in pairs.items() if pair}


def toybox_benchmark(sizes: Profile, split: str = "test", with_train: bool = True) -> Benchmark:
    """ToyBox at the profile's size, scored on `split`: 12 seen classes and 4 unseen ones."""

    def pair(part, classes, per_class=None):
        return tuple(toybox_set(m, part, sizes, classes, per_class) for m in ("photo", "sketch"))

    train = pair("train", toybox.SEEN, None if with_train else 1)
    return Benchmark(f"ToyBox {split}", train, pair(split, toybox.SEEN), pair(split, toybox.UNSEEN))


def folder_benchmark(
    photos,
    sketches,
    sizes: Profile,
    unseen: tuple[str, ...] = (),
    known: tuple[str, ...] | None = None,
    left_out: tuple[str, ...] = (),
) -> Benchmark:
    """The user's folders; classes named in `unseen` are kept from teachers and students.

    They need no train folder. So are those that given teachers do not know, if `known` names what
    they know; then all train folders may be missing. What only one of them knows, `left_out`, is
    neither seen nor unseen.
    """
    train = None
    if known is None or (Path(photos) / "train").is_dir():
        train = folder_pair(photos, sketches, "train", sizes.size)
    test = folder_pair(photos, sketches, "test", sizes.size)
    names = test[0].classes
    if unknown := sorted(set(unseen) - set(names)):
        raise UserError(f"unseen class {unknown[0]!r} is not among {', '.join(names)}")
    if known is not None:
        unseen = (*unseen, *_untaught(names, (*known, *left_out), unseen))
    if train and (differ := sorted((set(train[0].classes) ^ set(names)) - set(unseen))):
        raise UserError(f"{photos}: the train and test folders differ in {', '.join(differ)}")
    dropped = set(map(class_key, left_out))
    seen = tuple(c for c in names if c not in unseen and class_key(c) not in dropped)
    if len(seen) < 2:
        raise UserError("at least two classes must be seen")
    return Benchmark(
        f"{photos} and {sketches}",
        train and _only(train, seen),
        _only(test, seen),
        _only(test, tuple(sorted(unseen))) if unseen else None,
    )


def _only(pair: Pair, classes: tuple[str, ...]) -> Pair:
    return tuple(images.only(classes) for images in pair)


def _untaught(names, known, unseen) -> list[str]:
    """Those of `names` that are not `known` to any teacher, who may know none of `unseen`."""
    taught = set(map(class_key, known))
    if leaks := [name for name in unseen if class_key(name) in taught]:
        raise UserError(f"{leaks[0]!r} cannot be unseen: the teachers know it")
    return [name for name in names if class_key(name) not in taught and name not in unseen]


def open_benchmark(photos, sketches, sizes: Profile, *, known=None, **options) -> Benchmark:
    """The user's folders, see `folder_benchmark`; ToyBox's test split if they are None."""
    if bool(photos) != bool(sketches):
        raise UserError("give both --photos and --sketches, or neither for ToyBox")
    if photos:
        return folder_benchmark(photos, sketches, sizes, known=known, **options)
    if known and set(known) != set(toybox.SEEN):
        raise UserError(f"the teachers know {', '.join(known)}: not the classes of ToyBox")
    return toybox_benchmark(sizes)


def train_teacher(
    images: Tensor,
    labels: Tensor,
    classes: tuple[str, ...],
    profile: Profile,
    *,
    epochs: int | None = None,
    batch: int = 64,
    lr: float = 3e-3,
    device="cpu",
    seed: int = 0,
    desc: str = "teacher",
) -> Teacher:
    """Train a small ResNet on labelled images and freeze it.

    Args:
        images: uint8 (N, 3, size, size). labels: int64 (N,), indices into `classes`.
        epochs: passes over the images; the profile's by default.

    AdamW with a one-cycle schedule on randomly mirrored, turned, scaled and shifted images.
    """
    device, epochs = torch.device(device), epochs or profile.teacher_epochs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the same initial weights on every device
        network = SmallResNet(outputs=len(classes), **geometry(vars(profile)))
    network.to(device, memory_format=torch.channels_last)
    steps = epochs * max(1, len(images) // batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    draw, views = torch.Generator().manual_seed(seed), torch.Generator(device).manual_seed(seed)
    threads = Threads(device)
    for _ in progress(range(steps), desc=desc, unit="step"):
        with threads, torch.enable_grad():
            pick = torch.randint(len(images), (min(batch, len(images)),), generator=draw)
            batch_images = jitter(images[pick].to(device).float() / 255, views)
            with autocast(device):
                loss = F.cross_entropy(
                    network(batch_images).float(), labels[pick].to(device), label_smoothing=0.05
                )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return Teacher(network, classes, profile.size)


def get_teachers(
    benchmark: Benchmark,
    sizes: Profile,
    folder: Path,
    *,
    train: bool = True,
    device="cpu",
    seed: int = 0,
) -> Teachers:
    """The benchmark's teachers: those in `folder`, the missing ones trained and saved there.

    Raises UserError if one is missing and not to be trained, or was trained on other classes.
    """
    photos, sketches = benchmark.train
    both = together(photos, sketches, by_modality=True)
    parts = {"photo": photos, "sketch": sketches, "modality": both}
    teachers = Teachers(
        *(
            # trained apart: no two may start from the same weights
            get_teacher(name, part, sizes, folder, train=train, device=device, seed=seed + n)
            for n, (name, part) in enumerate(parts.items())
        )
    )
    check_size(teachers, sizes, folder)
    return teachers.to(device)


def get_teacher(
    name: str, part: ImageSet, sizes: Profile, folder: Path, *, train=True, device="cpu", seed=0
) -> Teacher:
    """The teacher `name` of `part`: that in `folder`, else trained now and saved there.

    Raises UserError if it is missing and not to be trained, or was trained on other classes.
    """
    path = Path(folder) / f"{name}.safetensors"
    if train and not (path.is_file() and path.with_suffix(".json").is_file()):
        options = {"device": device, "seed": seed, "desc": f"teacher: {name}"}
        teacher = train_teacher(part.images, part.labels, part.classes, sizes, **options)
        save_teacher(path, teacher, {"name": name, "data": f"{len(part)} images", "seed": seed})
    return load_teacher(path, part.classes).to(device)


def check_size(teachers: Teachers, sizes: Profile, folder) -> None:
    """Raises UserError unless the teachers, from `folder`, see images of the profile's size."""
    if teachers.size != sizes.size:
        raise UserError(
            f"{folder}: teachers of {teachers.size} px; profile {sizes.name} has {sizes.size} px"
        )


def start_encoders(start: str, teachers: Teachers, sizes: Profile, seed: int = 0) -> Encoders:
    """Encoders that begin from "scratch" or as copies of the "teachers"."""
    if start == "teachers":
        return encoders_from_teachers(teachers, sizes, seed)
    return new_encoders(sizes, len(teachers.classes), seed)


def suited(settings: Recipe, start: str) -> Recipe:
    """`settings` with a tenth of the encoders' learning rate if they begin as the teachers.

    They have next to nothing left to learn then, and at full speed would forget first.
    """
    if start == "teachers":
        return replace(settings, encoder_lr=settings.encoder_lr / 10)
    return settings


SURE = 20.0  # the logit of a label: its softmax is one-hot
SUPERVISED = Weights(proxy=1, contrastive=0.25)  # what labels teach best


class RealDataStudent(Iterator[Encoders]):
    """The upper bound: the same encoders, losses and steps, learning from real labelled images.

    An iterator over optimisation steps; each gives the averaged encoders. Can be saved and resumed
    between two steps, as a `Distillation` can.
    """

    def __init__(
        self,
        photos: ImageSet,
        sketches: ImageSet,
        recipe: Recipe,
        encoders: Encoders,
        *,
        steps: int,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ):
        self.sets, self.recipe, self.steps = {"photo": photos, "sketch": sketches}, recipe, steps
        self.device = torch.device(device)
        supervised = replace(recipe, weights=replace(SUPERVISED))
        self.learner = Learner(encoders, supervised, steps, self.device)
        self.draw = torch.Generator().manual_seed(seed)
        self.views = torch.Generator(self.device).manual_seed(seed + 1)

    @property
    def index(self) -> int:
        """How many steps have been taken."""
        return self.learner.index

    @property
    def encoders(self) -> Encoders:
        """The averaged encoders, frozen: what is being learnt."""
        return self.learner.averaged

    def __len__(self) -> int:
        return self.steps

    @unbroken()
    @torch.enable_grad()
    def __next__(self) -> Encoders:
        if self.index >= self.steps:
            raise StopIteration
        photos, photo_labels = self._batch("photo")
        sketches, sketch_labels = self._batch("sketch")
        self.learner.step(photos, sketches, photo_labels, sketch_labels)
        return self.encoders

    def save(self, path: str | Path) -> None:
        """Writes everything that `resume` needs to go on as if nothing had happened."""
        state = {
            "length": f"{self.steps} steps",
            "classes": list(self.sets["photo"].classes),
            "learner": self.learner.state(),
            "draw": self.draw.get_state(),
            "views": self.views.get_state(),
        }
        save_state(path, state)

    def resume(self, path: str | Path) -> None:
        """Continues from a file that `save` wrote.

        Raises UserError, naming the file, if it belongs to other classes, another length or other
        sizes.
        """
        state = load_state(path)
        with rebuilding(path):
            check_run(path, state, self.sets["photo"].classes, f"{self.steps} steps")
            self.learner.restore(state["learner"])
            self.draw.set_state(state["draw"])
            self.views.set_state(state["views"])

    def _batch(self, modality: str) -> tuple[Tensor, Tensor]:
        """Random views (N, 3, H, W) and logits of their labels (N, C)."""
        data = self.sets[modality]
        pick = torch.randint(len(data), (self.recipe.batch,), generator=self.draw)
        images = data.images[pick].to(self.device).float() / 255
        labels = SURE * F.one_hot(data.labels[pick], len(data.classes)).float()
        return jitter(images, self.views), labels.to(self.device)


def run_to_end(
    loop: Distillation | RealDataStudent,
    state: Path,
    save_every: float = SAVE_EVERY,
    watch: Callable[[int, Encoders], None] = lambda done, encoders: None,
    seconds: float | None = None,
    desc: str = "student",
) -> Encoders:
    """Runs `loop` to its end with a progress bar, from `state` if that file is there.

    Saves to `state` every `save_every` seconds, between steps. `watch` is called before the first
    iteration and after each one, with the number of those done and the encoders, see
    `course.recorder`. `seconds` are what the whole loop, a `Distillation`, may take: if it turns
    out slower, it is shortened. Raises UserError when interrupted, when another process has gone,
    and for a term that is not a number.
    """
    if ranks.share(state.is_file()):
        loop.resume(state, shortened=True) if seconds else loop.resume(state)
    if seconds:
        save_every = min(save_every, seconds / 10)
    clock = Clock(loop, seconds)
    kept, saved = loop.index, time.monotonic()
    watch(loop.index, loop.encoders)
    try:
        with progress(desc=desc, initial=loop.index, total=len(loop), unit="step") as bar:
            for step in loop:
                bar.update()
                watch(loop.index, loop.encoders)
                if loop.index % 10 == 1 and (terms := getattr(step, "terms", None)):
                    bar.set_postfix({k: f"{float(v):.2f}" for k, v in terms.items()})
                if ranks.share(time.monotonic() - saved > save_every):
                    bar.total = clock.keep()
                    loop.save(state)
                    kept, saved = loop.index, time.monotonic()
    except FloatingPointError as reason:
        raise UserError(
            f"step {loop.index} of {len(loop)}: {reason}; try a lower weight or learning rate"
        ) from None
    except (KeyboardInterrupt, RuntimeError) as reason:
        if not (why := ranks.why_over(reason)):
            raise
        raise UserError(
            f"{why}; the same command goes on from step {kept} of {len(loop)}"
        ) from None
    return loop.encoders


def fingerprint(teachers: Teachers) -> str:
    """What tells these teachers from others with the same classes: a hash of their last layers."""
    weights = (t.proxies.float().cpu().numpy().tobytes() for t in (teachers.photo, teachers.sketch))
    return hashlib.sha256(b"".join(weights)).hexdigest()[:16]


def in_order(teachers: Teachers, classes: tuple[str, ...]) -> Teachers:
    """The teachers with outputs for `classes` alone, in that order, as their labels count them."""
    names = {class_key(name): name for name in teachers.classes}
    wanted = [names[class_key(name)] for name in classes]
    return Teachers(teachers.photo.only(wanted), teachers.sketch.only(wanted), teachers.guidance)


def run(
    benchmark: Benchmark | None,
    teachers: Teachers,
    sizes: Profile,
    settings: Recipe,
    folder: Path,
    *,
    start: str = "scratch",
    steps: int = STEPS,
    minutes: float | None = None,
    device="cpu",
    seed: int = 0,
) -> dict[str, dict]:
    """Teacher read-outs, the data-free student and, given data, the one trained on it, scored.

    Everything goes to `folder` as it is finished, so that the same call goes on where an earlier
    one stopped. Returns {row: {"seen": scores, "unseen": scores}}, also in `folder`/scores.json.
    With `minutes`, `steps` are as many as the data-free student can take in that time; an earlier
    call's in `folder` stay.

    Several processes learn the data-free student together. The rest is done by the first, to which
    alone this returns and which alone needs the `benchmark`; the others end here.

    Raises UserError if `folder` holds a run with other settings.
    """

    job = _Run(benchmark, teachers, sizes, settings, Path(folder), start, steps, device, seed)
    if minutes:
        job.fit(minutes)
    job.open()
    if ranks.is_first():
        for name, readout in teacher_readouts(teachers).items():
            job.score(name, readout)
    if "data-free student" not in job.rows:
        job.learn_without_data()
    ranks.dismiss_others()
    if job.wants_upper:
        job.learn_from_data()
    return job.rows


@dataclass
class _Run:
    """One call of `run`, whose arguments these are; `pace` and `minutes` if it keeps to a time."""

    benchmark: Benchmark | None
    teachers: Teachers
    sizes: Profile
    settings: Recipe
    folder: Path
    start: str
    steps: int
    device: torch.device | str
    seed: int
    minutes: float | None = None
    pace: Pace | None = None
    rows: dict[str, dict] = field(default_factory=dict)

    @property
    def facts(self) -> dict:
        """What tells this run from others, as it is stored."""
        facts = {
            "source": self.benchmark and self.benchmark.source,
            "profile": self.sizes.name,
            "start": self.start,
            "steps": self.steps,
            **({"minutes": self.minutes} if self.minutes else {}),
            "seed": self.seed,
            **asdict(self.settings),
            "classes": self.teachers.classes,
            "teachers": fingerprint(self.teachers),
        }
        return json.loads(json.dumps(facts))

    @property
    def wants_upper(self) -> bool:
        """Whether this process is to train the student of real data."""
        trains = ranks.is_first() and self.benchmark.train
        return bool(trains) and "real-data student" not in self.rows

    def fit(self, minutes: float) -> None:
        """As many steps as fit into `minutes`, or those that an earlier call has chosen."""
        self.minutes = minutes
        if steps := ranks.share(_chosen(self.folder) if ranks.is_first() else None):
            self.steps = steps
            return
        self.pace = measure(self._loop(1))
        self.steps = fitting(minutes, self.pace)
        _announce(f"{minutes:g} minutes are enough for {approx(self.steps, 0)} iterations")

    def open(self) -> None:
        """Takes up what an earlier call has left in the folder."""
        mine = open_run(self.folder, self.facts) if ranks.is_first() else None
        self.rows = ranks.share(mine)

    def score(self, name: str, readout: Callable, began: float | None = None) -> None:
        """Adds a row to the table, with the seconds since `began`."""
        row = {} if began is None else {"seconds": round(time.monotonic() - began, 1)}
        self.rows[name] = row | self.benchmark.scores(readout, self.device)
        write_json(self.folder / "scores.json", self.rows)

    def learn_without_data(self) -> None:
        """The data-free student; all processes but the first end here."""
        began, state = time.monotonic(), self.folder / "state.safetensors"
        if self.pace:
            began -= self.pace.took
        self._tell(state)
        left = self.minutes and 60 * self.minutes - (time.monotonic() - began)
        loop, processes = self._loop(self.steps), ranks.count()
        encoders = run_to_end(loop, state, seconds=left)
        ranks.dismiss_others()
        if len(loop) < self.steps:
            _announce(f"slower than measured: ended after {len(loop)} iterations")
        card = {"data": "none", **self.facts, "steps": len(loop)}
        if processes > 1:
            card["processes"] = processes
        save_encoders(self.folder / "student.safetensors", encoders, card)
        self.score("data-free student", encoders.embed, began)
        delete(state)

    def learn_from_data(self) -> None:
        """The student of real data, in as many steps."""
        began, state = time.monotonic(), self.folder / "real_state.safetensors"
        encoders = run_to_end(self._upper(), state, desc="student on real data")
        self.score("real-data student", encoders.embed, began)
        delete(state)

    def _tell(self, state: Path) -> None:
        """What it will take, unless it goes on from a `state`."""
        if not ranks.share(not is_quiet() and not state.is_file() and self.steps > 1):
            return
        self.pace = self.pace or measure(self._loop(1))
        if ranks.is_first():
            upper = self._upper() if self.wants_upper else None
            _announce(forecast(self.steps, self.pace, upper))

    def _loop(self, steps: int) -> Distillation:
        encoders = start_encoders(self.start, self.teachers, self.sizes, self.seed)
        options = {"width": self.sizes.estimator_width, "device": self.device, "seed": self.seed}
        settings = suited(self.settings, self.start)
        return distill(self.teachers, settings, encoders, steps=steps, **options)

    def _upper(self) -> RealDataStudent:
        teachers = in_order(self.teachers, self.benchmark.classes)
        encoders = start_encoders(self.start, teachers, self.sizes, self.seed)
        steps = self.steps * self.settings.encoder_steps
        options = {"steps": steps, "device": self.device, "seed": self.seed}
        return RealDataStudent(*self.benchmark.train, self.settings, encoders, **options)


def _chosen(folder: Path) -> int | None:
    """The iterations that an earlier run in `folder` chose or was given; None if there was none."""
    settings = folder / "settings.json"
    return read_json(settings, "settings").get("steps") if settings.is_file() else None


def _announce(line: str) -> None:
    if not is_quiet():
        print(line, file=sys.stderr)


def open_run(folder: Path, facts: dict) -> dict:
    """The rows that an earlier run with the same `facts` left in `folder`, else none.

    Raises UserError if it holds those of a run with others.
    """
    settings, scores = folder / "settings.json", folder / "scores.json"
    if not settings.is_file():
        write_json(settings, facts)
    earlier = read_json(settings, "settings")
    if differ := [k for k in facts if earlier.get(k) != facts[k]]:
        raise UserError(
            f"{folder}: holds a run with another {differ[0]}; give another --out or delete it"
        )
    return read_json(scores, "scores") if scores.is_file() else {}


def table(rows: dict[str, dict]) -> pd.DataFrame:
    """Scores as a table: a line a method below chance, a column a metric for each protocol."""
    flat = {
        name: {
            (p, metric): value for p in PROTOCOLS if p in row for metric, value in row[p].items()
        }
        for name, row in rows.items()
    }
    frame = pd.DataFrame.from_dict(flat, orient="index")
    frame.columns = pd.MultiIndex.from_tuples(frame.columns)
    chance = [frame[p, "chance"].iloc[0] for p, _ in frame.columns]
    top = pd.DataFrame([chance], index=["chance"], columns=frame.columns)
    return pd.concat([top, frame]).drop(columns="chance", level=1)


# --- networks and their files -----------------------------------------------------------------


def encoders_from_teachers(teachers: Teachers, profile: Profile, seed: int = 0) -> Encoders:
    """Return encoders that start as the teachers: their class scores are the teachers' logits.

    Raises UserError for teachers of another architecture, or more classes than dimensions.
    """
    encoders = new_encoders(profile, len(teachers.classes), seed)
    axes = encoders.proxies.detach().T  # (E, C), orthonormal columns
    if axes.shape[1] > axes.shape[0]:
        raise UserError("{1} classes do not fit into {0} dimensions".format(*axes.shape))
    for modality in ("photo", "sketch"):
        network, needed = getattr(teachers, modality).network, geometry(vars(profile))
        shape = getattr(network, "geometry", type(network).__name__)
        if shape != needed:
            raise UserError(f"the {modality} teacher is {shape}; the encoders are {needed}")
        weights = {k: v.cpu() for k, v in network.state_dict().items()}
        for name in ("fc.weight", "fc.bias"):
            weights[name] = axes @ weights[name]
        getattr(encoders, modality).load_state_dict(weights)
    return encoders
