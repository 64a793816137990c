"""What two real teachers teach a student, without data: `bench real-student`.

Photos of CIFAR-10 are found with drawings of Quick, Draw!. The photo teacher is a small ResNet; the
sketch teacher, doodleNet, is another architecture, has no batch norm, and was not made for this.
DFSBIR_DATA_ROOT names a folder with cifar10/{train,test}/<class>/, quickdraw_345/<class>.ndjson and
doodlenet/.
"""

import json
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from dfsbir_lite import pipeline
from dfsbir_lite.adopt.doodlenet import LOOK, load_doodlenet
from dfsbir_lite.adopt.matching import shipped_guidance
from dfsbir_lite.adopt.scribbles import Scribbler
from dfsbir_lite.data import ImageSet, data_root, folder_set
from dfsbir_lite.recipes import recipe
from dfsbir_lite.retrieval import ReadOut, evaluate, teacher_readouts
from dfsbir_lite.runtime import Profile
from dfsbir_lite.strokes import Rendering, quickdraw
from dfsbir_lite.study.costs import cost
from dfsbir_lite.teachers import Teacher, Teachers

# what CIFAR-10 and Quick, Draw! call the classes that both have
CLASSES = {name: name for name in ("airplane", "bird", "cat", "dog", "frog", "horse", "truck")}
CLASSES |= {"automobile": "car", "ship": "cruise ship"}
TEMPERATURES = (0.5, 1.0, 1.5, 2.5, 4.0)  # of the posteriors; validation chooses
# scribbles please the sketch teacher alone, and are new all the time
CHANGES = {"align": 0, "contours": 0, "as_drawn": True, "temperature": 1.0}
Pair = tuple[ImageSet, ImageSet]  # photos, sketches


def measure(sizes: Profile, folder: Path, steps: int, seeds: range, device="cpu") -> pd.DataFrame:
    """Return scores and costs: a line for the teachers' posteriors, and one for each student.

    Teachers, students and scores are kept in `folder`, where the same call goes on.
    """
    root = data_root("real-student", "cifar10")
    train, test = (_photos(root / "cifar10" / part, sizes.size) for part in ("train", "test"))
    look = replace(LOOK, size=sizes.size)
    asked, tested = (_drawings(root, late, look) for late in (False, True))
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


def _drawings(root: Path, late: bool, look: Rendering) -> ImageSet:
    """Return the second half of each class's drawings, for the test, or else the first."""
    images, labels = [], []
    for label, name in enumerate(CLASSES.values()):
        lines = (root / f"quickdraw_345/{name}.ndjson").read_text(encoding="utf-8").splitlines()
        half = (len(lines) + 1) // 2
        for line in lines[half:] if late else lines[:half]:
            images.append(quickdraw(json.loads(line)["drawing"], look))
            labels.append(label)
    return ImageSet(torch.stack(images), torch.tensor(labels), tuple(CLASSES.values()), "sketch")


def _pick(images: ImageSet, which: Tensor) -> ImageSet:
    return replace(images, images=images.images[which], labels=images.labels[which])


def _best_posteriors(teachers: Teachers, validation: Pair) -> ReadOut:
    logits = teacher_readouts(teachers)["teacher logits"]

    def at(temperature: float) -> ReadOut:
        return lambda *given: (logits(*given) / temperature).softmax(1)

    return at(max(TEMPERATURES, key=lambda t: evaluate(at(t), *validation).map_all))


def _line(name: str, readout: ReadOut, pair: Pair, networks: tuple[nn.Module, ...]) -> dict:
    """Return what a read-out finds among the test pictures, and what a picture of either costs."""
    scores, image = evaluate(readout, *pair), torch.rand(1, 3, *pair[0].images.shape[2:])
    each = {m: cost(readout, networks, image, m) for m in ("photo", "sketch")}
    line = {"read by": name, "mAP@all": scores.map_all, "chance": scores.chance}
    line |= {"bytes": each["photo"]["bytes"], "length": each["photo"]["length"]}
    line |= {f"{k} a {m}": v[k] for m, v in each.items() for k in ("multiply_adds", "ms")}
    with suppress(ImportError):  # on Windows
        from resource import RUSAGE_SELF, getrusage

        line["peak GB"] = getrusage(RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts in kB
    return line
