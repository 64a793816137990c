"""ToyBox: the pictures are the same everywhere, differ where they should, and show something."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dfsbir_lite import toybox
from dfsbir_lite.toybox import CLASSES, MODALITIES, SHAPES, SPLITS, draw, render
from dfsbir_lite.toybox.geometry import Dice

HERE = Path(__file__).parent
EVERY = list(product(MODALITIES, CLASSES))


def sheet() -> np.ndarray:
    """Draw every class as a photo, and below it as a sketch: (64, 512, 3)."""
    rows = [np.concatenate([draw(m, name, 7) for name in CLASSES], axis=1) for m in MODALITIES]
    return np.concatenate(rows)


def test_pictures_are_those_of_every_version_before():
    """Shipped weights and stored scores hold for these pictures; other versions of cv2 may round.

    After a change on purpose: Image.fromarray(sheet()).save("tests/toybox.png")
    """
    stored = np.asarray(Image.open(HERE / "toybox.png")).astype(int)
    difference = np.abs(sheet() - stored)
    assert difference.mean() < 0.05


def test_index_seed_split_class_and_modality_each_give_another_picture():
    every = product(MODALITIES, ("mug", "bus"), SPLITS, (0, 1), range(4))
    pictures = [draw(m, name, i, split=split, seed=seed) for m, name, split, seed, i in every]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_photo_and_sketch_of_one_index_are_not_a_pair(monkeypatch):
    """The two roll different dice, so even the bare shapes differ."""
    outlines = []

    def keep(parts, *_):
        outlines.append(np.concatenate([part.points.ravel() for part in parts]))
        return np.zeros((32, 32, 3), np.uint8)

    monkeypatch.setattr(toybox, "photograph", keep)
    monkeypatch.setattr(toybox, "scribble", keep)
    for modality in MODALITIES:
        draw(modality, "car")
    assert not np.array_equal(*outlines)


@pytest.mark.parametrize("modality", MODALITIES)
def test_image_i_depends_neither_on_the_count_nor_on_other_classes(modality):
    few, _ = render(modality, "val", classes=("fish",), per_class=3)
    many, labels = render(modality, "val", classes=("car", "fish"), per_class=5)
    assert np.array_equal(few, many[labels == 1][:3])
    assert np.array_equal(many[6], draw(modality, "fish", 1, split="val").transpose(2, 0, 1))


def test_jobs_and_workers_change_nothing(monkeypatch):
    whole, labels = render("sketch", "val", classes=("key", "boat"), per_class=5)
    monkeypatch.setattr(toybox, "_CHUNK", 2)
    monkeypatch.setattr(toybox, "_SMALL_JOB", 0)
    threads = cv2.getNumThreads()
    shared, same = render("sketch", "val", classes=("key", "boat"), per_class=5)
    assert np.array_equal(whole, shared) and np.array_equal(labels, same)
    assert cv2.getNumThreads() == threads


def test_labels_index_into_the_classes_asked_for():
    images, labels = render("sketch", "train", classes=("bus", "mug", "tree"), per_class=2)
    assert images.shape == (6, 3, 32, 32) and images.dtype == np.uint8
    assert images.flags.c_contiguous  # as networks were trained
    assert labels.dtype == np.int64 and labels.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("modality, name", EVERY)
def test_sizes_show_the_same_picture(modality, name):
    shrunk = cv2.resize(draw(modality, name, 1, size=64), (32, 32), interpolation=cv2.INTER_AREA)

    def likeness(index: int) -> float:
        pair = (shrunk.mean(2).ravel(), draw(modality, name, index).mean(2).ravel())
        return np.corrcoef(*pair)[0, 1]

    assert likeness(1) > 0.9 and likeness(1) > likeness(2) + 0.1


@pytest.mark.parametrize("size", [8, 33, 224])
def test_odd_and_extreme_sizes(size):
    for modality in MODALITIES:
        assert draw(modality, "umbrella", size=size).shape == (size, size, 3)


def test_sketches_are_dark_lines_on_white_grey_paper_and_photos_are_in_colour():
    sketches, photos = (render(m, "train", classes=CLASSES, per_class=4)[0] for m in
                        ("sketch", "photo"))  # fmt: skip
    assert (np.ptp(sketches, axis=1) == 0).all()
    assert (sketches[:, 0] > 225).mean(axis=(1, 2)).min() > 0.5
    assert sketches.min(axis=(1, 2, 3)).max() < 180
    assert (np.ptp(photos, axis=1).max(axis=(1, 2)) > 10).all()
    assert photos.std(axis=(1, 2, 3)).min() > 12


@pytest.mark.parametrize("name", CLASSES)
def test_every_variant_of_a_shape_is_well_formed(name):
    for index in range(60):
        parts = SHAPES[name](Dice(1, index))
        assert any(part.detail == 0 for part in parts)
        for part in parts:
            assert part.points.ndim == 2 and part.points.shape[1] == 2 and len(part.points) > 1
            assert np.isfinite(part.points).all() and np.abs(part.points).max() < 1.5


@pytest.mark.parametrize(
    "wrong, reason",
    [
        ({"modality": "painting"}, "'painting'.*photo, sketch"),
        ({"split": "valid"}, "'valid'.*train, val, test"),
        ({"name": "zebra"}, "'zebra'.*mug.*lighthouse"),
    ],
)
def test_bad_arguments_are_named_in_one_line(wrong, reason):
    good = {"modality": "photo", "name": "mug"} | wrong
    with pytest.raises(ValueError, match=f"^.*({reason}).*$"):
        draw(**good)
    with pytest.raises(ValueError, match=f"^.*({reason}).*$"):
        render(classes=(good.pop("name"),), per_class=1, **{"split": "train", **good})


def test_toybox_needs_no_torch():
    code = (
        "import sys; from dfsbir_lite.toybox import draw; draw('photo', 'mug');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE.parent)
