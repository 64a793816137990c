"""The quality bench, on networks so small that a whole one takes seconds."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from dfsbir_lite import pipeline
from dfsbir_lite.data import ImageSet
from dfsbir_lite.recipes import recipe
from dfsbir_lite.study import bench, claims
from dfsbir_lite.study import rows as experiments
from dfsbir_lite.study.rows import ABLATIONS, CHANGES, OVERLAP, RIVALS, ROWS

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
    monkeypatch.setattr(pipeline, "get_teacher", lambda *a, **k: teachers.photo)  # the unified one
    monkeypatch.setattr(experiments, "recipe", lambda name, **changes: tiny_recipe(**changes))
    fast = partial(experiments.metadata, batches=1, steps=2)
    monkeypatch.setattr(experiments, "metadata", fast)


def test_samples_are_judged_by_their_teachers_and_from_outside(
    monkeypatch, teachers, tiny, tmp_path, capsys
):
    monkeypatch.setattr(bench.zoo, "load_teachers", lambda *given: teachers)
    monkeypatch.setattr(bench, "load_or_train", lambda *given: teachers.sketch)
    result = bench.samples(tiny, options(tmp_path))
    assert len(result["runs"]) == 2 * len(bench.ESTIMATORS)
    for run in result["runs"]:
        # here the one from outside is the sketch teacher itself
        assert run["sketch, seen_by_unified_teacher"] == run["sketch, seen_by_teacher"]
        own, outside = run["photo, seen_by_teacher"], run["photo, seen_by_unified_teacher"]
        assert 0 < own < 1 and own != outside
    assert "one scene" in capsys.readouterr().out
    monkeypatch.setattr(bench, "synthesize", None)  # what is there is not made again
    assert bench.samples(tiny, options(tmp_path)) == result


def options(folder, **changes):
    given = {"out": folder, "steps": 2, "seeds": 2, "first_seed": 0, "device": "cpu", "rows": ()}
    given["workers"] = 1
    given |= {"photos": None, "sketches": None}
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


def test_rows_can_be_made_one_by_one_and_seed_by_seed(small, tiny, tmp_path):
    ours, real = "data-free student", "real-data student"
    first = bench.quality(tiny, options(tmp_path, seeds=1, steps=1, rows=(ours, real)))
    (rows,) = bench.quality(tiny, options(tmp_path, seeds=1, first_seed=1, steps=1, rows=(real,)))[
        "runs"
    ]
    assert list(rows) == [real]
    both = bench.quality(tiny, options(tmp_path, seeds=2, steps=1, rows=(real,)))
    assert both["runs"] == [{real: first["runs"][0][real]}, rows] and "ratios" not in both


PAPERS = {
    "teacher features", "uni-modal distillation", "Gaussian prior", "averaged weights", "meta-data",
    "alternative data",
}  # fmt: skip


def test_quality_has_the_papers_six_baselines(small, tiny, tmp_path):
    (rows,) = bench.quality(tiny, options(tmp_path, seeds=1, steps=1))["runs"]
    assert rows.keys() >= PAPERS
    learnt = PAPERS - {"teacher features", "averaged weights"}
    assert all(len(rows[name]["course"]) > 0 for name in learnt)


def test_claims_judges_rows_and_writes_them_as_a_tidy_table(small, tiny, tmp_path, capsys):
    rows = ("teacher features", "teacher logits", "data-free student", "no replay")
    result = bench.all_claims(tiny, options(tmp_path, seeds=2, steps=1, rows=rows))
    frame = pd.read_csv(tmp_path / "claims-tiny-1" / "claims.csv")
    assert list(pd.unique(frame.row)) == list(rows) and set(frame.seed) == {0, 1}
    for seed, scores in enumerate(result["runs"]):
        got = claims.by_seed(frame).loc["no replay", seed]
        assert got == pytest.approx(scores["no replay"]["seen"]["map_all"], rel=1e-5)
    told = capsys.readouterr().out
    judged = {claim["claim"]: claim["verdict"] for claim in result["claims"]}
    assert set(judged) == {
        "better than teacher features", "better than the teachers' logits", "replay matters",
    }  # fmt: skip
    assert all(verdict in told for verdict in judged.values())


def test_all_claims_can_be_judged_on_the_rows_that_are_made_without_a_choice(monkeypatch):
    monkeypatch.setattr(bench, "imagenet_weights", lambda: Path("no such file"))
    made = bench._available([*RIVALS, *ABLATIONS, *OVERLAP])
    assert bench.BACKBONE in ROWS and bench.BACKBONE not in made
    for claim in claims.CLAIMS:
        others = (claim.other,) if isinstance(claim.other, str) else claim.other
        assert {claim.ours, *others} <= set(made), claim.text


@pytest.mark.parametrize("changes", CHANGES.values())
def test_an_ablation_changes_what_was_in_the_recipe(changes):
    kit = recipe("kit")
    settings = {**asdict(kit), **asdict(kit.weights)}
    assert any(settings[name] != value for name, value in changes.items())
    recipe("kit", **changes)


def test_a_start_from_the_teachers_learns_at_a_tenth_of_the_rate():
    settings = recipe("kit")
    assert pipeline.suited(settings, "scratch") is settings
    slow = pipeline.suited(settings, "teachers")
    assert slow.encoder_lr == pytest.approx(settings.encoder_lr / 10)
    assert slow.weights == settings.weights
