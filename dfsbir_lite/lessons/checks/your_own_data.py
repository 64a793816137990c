"""Checks of the exercises of notebook 09."""

import random
from collections import Counter

from dfsbir_lite.data import class_key
from dfsbir_lite.lessons.checks import Wrong, ask, exercise


@exercise
def shared_names(names, photo_names, sketch_names) -> str:
    """Check the classes that both of two teachers know, in any order and either spelling.

    A name that one teacher has twice matches nothing.
    """
    known = [Counter(map(class_key, part)) for part in (photo_names, sketch_names)]
    for name in names:
        counts = [part[class_key(name)] for part in known]
        if 0 in counts:
            raise Wrong(f"{name!r} is not known to both. Letters count, meanings do not.")
        if counts != [1, 1]:
            raise Wrong(f"One teacher has {name!r} twice: which output is it? The kit won't guess.")
    shared = {key for key in known[0] if all(part[key] == 1 for part in known)}
    if missing := shared - set(map(class_key, names)):
        raise Wrong(f"{len(missing)} more can be matched: case, spaces and hyphens do not count.")
    return "A class that is spelt in two ways is lost without an error: read `adopt.report`."


def _sources(files) -> set[str]:
    """Return the photos that sketches were drawn from: mug/031 for "mug/031-4.png"."""
    return {file.rpartition("-")[0] for file in files}


@exercise
def split(divide) -> str:
    """Check `divide(files)` -> (train, test), two lists that share no photo that was drawn.

    It gets names "class/photo-number.png"; sketches of one photo differ in the number after the
    last hyphen. Each class must be in both parts; 10 to 35 % in test.
    """
    draw, classes = random.Random(0), ("mug", "t-shirt", "fish")
    photos = [f"{name}/{n:03}" for name in classes for n in range(30)]
    files = [f"{photo}-{n}.png" for photo in photos for n in range(draw.randint(1, 5))]
    draw.shuffle(files)
    train, test = ask(divide, list(files))
    if sorted([*train, *test]) != sorted(files):
        raise Wrong(f"{len(files)} sketches went in. Each belongs in one of the two lists, once.")
    if leaks := sorted(_sources(train) & _sources(test)):
        raise Wrong(f"Sketches of {leaks[0]} are on both sides. Divide photos, not sketches.")
    for name in classes:
        if not all(any(file.startswith(name) for file in part) for part in (train, test)):
            raise Wrong(f"The class {name} is not in both parts.")
    if not 0.1 <= len(test) / len(files) <= 0.35:
        raise Wrong(f"{len(test) / len(files):.0%} of the sketches are in test, not 10 to 35 %.")
    if set(ask(divide, files[::-1])[1]) != set(test):
        raise Wrong("The same files in another order give another split: sort, and set a seed.")
    return "(The order of a set and Python's `hash` change whenever Python starts: avoid both.)"
