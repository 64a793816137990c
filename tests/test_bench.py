"""The quality bench, on networks so small that a whole one takes seconds."""

import json
from types import SimpleNamespace

import pytest
import torch

from dfsbir_lite import bench, pipeline
from dfsbir_lite.data import ImageSet
from dfsbir_lite.recipes import recipe

CLASSES = ("ant", "bee", "cat")


@pytest.fixture
def small(monkeypatch, teachers, tiny_recipe):
    """A benchmark of random images in place of ToyBox, and random teachers."""

    def images(modality, n=6):
        draw = torch.Generator().manual_seed(n)
        pixels = torch.randint(256, (n, 3, 16, 16), dtype=torch.uint8, generator=draw)
        return ImageSet(pixels, torch.arange(n) % 3, CLASSES, modality)

    pair = images("photo"), images("sketch", 9)
    made = pipeline.Benchmark("random", pair, pair, pair)
    monkeypatch.setattr(pipeline, "toybox_benchmark", lambda *a, **k: made)
    monkeypatch.setattr(pipeline, "get_teachers", lambda *a, **k: teachers)
    monkeypatch.setattr(bench, "recipe", lambda name: tiny_recipe())


def options(folder, **changes):
    given = {"out": folder, "steps": 2, "seeds": 2, "first_seed": 0, "device": "cpu"}
    return SimpleNamespace(**{**given, **changes})


def test_quality_compares_all_rivals_at_equal_steps_and_keeps_what_it_has(small, tiny, tmp_path):
    result = bench.quality(tiny, options(tmp_path))
    stored = sorted((tmp_path / "quality-tiny-2").glob("*/scores.json"))
    assert [path.parent.name for path in stored] == ["seed0", "seed1"]
    rows = json.loads(stored[0].read_text())
    assert rows == json.loads(json.dumps(result["runs"][0]))
    assert {"teacher logits", "averaged weights", "data-free student", "real-data student"} <= set(
        rows
    )
    ours, real = (rows[f"{kind} student"]["seen"]["map_all"] for kind in ("data-free", "real-data"))
    assert result["ratios"]["seen"][0] == pytest.approx(ours / real)
    seconds, scores = zip(*rows["data-free student"]["course"], strict=True)
    assert list(seconds) == sorted(seconds) and scores[-1] == ours
    rows["data-free student"]["seen"]["map_all"] = 2 * real  # a mark that a second call must keep
    stored[0].write_text(json.dumps(rows))
    assert bench.quality(tiny, options(tmp_path, seeds=1))["ratios"]["seen"] == [2.0]


def test_a_start_from_the_teachers_learns_at_a_tenth_of_the_rate():
    settings = recipe("kit")
    assert pipeline.suited(settings, "scratch") is settings
    slow = pipeline.suited(settings, "teachers")
    assert slow.encoder_lr == pytest.approx(settings.encoder_lr / 10)
    assert slow.weights == settings.weights
