"""The trained networks that ship with the kit, by name: load one, or train a missing one."""

from itertools import islice
from pathlib import Path

import torch

from dfsbir_lite.data import ImageSet, together, toybox_set
from dfsbir_lite.files import delete, load_state, load_weights, rebuilding, save_state
from dfsbir_lite.health import judged
from dfsbir_lite.lessons.snapshots import Course, load_course, recorder
from dfsbir_lite.models import Encoders, SceneEstimator
from dfsbir_lite.pipeline import RealDataStudent, run_to_end, toybox_benchmark
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile, UserError, cache_folder, profile, progress
from dfsbir_lite.students import distill, load_encoders, new_encoders, save_encoders
from dfsbir_lite.synthesis import load_scenes, save_scenes, synthesize
from dfsbir_lite.teachers import Teacher, Teachers, load_teacher, save_teacher, train_teacher

ASSETS = Path(__file__).parent
SHIPPED = ("laptop", "gpu")  # the profiles whose networks ship
TEACHERS = ("photo", "sketch", "modality", "unified")
STUDENTS = ("student", "real_student")
SCENES = "scenes"  # an estimator, for people to look at what it paints
NAMES = (*TEACHERS, *STUDENTS, SCENES)
STEPS = 600  # iterations of the shipped student
SCENE_STEPS = 1500  # of the shipped estimator of scenes
COURSE_PER_CLASS = 25  # pictures of each class and modality whose way through training is kept


def load_or_train(
    name: str, profile_name: str = "laptop", device="cpu"
) -> Teacher | Encoders | SceneEstimator:
    """The network `name` (see `NAMES`): the shipped one, else a cached one, else trained now.

    Raises UserError for unknown names and for damaged files, naming the file.
    """
    if name not in NAMES:
        raise UserError(f"no network {name!r}: choose one of {', '.join(NAMES)}")
    sizes = profile(profile_name)
    load = {**dict.fromkeys(STUDENTS, load_encoders), SCENES: load_scenes}.get(name, load_teacher)
    path = find(name, profile_name)
    if not path.is_file():
        build(name, sizes, path, device)
    return load(path).to(device)


def find(name: str, profile_name: str = "laptop") -> Path:
    """The file of the network `name` (or of the "course"): shipped, or the place of the cached."""
    shipped = ASSETS / profile_name / f"{name}.safetensors"
    return shipped if shipped.is_file() else cache_folder() / profile_name / shipped.name


def need_shipped(profile_name: str) -> None:
    """Raises UserError for a profile whose teachers do not ship: it is for data of one's own."""
    if profile_name not in SHIPPED:
        raise UserError(
            f"nothing ships for profile {profile_name}: give --photos and --sketches, or choose "
            f"{' or '.join(SHIPPED)}"
        )


def card(name: str, profile_name: str = "laptop") -> dict:
    """The model card of `name`: architecture, classes, seed, command, measured scores, sha256."""
    return load_weights(find(name, profile_name))[1]


def load_teachers(profile_name: str = "laptop", device="cpu", unified: bool = False) -> Teachers:
    """The two teachers and the guidance network; `unified` puts one classifier in both places."""
    names = ("unified", "unified") if unified else ("photo", "sketch")
    return Teachers(*(load_or_train(n, profile_name, device) for n in (*names, "modality"))).to(
        device
    )


def student_course(profile_name: str = "laptop", device="cpu") -> Course:
    """How the student became what it is, on `course_pictures`; trains one if no file tells."""
    sizes = profile(profile_name)
    path = find("course", profile_name)
    if not path.is_file():
        build("student", sizes, path.with_name("student.safetensors"), device)
    return load_course(path)


def course_pictures(sizes: Profile) -> dict[str, ImageSet]:
    """The photos and sketches that a student's course shows: ToyBox's validation split."""
    return {m: toybox_set(m, "val", sizes, per_class=COURSE_PER_CLASS) for m in ("photo", "sketch")}


def build(name: str, sizes: Profile, path: Path, device="cpu", seed: int = 0) -> dict:
    """Trains the network `name` on ToyBox, saves it at `path` and returns its model card."""
    if name == "student":
        return _build_student(sizes, path, device, seed)
    if name == "real_student":
        return _build_real_student(sizes, path, device, seed)
    if name == SCENES:
        return _build_scenes(sizes, path, device, seed)
    train, test = (teacher_data(name, sizes, split) for split in ("train", "test"))
    epochs = 3 if name == "modality" else None  # paper or not paper is easy
    seed += TEACHERS.index(name)  # trained apart: no two teachers may start from the same weights
    teacher = train_teacher(
        train.images,
        train.labels,
        train.classes,
        sizes,
        epochs=epochs,
        device=device,
        seed=seed,
        desc=name,
    )
    save_teacher(path, teacher, {})  # scores are those of the rounded weights
    card = {
        "name": name,
        "data": f"ToyBox train split, {len(train)} images, modality: {train.modality}",
        "seed": seed,
        "command": f"python data_scripts/train_teachers.py --profile {sizes.name}",
        "test_accuracy": accuracy(load_teacher(path).to(device), test, device),
    }
    return save_teacher(path, teacher, card)


def teacher_data(name: str, sizes: Profile, split: str) -> ImageSet:
    """What the teacher `name` is trained or tested on. Photos and sketches are never pairs."""
    if name in ("photo", "sketch"):
        return toybox_set(name, split, sizes)
    photos, sketches = (toybox_set(m, split, sizes) for m in ("photo", "sketch"))
    return together(photos, sketches, by_modality=name == "modality")


def accuracy(teacher: Teacher, data: ImageSet, device="cpu") -> float:
    """The share of `data` that `teacher` classifies correctly."""
    hits = [
        (teacher.posteriors(images.to(device).float() / 255).argmax(1).cpu() == labels).sum()
        for images, labels in zip(data.images.split(256), data.labels.split(256), strict=True)
    ]
    return float(sum(hits)) / len(data)


def _build_student(sizes: Profile, path: Path, device, seed: int, steps: int = STEPS) -> dict:
    teachers, settings = load_teachers(sizes.name, device), recipe("kit")
    encoders = new_encoders(sizes, len(teachers.classes), seed)
    loop = distill(
        teachers,
        settings,
        encoders,
        steps=steps,
        width=sizes.estimator_width,
        device=device,
        seed=seed,
    )
    state = path.with_suffix(".state")
    watch = recorder(path.with_name("course.safetensors"), course_pictures(sizes), steps, device)
    encoders = run_to_end(loop, state, watch=watch)
    card = {
        "name": "student",
        "data": "none: learnt from the photo, sketch and modality teachers alone",
        "recipe": "kit",
        "steps": steps,
        "seed": seed,
        "command": f"python data_scripts/train_students.py --profile {sizes.name}",
        **toybox_benchmark(sizes, with_train=False).scores(encoders.embed, device),
    }
    card = save_encoders(path, encoders, card)
    delete(state)
    return card


def _build_real_student(sizes: Profile, path: Path, device, seed: int) -> dict:
    """What the same encoders learn from real labelled images, in as many of their steps."""
    benchmark, settings = toybox_benchmark(sizes), recipe("kit")
    steps = STEPS * settings.encoder_steps
    encoders = new_encoders(sizes, len(benchmark.classes), seed)
    loop = RealDataStudent(
        *benchmark.train, settings, encoders, steps=steps, device=device, seed=seed
    )
    state = path.with_suffix(".state")
    encoders = run_to_end(loop, state, desc="student on real data")
    images = sum(len(part) for part in benchmark.train)
    card = {
        "name": "real_student",
        "data": f"ToyBox train split, {images} labelled images, half photos and half sketches",
        "recipe": "kit, with the supervised losses of baselines.RealDataStudent",
        "steps": steps,
        "seed": seed,
        "command": f"python data_scripts/train_students.py --profile {sizes.name}",
        **benchmark.scores(encoders.embed, device),
    }
    card = save_encoders(path, encoders, card)
    delete(state)
    return card


def _build_scenes(sizes: Profile, path: Path, device, seed: int) -> dict:
    """An estimator of scenes that takes its time to please both teachers; no encoder learns."""
    teachers = load_teachers(sizes.name, device)
    settings = recipe("kit", scene=True, views=True, refresh_every=0, diversity=0)
    loop = synthesize(
        teachers,
        settings,
        width=sizes.estimator_width,
        device=device,
        seed=seed,
        steps=SCENE_STEPS,
    )
    state = path.with_suffix(".state")
    if state.is_file():
        with rebuilding(state):
            loop.restore(load_state(state))
    todo = islice(loop, SCENE_STEPS - loop.index)
    for step in progress(todo, desc=SCENES, initial=loop.index, total=SCENE_STEPS):
        if step.index % 50 == 49:
            save_state(state, loop.state())
    card = {
        "name": SCENES,
        "data": "none: learnt from the photo, sketch and modality teachers alone",
        "recipe": "kit, one scene, teachers see views, no refresh, no diversity",
        "steps": SCENE_STEPS,
        "seed": seed,
        "command": f"python data_scripts/train_students.py --profile {sizes.name}",
    }
    save_scenes(path, loop.estimators["scene"], {})  # scores are those of the rounded weights
    noise = loop.noise(1024)
    with torch.no_grad():
        pairs = load_scenes(path).to(device)(noise)
    outsider = load_or_train("unified", sizes.name, device)
    card |= judged(pairs, loop.wanted(noise), teachers, outsider)
    card = save_scenes(path, loop.estimators["scene"], card)
    delete(state)
    return card
