"""The zoo: networks by name, shipped, cached or trained now."""

import pytest
import torch

from dfsbir_lite import pipeline, runtime, zoo
from dfsbir_lite.files import load_weights, read_card
from dfsbir_lite.retrieval import teacher_readouts
from dfsbir_lite.study.readouts import cost

SIZES = runtime.Profile(
    "tiny", 16, (8, 16), 8, 8, teacher_epochs=1, train_per_class=4, test_per_class=2
)


def test_a_card_holds_the_score_of_the_network_as_it_was_saved(tmp_path):
    path = tmp_path / "photo.safetensors"
    card = zoo.build("photo", SIZES, path)
    test = zoo.teacher_data("photo", SIZES, "test")
    assert card["test_accuracy"] == pipeline.accuracy(zoo.load_teacher(path), test)
    assert card == read_card(path) == load_weights(path)[1]
    assert card["seed"] == 0 and card["command"].endswith("train_teachers.py --profile tiny")


def test_a_cache_that_cannot_be_written_is_named_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "train_teacher", lambda *args, **options: 1 / 0)
    monkeypatch.setattr(zoo.os, "access", lambda folder, mode: False)
    with pytest.raises(runtime.UserError, match=f"{tmp_path}: cannot be written to; DFSBIR_CACHE"):
        zoo.build("photo", SIZES, tmp_path / "photo.safetensors")


def test_shipped_networks_need_no_folder_that_can_be_written(monkeypatch):
    monkeypatch.setattr(zoo, "cache_folder", lambda: 1 / 0)
    assert zoo.load_or_train("photo").classes == zoo.load_teachers().classes
    assert zoo.card("photo")["test_accuracy"] > 0.9


def test_the_small_student_costs_a_quarter_and_keeps_nine_tenths():
    card, encoders = zoo.card("small_student"), zoo.load_or_train("small_student")
    photo, teachers = torch.rand(1, 3, 32, 32), zoo.load_teachers()
    mine = cost(encoders.embed, [encoders], photo)
    theirs = cost(teacher_readouts(teachers)["teacher logits"], [teachers.photo], photo)
    assert mine["multiply_adds"] <= theirs["multiply_adds"] / 4
    assert card["seen"]["map_all"] >= 0.9 * 0.914  # the posteriors' score, in README
