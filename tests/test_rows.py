"""The rows that are compared, and `compare`: a score is made once, in whatever process."""

import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from dfsbir_lite import pipeline
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import UserError
from dfsbir_lite.study import rows
from dfsbir_lite.study.rows import (
    OURS,
    REAL,
    RIVALS,
    ROWS,
    Row,
    Setting,
    compare,
    split_classes,
)

CLASSES = tuple("abcdefghijkl")
TWO = ("teacher logits", "averaged weights")
SMALL = {"batch": 8, "noise_dim": 8}
TINY = {**SMALL, "estimator_steps": 1, "encoder_steps": 1}


@pytest.fixture
def setting(write_folders, tmp_path, tiny):
    """The setting of folders of three easy classes."""
    folders = map(str, write_folders(tmp_path))
    return rows.open_setting(tiny, 1, tmp_path / "out", *folders).changed(**TINY)


@pytest.mark.parametrize(("share", "common"), [(0.1, 1), (0.25, 3), (0.5, 6), (0.75, 9), (1, 12)])
def test_class_lists_share_what_they_should_and_cover_all(share, common):
    photo, sketch = split_classes(CLASSES, share, seed=3)
    assert len(set(photo) & set(sketch)) == common
    assert set(photo) | set(sketch) == set(CLASSES) and abs(len(photo) - len(sketch)) <= 1
    assert list(photo) == sorted(photo) and list(sketch) == sorted(sketch)
    assert (photo, sketch) == split_classes(CLASSES, share, seed=3)
    assert share == 1 or (photo, sketch) != split_classes(CLASSES, share, seed=2)


def test_a_unified_teacher_learns_photos_and_sketches(setting, monkeypatch):
    seen = []
    monkeypatch.setattr(pipeline, "get_teacher", lambda name, part, *a, **k: seen.append(part))
    monkeypatch.setattr(rows, "Teachers", lambda *three: three)
    photo, sketch, guidance = rows._unified(setting).teachers
    assert photo is sketch and guidance is setting.teachers.guidance
    images = torch.cat([part.images for part in setting.benchmark.train])
    assert torch.equal(seen[0].images, images) and seen[0].classes == setting.benchmark.classes


def test_partly_shared_teachers_know_their_own_lists_alone_and_each_seed_has_its_own(setting):
    first, again, other = (
        rows.partly_shared(0.34, replace(setting, seed=seed)).teachers for seed in (0, 0, 1)
    )
    for teacher, names in zip((first.photo, first.sketch), split_classes(first.classes, 0.34)):
        assert [c for c, known in zip(first.classes, teacher.taught) if known] == [*names]
    assert first.classes == setting.benchmark.classes and not first.photo.taught.all()
    assert torch.equal(first.photo.head.weight, again.photo.head.weight)
    assert not torch.equal(first.photo.head.weight, other.photo.head.weight)


def test_rivals_of_other_images_never_see_an_estimator(setting, monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("an estimator was made")

    fast = partial(rows.metadata, batches=1, batch=8, steps=1)
    monkeypatch.setattr(rows, "metadata", fast)
    monkeypatch.setattr("dfsbir_lite.synthesis.Estimator", refuse)
    for name in ("Gaussian prior", "meta-data", "alternative data", REAL):
        next(RIVALS[name].make(setting))
    with pytest.raises(AssertionError, match="an estimator was made"):
        RIVALS[OURS].make(setting)


def test_in_unimodal_distillation_nothing_ties_the_modalities_and_changes_add_up(setting):
    weights = ROWS[rows.UNIMODAL].make(setting.changed(match=2)).recipe.weights
    assert weights.align == weights.modal == weights.adv == 0
    assert weights.match == 2 and weights.contrastive == weights.proxy == 0


@pytest.mark.parametrize(("like", "width"), [(rows.UNIMODAL, 16), (OURS, 8)])
def test_a_row_says_how_it_is_read_whatever_its_name(setting, like, width, monkeypatch):
    seen = []

    class Benchmark:
        def scores(self, readout, device):
            seen.append(readout(torch.rand(2, 3, 16, 16), "photo").shape[1])
            return {"seen": {"map_all": 0.0}}

    row = Row("anything", Setting.distilled, ROWS[like].read)
    clock = iter([10.0, 12.34])
    monkeypatch.setattr(rows, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    scores = row.scores(replace(setting, benchmark=Benchmark()))
    assert seen == [width] and scores == {"seconds": 2.3, "seen": {"map_all": 0.0}}


@pytest.mark.parametrize("regime", rows.MAPPED)
@pytest.mark.parametrize("ingredient", rows.INGREDIENTS)
def test_a_toggled_row_differs_from_its_regime_in_that_ingredient_alone(
    setting, regime, ingredient
):
    name = rows.toggled(regime, ingredient)
    plain = recipe(regime).weights.snapshot()
    other = ROWS[name].make(replace(setting, changes=SMALL)).recipe.weights.snapshot()
    changed = {term for term in plain if plain[term] != other[term]}
    assert changed and changed <= {*rows.INGREDIENTS[ingredient]}
    pair = (regime, name) if any(plain[term] for term in changed) else (name, regime)
    assert rows.with_and_without(regime, ingredient) == pair


def test_every_row_has_its_own_name_and_can_be_named_on_the_command_line():
    assert all(row.name == name == name.strip() and "," not in name for name, row in ROWS.items())


@pytest.mark.slow
def test_scores_are_made_by_workers_and_kept(setting, monkeypatch):
    first = compare(setting, TWO, range(2), workers=2)
    assert json.loads((setting.folder / "seed1" / "scores.json").read_text()) == first[1]
    monkeypatch.setattr(rows, "_score", None)  # nothing can be made again
    again = compare(setting, TWO[::-1], range(2))
    assert again == [{row: scores[row] for row in TWO[::-1]} for scores in first]


def test_a_row_has_its_seed_and_one_thread_and_threads_are_given_back(setting, monkeypatch):
    class Fake:
        def scores(self, setting):
            return {"seed": setting.seed, "threads": torch.get_num_threads()}

    monkeypatch.setitem(ROWS, "fake", Fake())
    torch.set_num_threads(2)
    try:
        found = compare(setting, ["fake"], [3, 5])
        assert found == [{"fake": {"seed": n, "threads": 1}} for n in (3, 5)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("stop", [FloatingPointError("adv is nan"), KeyboardInterrupt()])
def test_what_is_finished_is_kept_when_a_row_fails_or_is_interrupted(setting, monkeypatch, stop):
    def fail(setting):
        raise stop

    monkeypatch.setitem(ROWS, "bad", Row("bad", fail))
    expected = (
        (UserError, "row bad, seed 1: adv is nan") if stop.args else (KeyboardInterrupt, None)
    )
    with pytest.raises(expected[0], match=expected[1]):
        compare(setting, [TWO[0], "bad"], [1])
    assert list(json.loads((setting.folder / "seed1" / "scores.json").read_text())) == [TWO[0]]


def test_an_unknown_row_and_other_teachers_are_refused(setting):
    with pytest.raises(UserError, match="no row 'nothing': choose among teacher features"):
        compare(setting, ["nothing"], [0])
    compare(setting, TWO, [0])
    others = replace(setting.teachers, photo=setting.teachers.sketch)
    with pytest.raises(UserError, match="holds a run with another teachers"):
        compare(replace(setting, teachers=others), TWO, [0])
