"""Scribbles look as a renderer of its own draws them; selection finds what a judge wants."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dfsbir_lite.adopt import scribbles
from dfsbir_lite.adopt.doodlenet import DoodleNet
from dfsbir_lite.adopt.scribbles import Scribbler, ink
from dfsbir_lite.data import ImageSet, save_folders
from dfsbir_lite.runtime import UserError
from dfsbir_lite.strokes import Rendering, render
from dfsbir_lite.students import distill, new_encoders
from dfsbir_lite.study import real
from dfsbir_lite.teachers import Teacher

LOOK = Rendering(16, fill=0.9, thinnest=0.06, thickest=0.06, paper=255, ink=0)


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


class Halves(nn.Module):
    """Takes a drawing for "left" the more, the more of its ink is on the left; "both" never."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 3)
        self.fc.weight.data = torch.tensor([[9.0, 0], [0, 9], [0, 0]])
        self.fc.bias.data = torch.tensor([0.0, 0, -50])

    def forward(self, images):
        left, right = ((1 - half).sum((1, 2, 3)) for half in images.chunk(2, dim=3))
        return self.fc(torch.stack([left, right], 1) / (left + right)[:, None])


@pytest.fixture
def scribbler(monkeypatch):
    monkeypatch.setattr(scribbles, "START", 64)
    monkeypatch.setattr(scribbles, "FIRST", 2)
    teacher = Teacher(Halves(), ("left", "right", "both"), 16)
    return Scribbler(teacher, ("left", "right"), LOOK, each=16)


def wanting(*classes):
    return torch.randn(len(classes), 8, generator=draw(1)) + 9 * torch.eye(8)[list(classes)]


def test_ink_by_hand():
    """Two level lines of 4 pixels, a fourth of the frame wide; the unused third does not count."""
    points = torch.tensor([[[[0.0, 0], [4, 0]], [[0, 4], [4, 4]], [[9, 9], [9, 9]]]])
    look = Rendering(8, fill=0.5, thickest=0.25, paper=200, ink=50)
    seen = ink(points, torch.tensor([[True, True, False]]), look)
    assert torch.equal(seen.unique()[[0, -1]], torch.tensor([50 / 255, 200 / 255]))
    dark = (seen[0, 0] < 0.49).float()
    expected = torch.zeros(8, 8)
    expected[1:3, 2:6] = expected[5:7, 2:6] = 1
    assert (dark - expected).abs().sum() <= 8  # the ends of lines are round


def test_ink_is_what_opencv_draws():
    points, used = scribbles.scribbles(40, draw())
    look = Rendering(32, 26 / 28, 14 / 256, 14 / 256, paper=255, ink=0)
    mine = ink(points, used, look)
    drawings = ([{"points": s.tolist(), "width": 1} for s in p[u]] for p, u in zip(points, used))
    others = torch.stack([render(strokes, look)[:1] for strokes in drawings]) / 255
    assert (mine - others).abs().mean() < 0.016 and (mine - others).mean().abs() < 0.006


def test_the_fitter_take_the_place_of_their_parents(scribbler):
    before = scribbler.score.clone()
    for _ in range(40):
        images = scribbler(wanting(*[0, 1] * 8) + torch.randn(16, 8) / 9)
    assert images.shape == (16, 3, 16, 16) and images.min() >= 0 and images.max() <= 1
    assert (scribbler.score >= before).all() and scribbler.score.mean() > before.mean() + 0.02
    kept = ink(scribbler.points, scribbler.used, LOOK).expand(-1, 3, -1, -1)
    likely = Halves()(kept).log_softmax(1)[torch.arange(32), torch.arange(32) // 16]
    assert torch.allclose(likely, scribbler.score, atol=1e-5)


def test_a_drawing_follows_from_noise_and_generation(scribbler):
    noise = wanting(0, 1, 1, 0)
    scribbler.eval()
    first, score = scribbler(noise), scribbler.score.clone()
    torch.manual_seed(5)
    with torch.autocast("cpu", torch.bfloat16):
        again = scribbler(noise)
    assert torch.equal(again, first) and torch.equal(scribbler.score, score)
    assert not torch.equal(scribbler(noise + 0.01), first)


def test_a_student_of_scribbles_goes_on_where_it_was(
    scribbler, make_teacher, teachers, tiny, tiny_recipe, tmp_path
):
    given, runs = scribbler.score.clone(), []
    for _ in range(2):
        settings = tiny_recipe(align=0, contours=0)
        encoders = new_encoders(tiny, 3)
        runs.append(distill(teachers, settings, encoders, steps=4, width=8, sketches=scribbler))
    straight, resumed = runs
    for _ in range(2):
        next(straight)
    straight.save(tmp_path / "state.pt")
    resumed.resume(tmp_path / "state.pt")
    ends = [[step.made.sketches for step in run][-1] for run in runs]
    assert torch.equal(*ends) and torch.equal(scribbler.score, given)
    assert torch.equal(straight.encoders.sketch.fc.weight, resumed.encoders.sketch.fc.weight)


def test_bench_student_on_a_few_pictures(monkeypatch, tmp_path, tiny):
    with pytest.raises(UserError, match="bench real-student: DFSBIR_DATA_ROOT names no folder"):
        monkeypatch.setenv("DFSBIR_DATA_ROOT", str(tmp_path / "none"))
        real.measure_student(tiny, tmp_path, 1, range(1))
    names = tuple(real.CLASSES)
    for part in ("train", "test"):
        pixels = torch.randint(256, (20 * len(names), 3, 16, 16), dtype=torch.uint8)
        images = ImageSet(pixels, torch.arange(len(pixels)) % len(names), names, "photo")
        save_folders(images, tmp_path / "cifar10" / part)
    (tmp_path / "quickdraw_345").mkdir()
    (tmp_path / "doodlenet").mkdir()
    for name in real.CLASSES.values():
        line = json.dumps({"drawing": [[[0, 255], [0, 255]], [[0, 255], [255, 0]]]})
        (tmp_path / f"quickdraw_345/{name}.ndjson").write_text(f"{line}\n" * 3)
    save_file(DoodleNet().state_dict(), tmp_path / "doodlenet/doodlenet.safetensors")
    classes = [*real.CLASSES.values(), *(f"other {n}" for n in range(345 - len(names)))]
    (tmp_path / "doodlenet/classes.txt").write_text("\n".join(classes))
    monkeypatch.setenv("DFSBIR_DATA_ROOT", str(tmp_path))
    monkeypatch.setattr(scribbles, "START", 256)
    monkeypatch.setattr(scribbles, "FIRST", 1)
    monkeypatch.setattr(real, "CHANGES", real.CHANGES | {"batch": 16, "replay": 2})
    table = real.measure_student(tiny, tmp_path / "out", 1, range(2))
    assert list(table["read by"]) == ["posteriors", "student 0", "student 1"]
    assert table["of posteriors"][0] == 1 and list(table["chance"]) == pytest.approx(3 * [1 / 9])
