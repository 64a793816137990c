"""`bench quality` and `bench claims`, on networks so small that a whole one takes seconds."""

import json
from functools import partial
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from dfsbir_lite import pipeline
from dfsbir_lite.data import ImageSet
from dfsbir_lite.runtime import PROFILES
from dfsbir_lite.study import bench, claims, rows
from dfsbir_lite.study.rows import OURS, REAL, RIVALS

CLASSES = ("ant", "bee", "cat")


@pytest.fixture(autouse=True)
def small(monkeypatch, teachers, tiny, tiny_recipe):
    """A benchmark of random images in place of ToyBox, and random teachers."""

    def images(modality, n):
        draw = torch.Generator().manual_seed(n)
        pixels = torch.randint(256, (n, 3, 16, 16), dtype=torch.uint8, generator=draw)
        return ImageSet(pixels, torch.arange(n) % 3, CLASSES, modality)

    pair = images("photo", 6), images("sketch", 9)
    benchmark = pipeline.Benchmark("random", pair, pair, pair)
    monkeypatch.setitem(PROFILES, "tiny", tiny)
    monkeypatch.setattr("dfsbir_lite.zoo.need_shipped", lambda name: None)
    monkeypatch.setattr(pipeline, "toybox_benchmark", lambda *a, **k: benchmark)
    monkeypatch.setattr(pipeline, "get_teachers", lambda *a, **k: teachers)
    monkeypatch.setattr(pipeline, "get_teacher", lambda *a, **k: teachers.photo)  # the unified one
    monkeypatch.setattr(rows, "recipe", lambda name, **changes: tiny_recipe(**changes))
    monkeypatch.setattr(rows, "metadata", partial(rows.metadata, batches=1, batch=8, steps=2))


def run(name, folder, **changes) -> dict:
    """The JSON that `bench name` stores."""
    options = {"name": name, "profile": "tiny", "out": folder, "steps": 1, "seeds": 2}
    options |= {"first_seed": 0, "device": "cpu", "rows": (), "workers": 1}
    options |= {"photos": None, "sketches": None, **changes}
    bench.command(SimpleNamespace(**options))
    return json.loads((folder / f"{name}-tiny.json").read_text())


def test_quality_compares_all_rivals_at_equal_steps_and_keeps_what_it_has(tmp_path):
    runs = run("quality", tmp_path, steps=2)["runs"]
    stored = sorted((tmp_path / "quality-tiny-2").glob("*/scores.json"))
    assert [path.parent.name for path in stored] == ["seed0", "seed1"]
    scores = json.loads(stored[0].read_text())
    assert scores == runs[0] and list(scores) == list(RIVALS)
    scores[OURS]["seen"]["map_all"] = 2 * scores[REAL]["seen"]["map_all"]  # a second call keeps it
    stored[0].write_text(json.dumps(scores))
    again = run("quality", tmp_path, steps=2, seeds=1)
    assert again["runs"] == [scores]
    assert again["claims"][0]["low"] is None  # one seed has no interval, and JSON no nan


def test_claims_judges_rows_and_writes_them_as_a_tidy_table(tmp_path, capsys):
    chosen = ("teacher features", "teacher logits", OURS, "no hints")
    result = run("claims", tmp_path, rows=chosen)
    frame = pd.read_csv(tmp_path / "claims-tiny-1" / "claims.csv")
    assert list(pd.unique(frame.row)) == list(chosen) and set(frame.seed) == {0, 1}
    for seed, scores in enumerate(result["runs"]):
        found = claims.by_seed(frame).loc["no hints", seed]
        assert found == pytest.approx(scores["no hints"]["seen"]["map_all"], rel=1e-5)
    verdicts = {claim["claim"]: claim["verdict"] for claim in result["claims"]}
    printed = capsys.readouterr().out
    assert all(verdict in printed for verdict in verdicts.values())
    assert set(verdicts) == {
        "better than teacher features", "better than the teachers' logits", "hints matter",
    }  # fmt: skip
