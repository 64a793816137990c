"""The trained networks that ship with the kit, by name: load one, or train a missing one."""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from dfsbir_lite import pipeline
from dfsbir_lite.data import ImageSet, together, toybox_set
from dfsbir_lite.files import load_network, read_card, save_weights
from dfsbir_lite.models import Encoders, SceneEstimator
from dfsbir_lite.pipeline import accuracy, load_encoders, run_to_end, save_encoders
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile, UserError, cache_folder, profile, progress
from dfsbir_lite.students import distill, new_encoders
from dfsbir_lite.synthesis import synthesize
from dfsbir_lite.teachers import Teacher, Teachers, load_teacher, save_teacher

ASSETS = Path(__file__).parent
SHIPPED = ("laptop", "gpu")  # the profiles whose networks ship
TEACHERS = ("photo", "sketch", "modality", "unified")
STUDENTS = ("student", "small_student", "paper_student", "real_student")
SCENES = "scenes"  # an estimator, for people to look at what it paints


def save_scenes(path: str | Path, estimator: SceneEstimator, card: dict) -> dict:
    """Save an estimator of scenes, with its model card beside it; return the card."""
    facts = {"architecture": "SceneEstimator", **estimator.shape}
    return save_weights(path, estimator.state_dict(), {**facts, **card})


def load_scenes(path: str | Path) -> SceneEstimator:
    """Load what `save_scenes` saved, frozen. Raises UserError, naming the file."""
    shape = ("size", "noise_dim", "width", "objects")
    estimator, _ = load_network(path, lambda card: SceneEstimator(**{k: card[k] for k in shape}))
    return estimator.to(memory_format=torch.channels_last).eval().requires_grad_(False)


FORMATS = {
    **dict.fromkeys(TEACHERS, (save_teacher, load_teacher)),
    **dict.fromkeys(STUDENTS, (save_encoders, load_encoders)),
    SCENES: (save_scenes, load_scenes),
}
STEPS = 600  # iterations of the shipped student
SMALL_STEPS = 1000  # of the squeezed one
PAPER_STEPS = 1500  # of the one that learns as the paper's do, and takes longer
SCENE_STEPS = 1500  # of the shipped estimator of scenes
NO_DATA = "none: learnt from the photo, sketch and modality teachers alone"

# a network, what its card says of it, and a function that scores it as it was saved
Built = tuple[torch.nn.Module, dict, Callable]


def load_or_train(
    name: str, profile_name: str = "laptop", device="cpu"
) -> Teacher | Encoders | SceneEstimator:
    """Return the network `name`, a key of `FORMATS`: shipped, cached, or else trained now.

    Raises UserError for unknown names and for damaged files, naming the file.
    """
    if name not in FORMATS:
        raise UserError(f"no network {name!r}: choose one of {', '.join(FORMATS)}")
    sizes, path = profile(profile_name), find(name, profile_name)
    if not path.is_file():
        build(name, sizes, path, device)
    _, load = FORMATS[name]
    return load(path).to(device)


def find(name: str, profile_name: str = "laptop") -> Path:
    """Return the file of the network `name`: the shipped one, or its place in the cache."""
    shipped = ASSETS / profile_name / f"{name}.safetensors"
    return shipped if shipped.is_file() else cache_folder() / profile_name / shipped.name


def need_shipped(profile_name: str) -> None:
    """Raise UserError for a profile whose teachers do not ship: it is for data of one's own."""
    if profile_name not in SHIPPED:
        raise UserError(f"nothing ships for profile {profile_name}: give --photos and --sketches")


def card(name: str, profile_name: str = "laptop") -> dict:
    """Return the card of `name`: architecture, classes, seed, command, measured scores, SHA-256."""
    return read_card(find(name, profile_name))


def load_teachers(profile_name: str = "laptop", device="cpu", unified: bool = False) -> Teachers:
    """Return two teachers (or the `unified` one in both places) and the guidance network."""
    names = ("unified", "unified") if unified else ("photo", "sketch")
    networks = (load_or_train(name, profile_name, device) for name in (*names, "modality"))
    return Teachers(*networks).to(device)


def build(
    name: str,
    sizes: Profile,
    path: Path,
    device="cpu",
    seed: int = 0,
    watch: Callable[[int, Encoders], None] = lambda done, encoders: None,
) -> dict:
    """Train the network `name` on ToyBox, save it at `path` and return its card.

    `watch` is called before the first iteration of the "student" and after each one, with the
    number of those done and the encoders. Raises UserError if `path` cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path.parent}: cannot be written to; DFSBIR_CACHE names another folder")
    makers = {
        "student": partial(_student, "kit", "scratch", STEPS, watch),
        "small_student": partial(_student, "kit", "squeezed", SMALL_STEPS, watch),
        "paper_student": partial(_student, "paper-proxies+bn", "scratch", PAPER_STEPS, watch),
        "real_student": _real_student,
        SCENES: _scenes,
    }
    make, state = makers.get(name, partial(_teacher, name)), path.with_suffix(".pt")
    network, facts, score = make(sizes, state, device, seed)
    save, load = FORMATS[name]
    with tempfile.TemporaryDirectory() as scratch:  # scores are those of the rounded weights
        save(Path(scratch, path.name), network, {})
        scores = score(load(Path(scratch, path.name)).to(device))
    script = "train_teachers" if name in TEACHERS else "train_students"
    command = f"python data_scripts/{script}.py --profile {sizes.name}"
    card = save(path, network, {"name": name, "seed": seed, **facts, "command": command, **scores})
    state.unlink(missing_ok=True)
    return card


def teacher_data(name: str, sizes: Profile, split: str) -> ImageSet:
    """Return what the teacher `name` is trained or tested on. Photos and sketches are no pairs."""
    if name in ("photo", "sketch"):
        return toybox_set(name, split, sizes)
    photos, sketches = (toybox_set(m, split, sizes) for m in ("photo", "sketch"))
    return together(photos, sketches, by_modality=name == "modality")


def _teacher(name: str, sizes: Profile, state: Path, device, seed: int) -> Built:
    train, test = (teacher_data(name, sizes, split) for split in ("train", "test"))
    seed += TEACHERS.index(name)  # trained apart: no two teachers may start from the same weights
    epochs = 3 if name == "modality" else None  # paper or not paper is easy
    options = {"epochs": epochs, "device": device, "seed": seed, "desc": name}
    teacher = pipeline.train_teacher(train.images, train.labels, train.classes, sizes, **options)
    data = f"ToyBox train split, {len(train)} images, modality: {train.modality}"
    facts = {"data": data, "seed": seed}
    return teacher, facts, lambda saved: {"test_accuracy": accuracy(saved, test, device)}


def _student(
    regime: str, start: str, steps: int, watch: Callable, sizes: Profile, state: Path, device, seed
) -> Built:
    benchmark = pipeline.toybox_benchmark(sizes, with_train=False)
    teachers = load_teachers(sizes.name, device)
    settings = pipeline.suited(recipe(regime), start)
    encoders = pipeline.start_encoders(start, teachers, sizes, seed, settings.temperature)
    options = {"width": sizes.estimator_width, "device": device, "seed": seed}
    loop = distill(teachers, settings, encoders, steps=steps, **options)
    encoders = run_to_end(loop, state, watch=watch)
    facts = {"data": NO_DATA, "recipe": regime, "start": start, "steps": steps}
    return encoders, facts, lambda saved: benchmark.scores(saved.embed, device)


def _real_student(sizes: Profile, state: Path, device, seed: int) -> Built:
    benchmark, settings = pipeline.toybox_benchmark(sizes), recipe("kit")
    steps, options = STEPS * settings.encoder_steps, {"device": device, "seed": seed}
    encoders = new_encoders(sizes, len(benchmark.classes), seed)
    loop = pipeline.RealDataStudent(*benchmark.train, settings, encoders, steps=steps, **options)
    encoders = run_to_end(loop, state, desc="student on real data")
    images = sum(map(len, benchmark.train))
    data = f"ToyBox train split, {images} labelled images, half photos and half sketches"
    settings = "kit, with the supervised losses of pipeline.RealDataStudent"
    facts = {"data": data, "recipe": settings, "steps": steps}
    return encoders, facts, lambda saved: benchmark.scores(saved.embed, device)


def _scenes(sizes: Profile, state: Path, device, seed: int) -> Built:
    """Train an estimator of scenes, slowly, so that it pleases both teachers; no encoder learns."""
    teachers = load_teachers(sizes.name, device)
    outsider = load_or_train("unified", sizes.name, device)  # had no part in the synthesis
    settings = recipe("kit", scene=True, views=True, refresh_every=0, diversity=0)
    options = {"width": sizes.estimator_width, "device": device, "seed": seed}
    loop = synthesize(teachers, settings, steps=SCENE_STEPS, **options)
    for _ in progress(islice(loop, SCENE_STEPS), desc=SCENES, total=SCENE_STEPS):
        pass
    kind = "kit, one scene, teachers see views, no refresh, no diversity"
    facts, noise = {"data": NO_DATA, "recipe": kind, "steps": SCENE_STEPS}, loop.noise(1024)

    @torch.no_grad()
    def score(saved: SceneEstimator) -> dict:
        seen = {"seen_by_teacher": {}, "seen_by_unified_teacher": {}}
        for modality, images in zip(("photo", "sketch"), saved(noise)):
            judges = getattr(teachers, modality), outsider
            for row, judge in zip(seen.values(), judges):
                right = judge.posteriors(images).argmax(1) == loop.wanted(noise)
                row[modality] = right.float().mean().item()
        return seen

    return loop.estimators["scene"], facts, score
