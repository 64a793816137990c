"""Real photos found with real drawings, by two classifiers off the shelf: `bench real`.

DFSBIR_DATA_ROOT names a folder with imagenet_samples/<synset>_<class>.jpg,
quickdraw_345/<class>.ndjson, pacs/{photo,sketch}/test/<class>/ and doodlenet/.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from dfsbir_lite import zoo
from dfsbir_lite.adopt.checkpoints import adopt, load
from dfsbir_lite.adopt.doodlenet import LOOK, load_doodlenet
from dfsbir_lite.adopt.groups import SHIPPED, equal_names, read_groups
from dfsbir_lite.adopt.matching import Matching
from dfsbir_lite.adopt.shelf import LITE, facts, weights_file
from dfsbir_lite.data import data_root, open_image, read_image
from dfsbir_lite.files import read_card
from dfsbir_lite.retrieval import average_precision, embed, similarities
from dfsbir_lite.runtime import progress
from dfsbir_lite.strokes import Rendering, quickdraw, redraw
from dfsbir_lite.teachers import Teacher

# names that ImageNet has twice, as torchvision tells them apart
TWINS = {"n02012849": "crane bird", "n03710721": "maillot tank suit"}
TESTED = 4  # the last drawings of each class

Named = list[tuple[str, Path | list]]  # what there is to read, each with its class
Read = tuple[Tensor, list[str]]  # scores (N, C) of what was read, and its classes


def measure(folder: Path) -> pd.DataFrame:
    """Return mAP@all, right first hits and chance, a line a teacher, way and benchmark.

    Raises UserError without data; the photo teacher is made in `folder`, unless it is there.
    """
    root = data_root("real", "imagenet_samples")
    photo, lines = _photo_teacher(folder / "photo.safetensors"), []
    photos = {"ImageNet": _samples(root), "PACS": _pacs(root, "photo")}
    kept = {
        name: _read(photo, each, partial(_seen, size=photo.size)) for name, each in photos.items()
    }
    sketches = {"ImageNet": _drawings(root), "PACS": _pacs(root, "sketch")}
    for name, (sketch, look) in _sketch_teachers(root).items():
        as_wanted = partial(_drawn, look=look)
        asked = {name: _read(sketch, each, as_wanted) for name, each in sketches.items()}
        for way, matching in _ways(photo, sketch).items():
            for benchmark, gallery in kept.items():
                found = score(matching, asked[benchmark], gallery, _wanted(benchmark))
                lines.append({"sketches read by": name, "way": way, "photos": benchmark, **found})
    return pd.DataFrame(lines)


def score(matching: Matching, queries: Read, photos: Read, wanted: Callable) -> dict:
    """Score the queries of whose class there is a photo; `wanted` names those of a class."""
    relevant = torch.tensor([[name in wanted(q) for name in photos[1]] for q in queries[1]])
    asked = relevant.any(1)
    rows = matching.sketch_rows(queries[0])[asked], matching.photo_rows(photos[0])
    cosines, order = similarities(*rows).sort(dim=1, descending=True, stable=True)
    ranked = relevant[asked].gather(1, order)
    scores = {"map_all": average_precision(ranked, cosines=cosines), "first_hit": ranked[:, 0]}
    scores["chance"] = ranked  # the share of photos that are right
    means = {name: each.float().mean().item() for name, each in scores.items()}
    return {"queries": len(ranked), **means}


def _wanted(benchmark: str) -> Callable[[str], list[str]]:
    """Return which classes of photos answer a class of sketches."""
    if benchmark == "PACS":
        return lambda name: [name]
    table = read_groups(SHIPPED).values()
    answers = {name: group["photo"] for group in table for name in group["sketch"]}
    return lambda name: answers.get(name, [])


def _ways(photo: Teacher, sketch: Teacher) -> dict[str, Matching]:
    names = equal_names(photo.classes, sketch.classes)
    return {
        "equal names": Matching(photo, sketch, names, bridge=False),
        "groups": Matching(photo, sketch, bridge=False),
        "bridge": Matching(photo, sketch, groups={}),
        "groups and bridge": Matching(photo, sketch),
    }


def _photo_teacher(path: Path) -> Teacher:
    if not path.is_file():
        classes, size, mean, std = facts(LITE)
        adopt(LITE, weights_file(LITE), classes, size, path, mean, std)
    return load(path)


def _sketch_teachers(root: Path) -> dict[str, tuple[Teacher, Rendering]]:
    """Return the one that ships and doodleNet, each with how a drawing must look."""
    path = zoo.ASSETS / "real" / "sketch.safetensors"
    doodlenet = load_doodlenet(root / "doodlenet" / "doodlenet.safetensors")
    look = Rendering(**read_card(path)["rendering"])
    return {"the one that ships": (load(path), look), "doodleNet": (doodlenet, LOOK)}


def _samples(root: Path) -> Named:
    found = []
    for path in sorted((root / "imagenet_samples").glob("n*_*")):
        synset, _, name = path.stem.partition("_")
        found.append((TWINS.get(synset, name.replace("_", " ")), path))
    return found


def _pacs(root: Path, modality: str) -> Named:
    return [
        (path.parent.name, path) for path in sorted((root / f"pacs/{modality}/test").glob("*/*"))
    ]


def _drawings(root: Path) -> Named:
    return [
        (path.stem, json.loads(line)["drawing"])
        for path in sorted((root / "quickdraw_345").glob("*.ndjson"))
        for line in path.read_text(encoding="utf-8").splitlines()[-TESTED:]
    ]


def _seen(path: Path, size: int) -> Tensor:
    return torch.tensor(read_image(path, size))


def _drawn(sketch: Path | list, look: Rendering) -> Tensor:
    """Return line art, or a drawing of Quick, Draw!'s, as a teacher wants it."""
    return redraw(open_image(sketch), look) if isinstance(sketch, Path) else quickdraw(sketch, look)


def _read(teacher: Teacher, named: Named, picture: Callable) -> Read:
    images = [picture(each) for _, each in progress(named, desc="reading")]
    scores = embed(lambda x, _: teacher(x).logits, torch.stack(images), "", batch=32)
    return scores, [name for name, _ in named]
