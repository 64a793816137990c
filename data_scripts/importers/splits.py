"""Training and test parts: unseen classes for the test alone, a tenth of all others."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import replace

from importers.dataset import Item

# Sketchy names a sketch after its photo: n02691156_58-3 is the third one of n02691156_58.
OF_A_PHOTO = re.compile(r"(n\d+_\d+)-\d+")


def assign(items: list[Item], unseen: Collection[str]) -> list[Item]:
    """Return the items, each with its split.

    All of an unseen class is for the test. Otherwise what the source says holds; where it says
    nothing, a tenth of each class's groups is for the test, at least one.
    """
    tests = _test_groups([i for i in items if i.split is None and i.label not in unseen])

    def split(item: Item) -> str:
        if item.label in unseen:
            return "test"
        return item.split or ("test" if _group(item) in tests else "train")

    return [replace(item, split=split(item)) for item in items]


def limit(items: list[Item], per_class: int) -> list[Item]:
    """Return at most `per_class` items of each class, modality and split, always the same ones."""
    kept, counts = [], Counter()
    for item in sorted(items, key=lambda item: _rank(item.label, item.stem)):
        part = item.modality, item.label, item.split
        counts[part] += 1
        if counts[part] <= per_class:
            kept.append(item)
    return kept


def _test_groups(items: list[Item]) -> set[tuple]:
    groups = {"sketch": defaultdict(set), "photo": defaultdict(set)}
    for item in items:
        groups[item.modality][item.label].add(_group(item))
    for label, photos in groups["photo"].items():
        photos -= groups["sketch"][label]  # a tenth of the photos with sketches, and of the others
    parts = [part for of_modality in groups.values() for part in of_modality.values()]
    return {group for part in parts for group in _tenth(part)}


def _group(item: Item) -> tuple[str, str, str]:
    """Return what has to stay in one part: a photo and the sketches drawn from it share a group.

    No others do: elsewhere photo 3 and sketch 3 have nothing in common but their number.
    """
    if item.modality == "sketch" and (drawn := OF_A_PHOTO.fullmatch(item.stem)):
        return item.label, "photo", drawn[1]
    return item.label, item.modality, item.stem


def _tenth(groups: set[tuple]) -> list[tuple]:
    count = min(len(groups) - 1, max(1, round(0.1 * len(groups))))
    return sorted(groups, key=lambda group: (_rank(group[0], group[2]), group))[: max(0, count)]


def _rank(label: str, stem: str) -> str:
    """Return a random number, always the same for one picture, as text that can be sorted."""
    return hashlib.sha256(f"{label}/{stem}".encode()).hexdigest()
