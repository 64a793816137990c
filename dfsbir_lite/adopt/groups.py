"""Groups: classes of a photo teacher and of a sketch teacher that mean the same.

ImageNet has 118 dogs and no dog. `groups.json` is a table for ImageNet and Quick, Draw!, reviewed
line by line: what looks alike to somebody who draws, not what is spelt alike. A group without
sketches keeps photos apart from drawings whose name is the same, or near.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from dfsbir_lite.data import class_key
from dfsbir_lite.files import read_json

Groups = Mapping[str, Mapping[str, Sequence[str]]]  # {"dog": {"photo": [...], "sketch": ["dog"]}}
SHIPPED = Path(__file__).with_name("groups.json")


def default_groups(photo: Sequence[str], sketch: Sequence[str]) -> Groups:
    """Return equal names and, for photo classes that are mostly its own, the table that ships."""
    table, known = read_groups(SHIPPED), set(photo)
    listed = {name for group in table.values() for name in group["photo"]}
    # the table wins: ImageNet's mouse and ear are no animal's, so they are nothing to draw
    return equal_names(photo, sketch) | (table if len(listed & known) > len(listed) / 2 else {})


def equal_names(photo: Sequence[str], sketch: Sequence[str]) -> Groups:
    """Return a group for each name that both lists have once, see `data.class_key`."""
    ours, theirs = once(photo), once(sketch)
    both = [key for key in ours if key in theirs]
    return {theirs[k]: {"photo": [ours[k]], "sketch": [theirs[k]]} for k in both}


def read_groups(path: str | Path) -> Groups:
    """Return the groups in a JSON file."""
    return read_json(path, "groups of names")


def places(groups: Groups, photo: Sequence[str], sketch: Sequence[str]) -> dict[str, tuple]:
    """Return where each group's classes stand in both lists, ([...], [...]), if they do.

    A name is one as it is written, or else by its `data.class_key`. A group that names no classes
    of the sketch teacher stays: nothing means the same as its photos.
    """
    found = {}
    for name, group in groups.items():
        ours, theirs = _places(group["photo"], photo), _places(group["sketch"], sketch)
        if ours and (theirs or not group["sketch"]):
            found[name] = ours, theirs
    return found


def _places(wanted: Sequence[str], classes: Sequence[str]) -> list[int]:
    spelt = once(classes)
    names = (name if name in classes else spelt.get(class_key(name)) for name in wanted)
    return sorted({classes.index(name) for name in names if name})


def shares(logits: torch.Tensor, groups: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the probability of each of `groups` of classes, which are places: (N, groups)."""
    return torch.stack([logits[:, group].logsumexp(1) for group in groups], 1).softmax(1)


def once(classes: Sequence[str]) -> dict[str, str]:
    """Return class names by their keys, without those that share one."""
    count = Counter(map(class_key, classes))
    return {class_key(name): name for name in classes if count[class_key(name)] == 1}
