"""Self-checks of notebook 09: names that meet, a layout, a model card, a split, a plan."""

import builtins
import copy
import json
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from PIL import Image

from dfsbir_lite.data import IMAGE_SUFFIXES, class_key
from dfsbir_lite.lessons.checks import Unanswered, Wrong, ask, exercise
from dfsbir_lite.pipeline import open_benchmark
from dfsbir_lite.runtime import UserError, approx, profile

# --- 1: names that meet -----------------------------------------------------------------------


@exercise
def shared_names(names, photo_names, sketch_names) -> str:
    """`names`: the classes that both of two teachers know, in any order and either spelling.

    Args:
        photo_names, sketch_names: what each teacher calls its classes. A name that one teacher
            has twice matches nothing.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise Wrong("A list of names is wanted, even if it has one.")
    known = [Counter(map(class_key, part)) for part in (photo_names, sketch_names)]
    shared = {key for key in known[0] if all(part[key] == 1 for part in known)}
    answer = {class_key(name): name for name in names}
    for key, name in answer.items():
        if key in shared:
            continue
        if not all(part[key] for part in known):
            raise Wrong(
                f"{name!r} is not known to both. Case, spaces, hyphens and underscores do not "
                "count; letters do, and nothing in the kit knows what a word means."
            )
        raise Wrong(
            f"{name!r} is a name that one teacher has twice. Which of its two outputs would it be? "
            "The kit does not guess."
        )
    if missing := sorted(shared - answer.keys()):
        raise Wrong(
            f"{len(missing)} more can be matched. Write every name in small letters, with spaces "
            "for hyphens and underscores, and compare again."
        )
    return (
        "What is left out is told by `own.report`, so look there first: a class that is spelt in "
        "two ways is lost without an error, and a new name in one of the lists gets it back."
    )


# --- 2: the smallest layout -------------------------------------------------------------------


@exercise
def smallest_layout(files, unseen: str) -> str:
    """`files`: paths such as "photos/…", as few as `open_benchmark` can read.

    Args:
        files: a list of str, which begin with photos/ or sketches/. Empty pictures of those names
            are put into a folder of their own, and the kit reads them.
        unseen: the class that is kept from teachers and student.
    """
    if isinstance(files, str):
        raise Wrong("A list of paths is wanted, one for each picture.")
    paths = {_inside(file) for file in files}
    if len(paths) > 60:
        raise Wrong(f"{len(paths)} pictures: far fewer will do.")
    if told := _refusal(paths, unseen):
        raise Wrong(f"The kit refuses: {told}")
    for what, rest in _smaller(paths):
        if not _refusal(rest, unseen):
            raise Wrong(f"The kit reads that, and it would read it without {what}, too.")
    return (
        f"None of these {len(paths)} pictures can be left out. A class that is kept back has no "
        "train folder: whatever lies there, a teacher could have learnt from."
    )


def _inside(file: str) -> PurePosixPath:
    path = PurePosixPath(file)
    if (
        path.is_absolute()
        or ".." in path.parts
        or path.parts[:1] not in (("photos",), ("sketches",))
    ):
        raise Wrong(f"{file!r} should begin with photos/ or sketches/.")
    return path


def _refusal(paths, unseen: str) -> str:
    """What the kit says to a folder with these pictures; "" if it reads them as asked."""
    with tempfile.TemporaryDirectory() as folder, _quietly():
        for path in paths:
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            if path.suffix.lower() in IMAGE_SUFFIXES:
                Image.new("RGB", (2, 2)).save(Path(folder) / path)
            else:
                (Path(folder) / path).touch()
        roots = (Path(folder) / part for part in ("photos", "sketches"))
        try:
            open_benchmark(*roots, profile("laptop"), unseen=(unseen,))
        except UserError as error:
            return str(error).replace(folder + os.sep, "")
    return ""


def _smaller(paths):
    """Subsets that could do as well: without one picture, one class of a split, or one class."""
    yield from ((str(p), paths - {p}) for p in sorted(paths))
    for level, what in ((slice(1, 3), "the folders {}"), (slice(2, 3), "the class {}")):
        for part in sorted({p.parts[level] for p in paths}):
            less = {p for p in paths if p.parts[level] != part}
            yield what.format("/".join(part)), less


@contextmanager
def _quietly():
    """No progress bars: the check is asked for one sentence."""
    before = os.environ.get("DFSBIR_QUIET")
    os.environ["DFSBIR_QUIET"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["DFSBIR_QUIET"]
        else:
            os.environ["DFSBIR_QUIET"] = before


# --- 3: a card for a stranger -----------------------------------------------------------------

STUDENTS = (
    {
        "classes": ("mug", "car", "tree"),
        "taught_on": "900 photos and 900 sketches of ToyBox",
        "steps": 60,
        "seed": 0,
        "scores": {
            "seen": {"map_all": 0.74, "chance": 0.33},
            "unseen": {"map_all": 0.51, "chance": 0.25},
        },
    },
    {
        "classes": ("zebra", "ant"),
        "taught_on": "TU-Berlin, 250 sketches, and photos of our own",
        "steps": 411,
        "seed": 7,
        "scores": {
            "seen": {"map_all": 0.62, "chance": 0.5},
            "unseen": {"map_all": 0.19, "chance": 0.125},
        },
    },
)


@exercise
def card(write) -> str:
    """`write(classes, taught_on, steps, seed, scores)` returns a model card, a dict for JSON.

    Args:
        write: is given what the names say. Somewhere in the card a stranger must find all of it,
            the classes in their order.
    """
    for facts in STUDENTS:
        given = ask(write, *copy.deepcopy(facts).values())
        if not isinstance(given, dict):
            raise Wrong(f"A card is a dict, not a {type(given).__name__}.")
        try:
            told = json.loads(json.dumps(given))
        except TypeError as error:
            raise Wrong(f"It cannot be written as JSON: {error}.") from error
        _complete(told, **facts)
    return (
        "A stranger can now tell what each output means, what the teachers have seen, and how good "
        "the student is beside chance. `save_encoders` adds the architecture and the sha256."
    )


def _complete(given: dict, classes, taught_on: str, steps: int, seed: int, scores: dict) -> None:
    """Raises Wrong for the first fact that `given`, as read from JSON, does not hold."""
    values = list(_values(given))
    if list(classes) not in values:
        raise Wrong(
            "The classes are not in it, as a list in the teachers' order: without that nobody "
            "knows what output 3 means."
        )
    if not any(isinstance(v, str) and taught_on in v for v in values):
        raise Wrong(
            "The student has seen no picture, but its teachers have. The card does not say what "
            "they were taught on, and so nobody knows what is unseen to the student."
        )
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    for name, value in (("steps", steps), ("seed", seed)):
        if value not in numbers:
            raise Wrong(f"`{name}` is missing, and nobody can make this student again.")
        if given.get(name, value) != value:
            raise Wrong(f"`{name}` is {given[name]} there, and it was {value}.")
    for protocol, row in scores.items():
        if row["map_all"] not in numbers:
            raise Wrong(
                f"The score on {protocol} classes is missing. It should be a number of its own: a "
                "program cannot read it out of a sentence."
            )
        if row["chance"] not in numbers:
            raise Wrong(
                f"The score on {protocol} classes is there, chance is not. Is .51 good? Of two "
                "classes it is nothing."
            )


def _values(node):
    """Every value in nested dicts and lists, themselves included."""
    yield node
    if isinstance(node, dict):
        for value in node.values():
            yield from _values(value)
    elif isinstance(node, list):
        for value in node:
            yield from _values(value)


# --- 4: a split that does not leak ------------------------------------------------------------

SHARE = (0.1, 0.35)  # of all sketches in the test part


def _source(file: str) -> str:
    """The photo that a sketch was drawn from: "mug/031-4.png" is the fourth sketch of mug/031."""
    return file.rpartition("-")[0]


@exercise
def split(divide) -> str:
    """`divide(files)` returns (train, test), two lists, which share no photo that was drawn.

    Args:
        divide: is given names "class/photo-number.png", where sketches of one photo differ in the
            number after the last hyphen. Each class must be in both parts; 10 to 35 % in test.
    """
    for seed in range(3):
        files = _drawn(seed)
        parts = _two_lists(ask(divide, list(files)))
        _sound(files, *parts)
        again = _two_lists(ask(divide, list(files)))
        if any(set(a) != set(b) for a, b in zip(parts, again, strict=True)):
            raise Wrong(
                "Called twice, it splits in two ways: two scores could not be compared. Give the "
                "random generator a seed of its own."
            )
        with _another_start():
            tomorrow = _two_lists(ask(divide, list(files)))
        if set(parts[1]) != set(tomorrow[1]):
            raise Wrong(
                "Python's own `hash` of a string is another one each time Python starts, so "
                "tomorrow's split would be another. `zlib.crc32` and `hashlib` stay the same."
            )
        backwards = _two_lists(ask(divide, files[::-1]))
        if set(parts[1]) != set(backwards[1]):
            raise Wrong(
                "The same files in another order are split in another way. Folders are listed in "
                "another order on another machine: sort first."
            )
    return (
        "No drawn photo is on both sides, each class is on both, and neither the order of the "
        "files nor a second call matters. (One thing cannot be seen from here: a set has another "
        "order each time Python starts. Sort it.) What else could tie two pictures together? One "
        "artist, one video, one photo that was saved twice."
    )


@contextmanager
def _another_start():
    """`hash` gives other numbers, as it does for strings in a Python that was started anew."""
    before = builtins.hash
    builtins.hash = lambda value: before((value, "another start"))
    try:
        yield
    finally:
        builtins.hash = before


def _drawn(seed: int) -> list[str]:
    """Sketches of three classes: photos that were drawn once to five times."""
    draw = random.Random(seed)
    files = [
        f"{name}/{photo:03}-{n}.png"
        for name in ("mug", "t-shirt", "fish")
        for photo in draw.sample(range(400), 30)
        for n in range(1, draw.randint(1, 5) + 1)
    ]
    draw.shuffle(files)
    return files


def _two_lists(parts) -> tuple[list, list]:
    if not isinstance(parts, (tuple, list)) or len(parts) != 2:
        raise Wrong("Two lists are wanted: `return train, test`.")
    if any(part is ... for part in parts):
        raise Unanswered
    return list(parts[0]), list(parts[1])


def _sound(files: list[str], train: list[str], test: list[str]) -> None:
    if Counter(train + test) != Counter(files):
        raise Wrong(
            f"{len(files)} sketches went in, {len(train)} + {len(test)} came out, or not the same "
            "ones. Each belongs into one of the two lists, once."
        )
    if leaks := {_source(f) for f in train} & {_source(f) for f in test}:
        raise Wrong(
            f"{len(leaks)} photos have sketches on both sides, {sorted(leaks)[0]} is one: the "
            "test asks for what training has seen. Divide photos, not sketches."
        )
    for name, part in (("train", train), ("test", test)):
        if lost := {f.partition("/")[0] for f in files} - {f.partition("/")[0] for f in part}:
            raise Wrong(f"Nothing of class {sorted(lost)[0]} is left in {name}.")
    if not SHARE[0] <= len(test) / len(files) <= SHARE[1]:
        raise Wrong(
            f"{len(test) / len(files):.0%} of the sketches are in test; {SHARE[0]:.0%} to "
            f"{SHARE[1]:.0%} are asked for."
        )


# --- 5: a plan --------------------------------------------------------------------------------

ENTRIES = ("seen", "unseen", "train", "test", "profile", "teachers")
SURE = 0.1  # how far off a share may be, by two standard errors


@exercise
def plan(planned) -> str:
    """`planned`: what you would do with data of your own, a dict with the `ENTRIES`.

    "seen", "unseen": lists of class names. "train", "test": pictures a class and modality.
    "profile": a name that `runtime.profile` knows. "teachers": "train" or "adopt".
    """
    if not isinstance(planned, dict) or any(e not in planned for e in ENTRIES):
        raise Wrong(f"A dict with these entries is wanted: {', '.join(ENTRIES)}.")
    if any(planned[entry] is ... for entry in ENTRIES):
        raise Unanswered
    if any(isinstance(planned[part], str) for part in ("seen", "unseen")):
        raise Wrong('"seen" and "unseen" are lists of names, with brackets even around one name.')
    if any(type(planned[part]) is not int or planned[part] < 0 for part in ("train", "test")):
        raise Wrong('"train" and "test" are whole numbers: pictures of each class.')
    seen, unseen = ([class_key(name) for name in planned[part]] for part in ("seen", "unseen"))
    if twice := [name for name, n in Counter(seen + unseen).items() if n > 1]:
        raise Wrong(f"{twice[0]!r} is there twice. What is seen cannot be unseen.")
    if len(seen) < 2:
        raise Wrong("Teachers need two classes at the least to tell apart.")
    if len(unseen) < 3:
        raise Wrong(
            f"Of {len(unseen)} unseen classes chance is {1 / max(1, len(unseen)):.0%}: keep back "
            "three or more."
        )
    sizes = profile(planned["profile"])
    if planned["teachers"] not in ("train", "adopt"):
        raise Wrong('"teachers" is "train" (on your folders) or "adopt" (a classifier you have).')
    if planned["teachers"] == "train" and planned["train"] < 2:
        raise Wrong("Teachers that are to be trained need pictures in `train`.")
    few, off = min(
        (n * planned["test"], part) for n, part in ((len(seen), "seen"), (len(unseen), "unseen"))
    )
    spread = 1 / max(1, few) ** 0.5  # two standard errors of a share of one half
    if spread > SURE:
        raise Wrong(
            f"{few} test sketches of {off} classes: a share that is measured on so few may be off "
            f"by {spread:.2f}. Plan for more, or a gain of .05 will be luck."
        )
    return (
        f"Chance is {approx(1 / len(seen))} on seen classes and {approx(1 / len(unseen))} on "
        f"unseen ones, and a share measured on {few} sketches is known to about {spread:.2f}. "
        f"Networks see {sizes.size} px. Whether one can tell the classes at that size, you have "
        "to look."
    )
