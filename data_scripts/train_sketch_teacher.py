"""Train the sketch teacher that ships for Quick, Draw!'s classes, zoo/real/sketch.safetensors.

Each step draws strokes afresh and learns both their class and what doodleNet says of them. Needs
quickdraw_345/, doodlenet/ and imagenet_groups.json in DFSBIR_DATA_ROOT and 40 minutes on one core;
goes on where it was stopped.
"""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from dfsbir_lite.adopt.doodlenet import LOOK, load_doodlenet
from dfsbir_lite.data import class_key
from dfsbir_lite.files import load_state, save_state
from dfsbir_lite.models import SmallResNet
from dfsbir_lite.runtime import autocast, progress
from dfsbir_lite.strokes import Rendering, render
from dfsbir_lite.teachers import Teacher, save_teacher
from dfsbir_lite.zoo import ASSETS

ROOT = Path(os.environ.get("DFSBIR_DATA_ROOT", ""))
OURS = Rendering(64, 0.9, 0.035, 0.035, paper=255, ink=0)
PARTS = {"train": slice(None, -6), "validation": slice(-6, -4), "test": slice(-4, None)}
FACTS = {
    "name": "sketch",
    "command": "python data_scripts/train_sketch_teacher.py",
    "learnt_from": "Quick, Draw! drawings (Google, CC BY 4.0) and what doodleNet (MIT, ml5) says "
    "of them",
    "split": "of about 18 drawings a class the last four test, the two before validate",
}
OUT, STEPS = ASSETS / "real" / "sketch.safetensors", 16000
NO_LABEL = -100  # which cross-entropy ignores
Drawing = list[np.ndarray]  # a stroke each, (points, 2), in [0, 1]


def drawings(part: str) -> dict[str, list[Drawing]]:
    """Return the drawings of one part, by class."""
    found = {}
    for path in sorted((ROOT / "quickdraw_345").glob("*.ndjson")):
        each = [json.loads(s)["drawing"] for s in path.read_text("utf-8").splitlines()[PARTS[part]]]
        found[path.stem] = [[dense(np.array(s, float).T / 255) for s in one] for one in each]
    return found


def dense(points: np.ndarray, step: float = 0.06) -> np.ndarray:
    """Return the same line with a point at least every `step`, so that it can be bent."""
    counts = np.ceil(np.linalg.norm(np.diff(points, axis=0), axis=1) / step).astype(int).clip(1)
    at = np.concatenate([i + np.arange(n) / n for i, n in enumerate(counts)] + [[len(counts)]])
    return np.stack([np.interp(at, np.arange(len(points)), axis) for axis in points.T], 1)


def shown(drawing: Drawing, look: Rendering) -> Tensor:
    """Return the grey picture (size, size) of a drawing."""
    return render([{"points": stroke, "width": look.thinnest} for stroke in drawing], look)[0]


def redrawn(drawing: Drawing, added: Drawing, rng: np.random.Generator) -> Drawing:
    """Draw anew: strokes left out or added, each moved, the whole turned, sheared and bent."""
    kept = ([s for s in drawing if rng.random() > 0.05] or drawing) + added
    parts = [(s - s.mean(0)) * rng.normal(1, 0.05, 2) + s.mean(0) for s in kept]
    points = np.concatenate([part + rng.normal(-0.5, 0.01, 2) for part in parts])
    angle, (shear, tall) = rng.normal(0, 0.13), rng.normal(0, 0.13, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = points @ turn @ np.array([[rng.choice([-1, 1]), 0], [shear, np.exp(tall)]])
    for _ in range(2):
        phase, height = rng.uniform(0, 2 * np.pi, 2), rng.normal(0, 0.013, 2)
        points = points + height * np.sin(rng.uniform(2, 9) * points[:, ::-1] + phase)
    return np.split(points, np.cumsum([len(part) for part in parts])[:-1])


class Lesson(Dataset):
    """By number, a fresh drawing: as the network sees it, as doodleNet does, and its class.

    Some have strokes of another drawing; where that is of another class, doodleNet alone judges.
    """

    def __init__(self, classes: dict[str, list[Drawing]]):
        self.classes = list(classes.values())
        self.all = [(n, each) for n, many in enumerate(self.classes) for each in many]

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, int]:
        rng = np.random.default_rng(number)
        label, drawing = self.all[rng.integers(len(self.all))]
        other = rng.choice([label, rng.integers(len(self.classes))])
        many = self.classes[other]
        share = 0.3 if rng.random() < 0.3 else 0
        added = [s for s in many[rng.integers(len(many))] if rng.random() < share]
        new = redrawn(drawing, added, rng)
        width = OURS.thinnest * np.exp(rng.normal(0, 0.25))
        pen = replace(OURS, thinnest=width, thickest=width)
        return shown(new, pen), shown(new, LOOK), NO_LABEL if added and other != label else label


def images(grey: Tensor) -> Tensor:
    """Return what networks read, floats (N, 3, H, W), of grey pictures (N, H, W) of 255."""
    floats = (grey.float() / 255)[:, None].expand(-1, 3, -1, -1)
    return floats.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def score(network: torch.nn.Module, part: str) -> dict[str, float]:
    """Return how many drawings are named right: of all, and of those that ImageNet has, too."""
    classes, groups = drawings(part), json.loads((ROOT / "imagenet_groups.json").read_text())
    labels = torch.tensor([n for n, many in enumerate(classes.values()) for _ in many])
    pictures = torch.stack([shown(each, OURS) for many in classes.values() for each in many])
    logits = torch.cat([network(images(some)) for some in pictures.split(256)])
    known = torch.tensor([name in groups for name in classes])
    right = logits.argmax(1) == labels, logits.masked_fill(~known, -torch.inf).argmax(1) == labels
    scores = right[0].float().mean(), right[1][known[labels]].float().mean()
    return {f"{part}_accuracy{s}": round(float(x), 4) for s, x in zip(("", "_shared"), scores)}


def train(state: Path, steps: int, batch: int = 64) -> torch.nn.Module:
    """Return the average of the weights of late steps; `state` is where a stopped run goes on."""
    classes, doodlenet = drawings("train"), load_doodlenet(ROOT / "doodlenet/doodlenet.safetensors")
    theirs = {class_key(name): name for name in doodlenet.classes}
    doodlenet = doodlenet.only([theirs[class_key(name)] for name in classes])
    torch.manual_seed(0)
    network = SmallResNet((32, 64, 128, 256), len(classes)).to(memory_format=torch.channels_last)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    rate = OneCycleLR(optimiser, 3e-3, steps, pct_start=0.1)
    parts = {"network": network, "mean": average, "adam": optimiser, "rate": rate}
    for name, saved in (load_state(state) if state.is_file() else {}).items():
        parts[name].load_state_dict(saved)
    numbers = range(rate.last_epoch * batch, steps * batch)
    lessons = DataLoader(Lesson(classes), batch, sampler=numbers, num_workers=1, prefetch_factor=8)
    bar = progress(lessons, desc="steps", initial=rate.last_epoch, total=steps)
    for ours, doodles, labels in bar:
        with torch.no_grad():
            said = (doodlenet(images(doodles)).logits / 2).softmax(1)
        with autocast("cpu"):
            logits = network(images(ours)).float()
        soft = F.kl_div((logits / 2).log_softmax(1), said, reduction="batchmean")
        optimiser.zero_grad()
        (soft + 0.3 * F.cross_entropy(logits, labels, label_smoothing=0.1)).backward()
        optimiser.step()
        rate.step()
        average.update_parameters(network)
        if rate.last_epoch % 500 == 0:
            save_state(state, {name: part.state_dict() for name, part in parts.items()})
            print(rate.last_epoch, score(average.module.eval(), "validation"), flush=True)
    return average.module.eval()


if __name__ == "__main__":
    network = train(Path("runs/sketch_teacher.pt"), STEPS)
    teacher = Teacher(network, tuple(drawings("train")), OURS.size)
    scores = score(network, "validation") | score(network, "test")
    save_teacher(OUT, teacher, {"rendering": asdict(OURS), **FACTS, "steps": STEPS, **scores})
