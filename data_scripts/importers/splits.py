"""Training and test parts: unseen classes for the test alone, a tenth of all others."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace

from importers.dataset import Item

# Sketchy names a sketch after its photo: n02691156_58-3 is the third one of n02691156_58.
OF_A_PHOTO = re.compile(r"(n\d+_\d+)-\d+")


def assign(items: list[Item], unseen: Collection[str]) -> list[Item]:
    """Return the items with their splits: "test" for `unseen` classes, else what the source says.

    Where it says nothing, a tenth of each class's groups is for the test, at least one.
    """
    tests = _test_groups([i for i in items if i.split is None and i.label not in unseen])
    said = ["test" if item.label in unseen else item.split for item in items]
    ours = ["test" if _group(item) in tests else "train" for item in items]
    return [replace(item, split=one or other) for item, one, other in zip(items, said, ours)]


def limit(items: list[Item], per_class: int) -> list[Item]:
    """Return at most `per_class` items of each class, modality and split, always the same ones."""
    parts = defaultdict(list)
    for item in sorted(items, key=lambda item: _rank(item.label, item.stem)):
        parts[item.modality, item.label, item.split].append(item)
    return [item for part in parts.values() for item in part[:per_class]]


def _test_groups(items: list[Item]) -> set[tuple]:
    sketched = {_group(item) for item in items if item.modality == "sketch"}
    parts = defaultdict(set)  # a tenth of the photos with sketches, and of the others
    for group in map(_group, items):
        parts[group[0], group in sketched].add(group)
    return {group for part in parts.values() for group in _tenth(part)}


def _group(item: Item) -> tuple[str, str, str]:
    """Return what has to stay in one part: a photo and the sketches that were drawn from it."""
    if item.modality == "sketch" and (drawn := OF_A_PHOTO.fullmatch(item.stem)):
        return item.label, "photo", drawn[1]
    return item.label, item.modality, item.stem


def _tenth(groups: set[tuple]) -> list[tuple]:
    count = min(len(groups) - 1, max(1, round(0.1 * len(groups))))
    return sorted(groups, key=lambda group: (_rank(group[0], group[2]), group))[:count]


def _rank(label: str, stem: str) -> str:
    """Return a random number, always the same for one picture, as text that can be sorted."""
    return hashlib.sha256(f"{label}/{stem}".encode()).hexdigest()
