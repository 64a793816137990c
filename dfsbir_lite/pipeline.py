"""The whole path as plain functions: a benchmark, its teachers, a student, the table of scores.

`python -m dfsbir_lite run` and the benches call these; the notebooks walk the same steps by hand.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, asdict, dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfsbir_lite import files, students, toybox
from dfsbir_lite.data import ImageSet, class_key, folder_pair, lone, spelt, together, toybox_set
from dfsbir_lite.losses import Weights
from dfsbir_lite.models import Encoders, SmallResNet, geometry
from dfsbir_lite.recipes import Recipe
from dfsbir_lite.retrieval import embed, evaluate, teacher_readouts
from dfsbir_lite.runtime import Profile, Threads, UserError, autocast, progress
from dfsbir_lite.students import Distillation, Learner, distill
from dfsbir_lite.teachers import Teacher, Teachers, load_teacher, save_teacher
from dfsbir_lite.views import jitter

STEPS = 400  # iterations of a student: under five minutes for the laptop profile on two cores
STARTS = ("scratch", "teachers", "squeezed")
PROTOCOLS = ("seen", "unseen")
Pair = tuple[ImageSet, ImageSet]  # photos, sketches


@dataclass
class Benchmark:
    """What teachers train on and students are tested on; teachers do not know `unseen` classes."""

    source: str
    train: Pair | None  # None where the teachers are there already
    seen: Pair
    unseen: Pair | None

    @property
    def classes(self) -> tuple[str, ...]:
        """The seen classes, in the order of their labels."""
        return self.seen[0].classes

    def scores(self, readout: Callable, device="cpu") -> dict[str, dict]:
        """Return the test scores of a read-out: {"seen": {...}, "unseen": {...}}."""
        pairs = {name: getattr(self, name) for name in PROTOCOLS}
        return {k: vars(evaluate(readout, *pair, device)) for k, pair in pairs.items() if pair}


def toybox_benchmark(sizes: Profile, split: str = "test", with_train: bool = True) -> Benchmark:
    """Return ToyBox at the profile's size, scored on `split`: 12 seen classes and 4 unseen ones."""

    def pair(part, classes, per_class=None):
        return tuple(toybox_set(m, part, sizes, classes, per_class) for m in ("photo", "sketch"))

    train = pair("train", toybox.SEEN, None if with_train else 1)
    return Benchmark(f"ToyBox {split}", train, pair(split, toybox.SEEN), pair(split, toybox.UNSEEN))


def open_benchmark(
    photos: str | Path | None,
    sketches: str | Path | None,
    sizes: Profile,
    unseen: tuple[str, ...] = (),
    known: tuple[str, ...] = (),
    left_out: tuple[str, ...] = (),
) -> Benchmark:
    """Return the benchmark of two folders `<folder>/{train,test}/<class>/`, or ToyBox without them.

    Teachers and students do not see the `unseen` classes, which need no train folder. If there are
    teachers already, who all know `known`, their train folders may be missing, and all other
    classes are unseen, except those `left_out`, which only one teacher knows.
    """
    if bool(photos) != bool(sketches):
        raise UserError("give both --photos and --sketches, or neither for ToyBox")
    if not photos:
        if unseen:
            raise UserError("ToyBox has unseen classes of its own: leave out --unseen")
        return toybox_benchmark(sizes)
    has_train = not known or (Path(photos) / "train").is_dir()
    train = folder_pair(photos, sketches, "train", sizes.size) if has_train else None
    test = folder_pair(photos, sketches, "test", sizes.size)
    seen, unseen = _divided(test[0].classes, unseen, known, left_out)
    if train:
        alone, others = lone(train[0].classes, test[0].classes)
        if differ := list(map(spelt, lone(alone + others, unseen)[0])):
            raise UserError(f"{photos}: the train and test folders differ in {', '.join(differ)}")
    parts = _only(train, seen), _only(test, seen), _only(test, unseen)
    return Benchmark(f"{photos} and {sketches}", *parts)


def _divided(names, unseen, known, left_out) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the seen and the unseen classes among `names`, see `open_benchmark`."""
    if unknown := lone(unseen, names)[0]:
        there = ", ".join(map(spelt, names))
        raise UserError(f"unseen class '{spelt(unknown[0])}' is not among {there}")
    hidden, taught, dropped = (set(map(class_key, some)) for some in (unseen, known, left_out))
    if leaks := [name for name in unseen if class_key(name) in taught | dropped]:
        raise UserError(f"{leaks[0]!r} cannot be unseen: the teachers know it")
    rest = [c for c in names if class_key(c) not in dropped]
    shown = [c for c in rest if class_key(c) not in hidden]
    seen = tuple(c for c in shown if not known or class_key(c) in taught)
    if len(seen) < 2:
        raise UserError("at least two classes must be seen")
    return seen, tuple(c for c in rest if c not in seen)


def _only(pair: Pair | None, classes: tuple[str, ...]) -> Pair | None:
    return tuple(images.only(classes) for images in pair) if pair and classes else None


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

    `images` are uint8 (N, 3, size, size), `labels` int64 (N,), indices into `classes`; `epochs` are
    passes over the images, by default as many as the profile says.

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
                logits, wanted = network(batch_images).float(), labels[pick].to(device)
                loss = F.cross_entropy(logits, wanted, label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return Teacher(network, classes, profile.size)


def get_teachers(
    benchmark: Benchmark, sizes: Profile, folder: Path, *, train=True, device="cpu", seed: int = 0
) -> Teachers:
    """Return the benchmark's three teachers from `folder`, see `get_teacher`."""
    photos, sketches = benchmark.train
    parts = {"photo": photos, "sketch": sketches}
    parts["modality"] = together(photos, sketches, by_modality=True)
    trained = [  # apart: no two may start from the same weights
        get_teacher(name, part, sizes, folder, train=train, device=device, seed=seed + n)
        for n, (name, part) in enumerate(parts.items())
    ]
    return Teachers(*trained).to(device)


def get_teacher(
    name: str, part: ImageSet, sizes: Profile, folder: Path, *, train=True, device="cpu", seed=0
) -> Teacher:
    """Return the teacher `name` of `folder`; if it may `train` a missing one, trained on `part`.

    Raises UserError, naming the file, for a teacher of other classes, and for one that this
    function trained on other images, for another profile or with another seed.
    """
    path, digest = Path(folder) / f"{name}.safetensors", hashlib.sha256(f"{sizes} {seed}".encode())
    digest.update(part.labels.numpy())
    digest.update(part.images.flatten().numpy())
    origin = digest.hexdigest()
    if train and not (path.is_file() and path.with_suffix(".json").is_file()):
        options = {"device": device, "seed": seed, "desc": f"teacher: {name}"}
        teacher = train_teacher(part.images, part.labels, part.classes, sizes, **options)
        card = {"name": name, "data": f"{len(part)} images", "seed": seed, "origin": origin}
        save_teacher(path, teacher, card)
    teacher = load_teacher(path, part.classes)
    # those that ship, or that somebody brought, do not say it
    if files.read_card(path).get("origin", origin) != origin:
        raise UserError(f"{path}: trained on other images or settings; give another --out")
    return teacher.to(device)


def fingerprint(teachers: Teachers) -> str:
    """Return what tells these teachers from others of the same classes: a hash of their proxies."""
    weights = (t.proxies.float().cpu().numpy().tobytes() for t in (teachers.photo, teachers.sketch))
    return hashlib.sha256(b"".join(weights)).hexdigest()[:16]


def in_order(teachers: Teachers, classes: tuple[str, ...]) -> Teachers:
    """Return the teachers with outputs for `classes` alone, in that order."""
    names = {class_key(name): name for name in teachers.classes}
    wanted = [names[class_key(name)] for name in classes]
    return Teachers(teachers.photo.only(wanted), teachers.sketch.only(wanted), teachers.guidance)


def accuracy(teacher: Teacher, data: ImageSet, device="cpu") -> float:
    """Return the share of `data` that `teacher` classifies correctly."""
    logits = embed(lambda images, _: teacher(images).logits, data.images, "", device=device)
    return (logits.argmax(1) == data.labels).float().mean().item()


def verdicts(benchmark: Benchmark, teachers: Teachers, device="cpu") -> str:
    """Return in words how often each teacher is right on the seen test pictures."""
    chance, lines = 1 / len(benchmark.classes), []
    teachers = in_order(teachers, benchmark.classes)
    for name, images in zip(("photo", "sketch"), benchmark.seen):
        right = accuracy(getattr(teachers, name), images, device)
        lines.append(f"{name} teacher: right on {right:.0%} of test pictures, chance {chance:.0%}")
        if right < chance * (2 - chance):  # of two guesses
            lines.append(f"warning: near chance; are the {name} teacher's classes in order?")
    return "\n".join(lines)


def encoders_from_teachers(
    teachers: Teachers, profile: Profile, seed: int = 0, temperature: float | None = 2.5
) -> Encoders:
    """Return encoders that start as the teachers: their class scores are the teachers' logits.

    Raises UserError for teachers of another architecture, or more classes than dimensions.
    """
    encoders = students.new_encoders(profile, len(teachers.classes), seed, temperature)
    axes = encoders.proxies.detach().T  # (E, C), orthonormal columns
    if axes.shape[1] > axes.shape[0]:
        raise UserError("{1} classes do not fit into {0} dimensions".format(*axes.shape))
    for modality in ("photo", "sketch"):
        network, needed = getattr(teachers, modality).network, geometry(vars(profile))
        shape = getattr(network, "geometry", type(network).__name__)
        if shape != needed:
            raise UserError(f"the {modality} teacher is {shape}; the encoders are {needed}")
        weights = {k: v.cpu() for k, v in network.state_dict().items()}
        for name in ("fc.weight", "fc.bias") if temperature else ():
            weights[name] = axes @ weights[name]
        getattr(encoders, modality).load_state_dict(weights)
    return encoders


def start_encoders(
    start: str, teachers: Teachers, sizes: Profile, seed: int = 0, temperature: float | None = 2.5
) -> Encoders:
    """Return encoders that begin from "scratch", as the "teachers", or as "squeezed" copies.

    These have a quarter of the teachers' multiply-adds, see `SmallResNet.squeezed`.
    """
    if start == "scratch":
        return students.new_encoders(sizes, len(teachers.classes), seed, temperature)
    encoders = encoders_from_teachers(teachers, sizes, seed, temperature)
    if start == "squeezed":
        encoders.photo, encoders.sketch = encoders.photo.squeezed(4), encoders.sketch.squeezed(4)
    return encoders


def suited(settings: Recipe, start: str) -> Recipe:
    """Return `settings`, adapted to where the encoders begin, see `start_encoders`."""
    if start == "scratch":
        return settings
    # what begins as the teachers is best read as sharply as their posteriors are
    settings = replace(settings, temperature=settings.temperature and settings.temperature / 2.5)
    if start == "teachers":  # next to nothing is left to learn: full speed would forget first
        return replace(settings, encoder_lr=settings.encoder_lr / 10)
    # too small to give the teachers' maps
    return replace(settings, weights=replace(settings.weights, hint=settings.weights.hint / 6))


SURE = 20.0  # the logit of a label: its softmax is one-hot
SUPERVISED = Weights(proxy=1, contrastive=0.25)  # what labels teach best


@dataclass(eq=False)
class RealDataStudent(files.Resumable, Iterator[Encoders]):
    """The upper bound: steps of the same encoders, averaged, that learn from real images."""

    photos: ImageSet
    sketches: ImageSet
    recipe: Recipe
    encoders: Encoders  # where to start; from then on the averaged ones
    _: KW_ONLY
    steps: int
    device: torch.device | str = "cpu"
    seed: int = 0

    KEPT = ("index", "learner", "draw", "views")

    def __post_init__(self):
        self.index, self.device = 0, torch.device(self.device)
        supervised = replace(self.recipe, weights=replace(SUPERVISED))
        self.learner = Learner(self.encoders, supervised, self.steps, self.device)
        self.encoders = self.learner.averaged
        self.draw = torch.Generator().manual_seed(self.seed)
        self.views = torch.Generator(self.device).manual_seed(self.seed + 1)

    @property
    def done(self) -> float:
        """The share of the run that is over, 0 to 1."""
        return self.index / self.steps

    def __len__(self) -> int:
        return self.steps

    def __next__(self) -> Encoders:
        if self.index >= self.steps:
            raise StopIteration
        photos, photo_labels = self._batch(self.photos)
        sketches, sketch_labels = self._batch(self.sketches)
        with self.learner.threads:
            self.learner.step(photos, sketches, photo_labels, sketch_labels)
        self.index += 1
        return self.encoders

    def _batch(self, data: ImageSet) -> tuple[Tensor, Tensor]:
        """Return random views (N, 3, H, W) and logits of their labels (N, C)."""
        pick = torch.randint(len(data), (self.recipe.batch,), generator=self.draw)
        images = data.images[pick].to(self.device).float() / 255
        labels = SURE * F.one_hot(data.labels[pick], len(data.classes)).float()
        return jitter(images, self.views), labels.to(self.device)


def run_to_end(
    loop: Distillation | RealDataStudent,
    state: Path,
    save_every: float = 30.0,
    watch: Callable[[int, Encoders], None] = lambda index, encoders: None,
    desc: str = "student",
) -> Encoders:
    """Run `loop` to its end with a progress bar; return the averaged encoders.

    It begins at `state` if that file is there, and is saved there every `save_every` seconds.
    `watch` gets the number of steps done and the encoders, before the first step and after each.
    """
    if state.is_file():
        loop.resume(state)
    total, unit = (loop.steps, "step") if loop.steps else (100, "%")  # a run by the clock has none
    saved = time.monotonic()
    watch(loop.index, loop.encoders)
    with progress(desc=desc, total=total, unit=unit, initial=round(total * loop.done)) as bar:
        for step in loop:
            bar.update(round(total * loop.done) - bar.n)
            watch(loop.index, loop.encoders)
            if loop.index % 10 == 1 and (terms := getattr(step, "terms", None)):
                bar.set_postfix({k: f"{float(v):.2f}" for k, v in terms.items()})
            if time.monotonic() - saved > save_every:
                loop.save(state)
                saved = time.monotonic()
    return loop.encoders


def run(
    benchmark: Benchmark,
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
    sketches: Callable[[], nn.Module] | None = None,
) -> dict[str, dict]:
    """Score teacher read-outs, the data-free student and, given images, the one trained on them.

    Everything is kept in `folder` as it is finished, and the same call goes on from there. With
    `minutes` the data-free student learns so long, instead of for a number of `steps`. `sketches`
    makes what `Synthesis` calls so.

    Returns: {row: {"seen": scores, "unseen": scores}}.
    """
    length = {"seconds": 60 * minutes} if minutes else {"steps": steps}
    facts = {"source": benchmark.source, "profile": sizes.name, "start": start}
    facts |= {"steps": None, **length, "seed": seed, **asdict(settings)}
    settings = suited(settings, start)
    facts |= {"classes": teachers.classes, "teachers": fingerprint(teachers)}
    facts["sketches"] = bool(sketches) or None  # as in runs that know no such thing
    rows = open_run(folder, facts)

    def score(row: str, readout: Callable, **more: float) -> None:
        rows[row] = more | benchmark.scores(readout, device)
        files.write_json(folder / "scores.json", rows)

    def learn(row: str, file: str, data: str, begin: Callable) -> None:
        began, loop, state = time.monotonic(), begin(), folder / f"{file}_state.pt"
        student = run_to_end(loop, state, desc=row)
        card = {"data": data, **facts, "steps": loop.index}
        save_encoders(folder / f"{file}.safetensors", student, card)
        score(row, student.embed, seconds=round(time.monotonic() - began, 1))
        state.unlink(missing_ok=True)

    options = {"device": device, "seed": seed}
    readouts = teacher_readouts(teachers)
    if teachers.photo.proxies.shape != teachers.sketch.proxies.shape:
        del readouts["teacher features"]  # of two lengths: nothing to compare
    for name, readout in readouts.items():
        score(name, readout)
    if "data-free student" not in rows:
        encoders = start_encoders(start, teachers, sizes, seed, settings.temperature)
        shape = {"width": sizes.estimator_width, **options}

        def begin() -> Distillation:
            drawer = sketches and sketches()
            return distill(teachers, settings, encoders, **length, **shape, sketches=drawer)

        learn("data-free student", "student", "none", begin)
    if benchmark.train and "real-data student" not in rows:
        known = in_order(teachers, benchmark.classes)
        encoders = start_encoders(start, known, sizes, seed, settings.temperature)
        learnt = files.read_json(folder / "student.json", "a card")["steps"]
        options["steps"] = learnt * settings.encoder_steps
        real = partial(RealDataStudent, *benchmark.train, settings, encoders, **options)
        learn("real-data student", "real_student", benchmark.source, real)
    return rows


def save_encoders(path: str | Path, encoders: Encoders, card: dict) -> dict:
    """Save encoders, with their model card beside them; return the card."""
    classes, dim = encoders.proxies.shape
    facts = {"architecture": "Encoders", **encoders.photo.geometry, "embed_dim": dim}
    facts |= {"outputs": classes, "temperature": encoders.temperature}
    return files.save_weights(path, encoders.state_dict(), {**facts, **card})


def load_encoders(path: str | Path) -> Encoders:
    """Load what `save_encoders` saved, frozen. Raises UserError, naming the file."""
    encoders, _ = files.load_network(path, Encoders.of_card)
    return encoders.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def open_run(folder: Path, facts: dict) -> dict:
    """Return the rows of an earlier run in `folder`; UserError if its `facts` were others."""
    settings, scores = folder / "settings.json", folder / "scores.json"
    if not settings.is_file():
        files.write_json(settings, facts)
    earlier = files.read_json(settings, "settings")
    if differ := [k for k, v in json.loads(json.dumps(facts)).items() if earlier.get(k) != v]:
        raise UserError(f"{folder}: holds a run with another {differ[0]}; give another --out")
    return files.read_json(scores, "scores") if scores.is_file() else {}


def table(rows: dict[str, dict]) -> pd.DataFrame:
    """Return scores as a table: a line a method below chance, a column a metric and protocol."""
    parts = {row: {p: pd.Series(s[p]) for p in PROTOCOLS if p in s} for row, s in rows.items()}
    frame = pd.DataFrame({row: pd.concat(part) for row, part in parts.items()}).T
    chance = pd.DataFrame({(p, m): {"chance": frame[p, "chance"].iloc[0]} for p, m in frame})
    return pd.concat([chance, frame]).drop(columns="chance", level=1)
