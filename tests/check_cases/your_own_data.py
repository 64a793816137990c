"""Answers to the exercises of notebook 09."""

import random
import zlib

from check_cases import Cases

PHOTO = ("Hot-air balloon", "cat", "aeroplane", "Cardigan", "cardigan", "T-shirt")
SKETCH = ("airplane", "CAT", "t shirt", "cardigan", "hot air balloon", "zebra")
SEEN_FOLDERS = [
    f"{root}/{split}/{name}/1.png"
    for root in ("photos", "sketches")
    for split in ("train", "test")
    for name in ("cat", "dog")
]
UNSEEN_FOLDERS = ["photos/test/zebra/1.png", "sketches/test/zebra/1.png"]
LEAST = SEEN_FOLDERS + UNSEEN_FOLDERS


def shared_names() -> Cases:
    def case(*names):
        return list(names), PHOTO, SKETCH

    return Cases(
        right=[
            case("cat", "T-shirt", "Hot-air balloon"),
            case("hot air balloon", "t shirt", "CAT"),
            (("T-shirt", "cat", "hot-air balloon"), PHOTO, SKETCH),
        ],
        wrong=[
            (case("cat", "T-shirt"), "1 more can be matched"),
            (case(), "3 more can be matched"),
            (case("cat", "T-shirt", "Hot-air balloon", "aeroplane"), "not known to both"),
            (case("cat", "T-shirt", "Hot-air balloon", "cardigan"), "has twice"),
            (("cat", PHOTO, SKETCH), "A list of names"),
            ((4, PHOTO, SKETCH), "A list of names"),
        ],
    )


def smallest_layout() -> Cases:
    more_trained = ["photos/train/zebra/1.png", "sketches/train/zebra/1.png"]
    bird = [file.replace("cat", "bird") for file in SEEN_FOLDERS if "cat" in file]
    return Cases(
        right=[
            (LEAST[::-1], "zebra"),
            ([file.replace("cat", "Ant").replace("1.png", "a.jpg") for file in LEAST], "zebra"),
        ],
        wrong=[
            ((LEAST[1:], "zebra"), "The kit refuses"),
            ((SEEN_FOLDERS, "zebra"), "not among"),
            (([f for f in LEAST if f.startswith("photos")], "zebra"), "no such folder"),
            ((LEAST + more_trained, "zebra"), "without the folders train/zebra"),
            ((LEAST + bird, "zebra"), "without the class bird"),
            (([*LEAST, "photos/test/cat/2.png"], "zebra"), "without photos/test/cat"),
            (([*LEAST[1:], "photos/train/cat/1.txt"], "zebra"), "holds no images"),
            (([*LEAST, "test/cat/2.png"], "zebra"), "should begin with"),
        ],
    )


def card() -> Cases:
    def nested(classes, taught_on, steps, seed, scores):
        made = {"recipe": "kit", "steps": steps, "seed": seed}
        data = f"none; the teachers were taught on {taught_on}"
        return {"outputs": list(classes), "data": data, "made": made, **scores}

    def flat(classes, taught_on, steps, seed, scores):
        rows = {f"{p} {name}": value for p, row in scores.items() for name, value in row.items()}
        return {"a": classes, "b": taught_on, "c": steps, "d": seed, **rows}

    def in_place(classes, taught_on, steps, seed, scores):
        scores.update(classes=classes, data=taught_on, steps=steps, seed=seed)
        return scores

    def swapped(classes, taught_on, steps, seed, scores):
        facts = {"classes": classes, "data": taught_on, "steps": seed, "seed": steps}
        return {**facts, **scores}

    def without(name):
        def write(classes, taught_on, steps, seed, scores):
            facts = {"classes": classes, "data": taught_on, "steps": steps, "seed": seed}
            facts = {**facts, "seen": scores["seen"], "unseen": scores["unseen"]}
            return {key: value for key, value in facts.items() if key != name}

        return write

    def without_chance(classes, taught_on, steps, seed, scores):
        given = without("nothing")(classes, taught_on, steps, seed, scores)
        return {**given, **{p: row["map_all"] for p, row in scores.items()}}

    def as_a_set(classes, taught_on, steps, seed, scores):
        return {**flat(classes, taught_on, steps, seed, scores), "a": set(classes)}

    def in_another_order(classes, *others):
        return flat(sorted(classes), *others)

    def always_the_same(*facts):
        return flat(
            ("mug", "car", "tree"), "900 photos and 900 sketches of ToyBox", 60, 0, facts[4]
        )

    return Cases(
        right=[(nested,), (flat,), (in_place,)],
        wrong=[
            ((without("classes"),), "in the teachers' order"),
            ((in_another_order,), "in the teachers' order"),
            ((without("data"),), "its teachers have"),
            ((without("steps"),), "`steps` is missing"),
            ((without("seed"),), "`seed` is missing"),
            ((without("unseen"),), "unseen classes is missing"),
            ((without_chance,), "chance is not"),
            ((as_a_set,), "as JSON"),
            ((always_the_same,), "in the teachers' order"),
            ((swapped,), "`steps` is 0 there, and it was 60"),
            ((lambda *facts: "data: none",), "a dict"),
        ],
    )


def split() -> Cases:
    def by_photo(files):
        photos = sorted({f.rpartition("-")[0] for f in files})
        test = set(photos[::5])
        return (
            [f for f in files if f.rpartition("-")[0] not in test],
            [f for f in files if f.rpartition("-")[0] in test],
        )

    def by_hash(files):
        held = {f for f in files if zlib.crc32(f.rpartition("-")[0].encode()) % 4 == 0}
        return sorted(set(files) - held), sorted(held)

    def at_random(files):
        mixed = random.Random(0).sample(sorted(files), len(files))
        return mixed[len(files) // 5 :], mixed[: len(files) // 5]

    def in_their_order(files):
        photos = list(dict.fromkeys(f.rpartition("-")[0] for f in files))
        test = set(photos[::5])
        return (
            [f for f in files if f.rpartition("-")[0] not in test],
            [f for f in files if f.rpartition("-")[0] in test],
        )

    def without_a_seed(files):
        photos = sorted({f.rpartition("-")[0] for f in files})
        test = set(random.sample(photos, len(photos) // 5))
        return (
            [f for f in files if f.rpartition("-")[0] not in test],
            [f for f in files if f.rpartition("-")[0] in test],
        )

    def by_pythons_hash(files):
        photos = {f.rpartition("-")[0] for f in files}
        test = set()
        for name in ("mug", "t-shirt", "fish"):
            mine = sorted(p for p in photos if p.startswith(name + "/"))
            test.update(sorted(mine, key=lambda p: hash(p))[: len(mine) // 5])
        return (
            [f for f in files if f.rpartition("-")[0] not in test],
            [f for f in files if f.rpartition("-")[0] in test],
        )

    def without_mugs(files):
        return (
            [f for f in files if not f.startswith("mug")],
            [f for f in files if f.startswith("mug")],
        )

    def lost(files):
        train, test = by_photo(files)
        return train[1:], test

    def half(files):
        photos = sorted({f.rpartition("-")[0] for f in files})[::2]
        return (
            [f for f in files if f.rpartition("-")[0] not in photos],
            [f for f in files if f.rpartition("-")[0] in photos],
        )

    return Cases(
        right=[(by_photo,), (by_hash,)],
        wrong=[
            ((at_random,), "on both sides"),
            ((in_their_order,), "in another order"),
            ((without_a_seed,), "Called twice"),
            ((by_pythons_hash,), "each time Python starts"),
            ((without_mugs,), "left in train"),
            ((lost,), "came out"),
            ((half,), "are in test"),
            ((lambda files: files,), "Two lists"),
        ],
    )


def plan() -> Cases:
    good = {
        "seen": ["mug", "car", "tree", "fish"],
        "unseen": ["house", "boat", "key"],
        "train": 100,
        "test": 40,
        "profile": "laptop",
        "teachers": "train",
    }

    def but(**changes):
        return ({**good, **changes},)

    return Cases(
        right=[but(), but(profile="laptop-64", teachers="adopt", train=0)],
        wrong=[
            (but(unseen=["Tree", "boat", "key"]), "cannot be unseen"),
            (but(unseen=["house"]), "keep back three"),
            (but(seen=["mug"]), "two classes"),
            (but(test=10), "30 test sketches of unseen"),
            (but(profile="phone"), "UserError"),
            (but(teachers="borrow"), '"adopt"'),
            (but(train=0), "need pictures"),
            (({"seen": ["mug"]},), "these entries"),
            (but(seen="mug"), "lists of names"),
            (but(test=60.5), "whole numbers"),
        ],
    )


def cases() -> dict[str, Cases]:
    every = (shared_names, smallest_layout, card, split, plan)
    return {function.__name__: function() for function in every}
