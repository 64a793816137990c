"""Who is trained on what: a test part for seen classes, unseen classes for the test alone."""

import hashlib
import re
from collections import defaultdict

from importers.dataset import Item

# Sketchy names a sketch after its photo: n02691156_58-3 is the third one of n02691156_58.
OF_A_PHOTO = re.compile(r"(n\d+_\d+)-\d+")


def group(item: Item) -> tuple[str, str]:
    """What has to stay together: a photo and the sketches drawn from it share their group.

    No others do: elsewhere photo 3 and sketch 3 have nothing in common but their number.
    """
    if item.modality == "sketch" and (drawn := OF_A_PHOTO.fullmatch(item.stem)):
        return "photo", drawn[1]
    return item.modality, item.stem


def rank(label: str, name: str) -> str:
    """A random place in a fixed order that no other class or picture has a part in."""
    return hashlib.sha256(f"{label}/{name}".encode()).hexdigest()


def assign(items: list[Item], unseen: tuple[str, ...], test_share: float) -> dict[str, str]:
    """By origin, "train" or "test".

    All of an unseen class is for the test. Otherwise what the source says holds; where it says
    nothing, `test_share` of each class's groups are for the test, at least one, and the same
    ones whenever this is done. Photos go where the sketches drawn from them go.
    """
    splits = {item.origin: item.split for item in items}
    open_groups = defaultdict(lambda: defaultdict(set))
    for item in items:
        if item.label in unseen:
            splits[item.origin] = "test"
        elif item.split is None:
            open_groups[item.label][item.modality].add(group(item))
    tests = {}
    for label, groups in open_groups.items():
        photos = groups["photo"] - groups["sketch"]
        tests[label] = _share(label, groups["sketch"], test_share) | _share(
            label, photos, test_share
        )
    for item in items:
        if splits[item.origin] is None:
            splits[item.origin] = "test" if group(item) in tests[item.label] else "train"
    return splits


def _share(label: str, groups: set[tuple], test_share: float) -> set[tuple]:
    count = min(len(groups) - 1, max(1, round(test_share * len(groups))))
    return set(sorted(groups, key=lambda g: (rank(label, g[1]), g))[: max(0, count)])
