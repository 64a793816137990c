"""Real photos found with real drawings, by two classifiers and by a student that they taught.

`bench real` has classifiers off the shelf. `bench real-student` finds photos of CIFAR-10 with
drawings of Quick, Draw!: the photo teacher is a small ResNet; the sketch teacher, doodleNet, is
another architecture, has no batch norm, and was not made for this.

DFSBIR_DATA_ROOT names a folder with imagenet_samples/<synset>_<class>.jpg,
quickdraw_345/<class>.ndjson, pacs/{photo,sketch}/test/<class>/, cifar10/{train,test}/<class>/ and
doodlenet/.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from dfsbir_lite import pipeline, retrieval, zoo
from dfsbir_lite.adopt.checkpoints import adopt, load
from dfsbir_lite.adopt.doodlenet import LOOK, load_doodlenet
from dfsbir_lite.adopt.groups import SHIPPED, equal_names, read_groups
from dfsbir_lite.adopt.matching import Matching, shipped_guidance
from dfsbir_lite.adopt.scribbles import Scribbler
from dfsbir_lite.adopt.shelf import LITE, facts, weights_file
from dfsbir_lite.data import ImageSet, data_root, folder_set, open_image, read_image
from dfsbir_lite.files import read_card
from dfsbir_lite.pipeline import Pair
from dfsbir_lite.recipes import recipe
from dfsbir_lite.retrieval import ReadOut, average_precision, evaluate
from dfsbir_lite.runtime import Profile, progress
from dfsbir_lite.strokes import Rendering, quickdraw, redraw
from dfsbir_lite.study.readouts import cost
from dfsbir_lite.teachers import Teacher, Teachers

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
    path, lines = folder / "photo.safetensors", []
    if not path.is_file():
        adopt(LITE, weights_file(LITE), path=path, **facts(LITE)._asdict())
    photo = load(path)
    photos = {"ImageNet": _samples(root), "PACS": _pacs(root, "photo")}
    kept = {
        name: _read(photo, each, lambda path: torch.tensor(read_image(path, photo.size)))
        for name, each in photos.items()
    }
    drawn = sorted((root / "quickdraw_345").glob("*.ndjson"))
    drawings = [(path.stem, each) for path in drawn for each in _stored(path)[-TESTED:]]
    sketches = {"ImageNet": drawings, "PACS": _pacs(root, "sketch")}
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
    cosines, order = retrieval.similarities(*rows).sort(dim=1, descending=True, stable=True)
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


def _sketch_teachers(root: Path) -> dict[str, tuple[Teacher, Rendering]]:
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
    paths = sorted((root / "pacs" / modality / "test").glob("*/*"))
    return [(path.parent.name, path) for path in paths]


def _stored(path: Path) -> list[list]:
    """Return the drawings in a file of Quick, Draw!'s, as `strokes.quickdraw` takes them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["drawing"] for line in lines]


def _drawn(sketch: Path | list, look: Rendering) -> Tensor:
    """Return line art, or a drawing of Quick, Draw!'s, as a teacher wants it."""
    return redraw(open_image(sketch), look) if isinstance(sketch, Path) else quickdraw(sketch, look)


def _read(teacher: Teacher, named: Named, picture: Callable) -> Read:
    images = [picture(each) for _, each in progress(named, desc="reading")]
    scores = retrieval.embed(lambda x, _: teacher(x).logits, torch.stack(images), "", batch=32)
    return scores, [name for name, _ in named]


# --- a student of two real teachers --------------------------------------------------------------

# what CIFAR-10 and Quick, Draw! call the classes that both have
CLASSES = {name: name for name in ("airplane", "bird", "cat", "dog", "frog", "horse", "truck")}
CLASSES |= {"automobile": "car", "ship": "cruise ship"}
TEMPERATURES = (0.5, 1.0, 1.5, 2.5, 4.0)  # of the posteriors; validation chooses
# scribbles please the sketch teacher alone, and are new all the time
CHANGES = {"align": 0, "contours": 0, "as_drawn": True, "temperature": 1.0}


def measure_student(
    sizes: Profile, folder: Path, steps: int, seeds: range, device="cpu"
) -> pd.DataFrame:
    """Return scores and costs: a line for the teachers' posteriors, and one for each student.

    Teachers, students and scores are kept in `folder`, where the same call goes on.
    """
    root = data_root("real-student", "cifar10")
    train, test = (_photos(root / "cifar10" / part, sizes.size) for part in ("train", "test"))
    look = replace(LOOK, size=sizes.size)
    asked, tested = (_half(root, late, look) for late in (False, True))
    held = torch.arange(len(train)) % 10 == 9  # for validation
    photo = pipeline.get_teacher("photo", _pick(train, ~held), sizes, folder, device=device)
    known = load_doodlenet(root / "doodlenet" / "doodlenet.safetensors")
    sketch = Teacher(known.network, known.classes, sizes.size).only(train.classes)
    teachers = Teachers(photo, sketch, shipped_guidance(sizes.size)).to(device)
    posteriors = _best_posteriors(teachers, (_pick(train, held), asked))
    pair, settings = (test, tested), recipe("kit", **CHANGES)
    lines = [_line("posteriors", posteriors, pair, (photo, sketch))]
    benchmark = pipeline.Benchmark("CIFAR-10 with Quick, Draw!", None, pair, None)
    for seed in seeds:
        where = folder / f"seed{seed}-{steps}"
        scribbler = partial(Scribbler, known.to(device), train.classes, look, seed=seed)
        job = {"steps": steps, "device": device, "seed": seed, "sketches": scribbler}
        rows = pipeline.run(benchmark, teachers, sizes, settings, where, **job)
        spent = {"minutes": rows["data-free student"]["seconds"] / 60}
        student = pipeline.load_encoders(where / "student.safetensors")
        lines.append(_line(f"student {seed}", student.embed, pair, (student,)) | spent)
    table = pd.DataFrame(lines)
    table.insert(2, "of posteriors", table["mAP@all"] / table["mAP@all"][0])
    return table


def _photos(folder: Path, size: int) -> ImageSet:
    photos = folder_set(folder, size, "photo").only(tuple(CLASSES))
    return replace(photos, classes=tuple(CLASSES.values()))


def _half(root: Path, late: bool, look: Rendering) -> ImageSet:
    """Return the second half of each class's drawings, for the test, or else the first."""
    images, labels = [], []
    for label, name in enumerate(CLASSES.values()):
        drawings = _stored(root / "quickdraw_345" / f"{name}.ndjson")
        half = (len(drawings) + 1) // 2
        for drawing in drawings[half:] if late else drawings[:half]:
            images.append(quickdraw(drawing, look))
            labels.append(label)
    return ImageSet(torch.stack(images), torch.tensor(labels), tuple(CLASSES.values()), "sketch")


def _pick(images: ImageSet, which: Tensor) -> ImageSet:
    return replace(images, images=images.images[which], labels=images.labels[which])


def _best_posteriors(teachers: Teachers, validation: Pair) -> ReadOut:
    logits = retrieval.teacher_readouts(teachers)["teacher logits"]

    def at(temperature: float) -> ReadOut:
        return lambda *given: (logits(*given) / temperature).softmax(1)

    return at(max(TEMPERATURES, key=lambda t: evaluate(at(t), *validation).map_all))


def _line(name: str, readout: ReadOut, pair: Pair, networks: tuple[nn.Module, ...]) -> dict:
    """Return what a read-out finds among the test pictures, and what a picture of either costs."""
    scores, image = evaluate(readout, *pair), torch.rand(1, 3, *pair[0].images.shape[2:])
    each = {m: cost(readout, networks, image, m) for m in ("photo", "sketch")}
    line = {"read by": name, "mAP@all": scores.map_all, "chance": scores.chance}
    line |= {"bytes": each["photo"]["bytes"], "length": each["photo"]["length"]}
    return line | {f"{k} a {m}": v[k] for m, v in each.items() for k in ("multiply_adds", "ms")}
