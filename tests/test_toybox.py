"""ToyBox: the pictures are the same everywhere, differ where they should, and show something."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from dfsbir_lite import toybox
from dfsbir_lite.toybox import CLASSES, MODALITIES, SEEN, SPLITS, UNSEEN, draw, render, shapes
from dfsbir_lite.toybox.geometry import Dice

ROOT = Path(__file__).parents[1]
EVERY = list(product(MODALITIES, CLASSES))


def _grey(picture):
    return picture.astype(float).mean(axis=2)


def _correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_class_lists():
    assert (len(SEEN), len(UNSEEN), len(set(CLASSES))) == (12, 4, 16)
    assert CLASSES == SEEN + UNSEEN
    assert MODALITIES == ("photo", "sketch") and SPLITS == ("train", "val", "test")


@pytest.mark.parametrize("modality, name", EVERY)
def test_a_picture_is_rgb_bytes_and_always_the_same(modality, name):
    picture = draw(modality, name, 3, size=32, seed=5)
    assert picture.shape == (32, 32, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture, draw(modality, name, 3, size=32, seed=5))


def test_another_process_draws_the_same_picture():
    code = (
        "from dfsbir_lite.toybox import draw; import zlib;"
        "print(zlib.crc32(draw('photo', 'mug', 7).tobytes() + draw('sketch', 'mug', 7).tobytes()))"
    )
    first, second = (
        subprocess.check_output([sys.executable, "-c", code], cwd=ROOT) for _ in range(2)
    )
    assert first == second


def test_index_seed_split_class_and_modality_each_give_another_picture():
    pictures = [
        draw(modality, name, index, split=split, seed=seed)
        for modality, name, split, seed, index in product(
            MODALITIES, ("mug", "bus"), SPLITS, (0, 1), range(4)
        )
    ]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_photo_and_sketch_of_one_index_are_not_a_pair(monkeypatch):
    """The two roll different dice, so even the bare shapes differ."""
    shapes_drawn = []

    def keep(parts, *_):
        shapes_drawn.append(np.concatenate([part.points.ravel() for part in parts]))
        return np.zeros((32, 32, 3), np.uint8)

    monkeypatch.setattr(toybox, "photograph", keep)
    monkeypatch.setattr(toybox, "scribble", keep)
    for modality in MODALITIES:
        draw(modality, "car")
    assert not np.array_equal(*shapes_drawn)


def test_jobs_join_up(monkeypatch):
    whole, _ = render("sketch", "val", classes=("key", "boat"), per_class=5)
    monkeypatch.setattr(toybox, "_CHUNK", 2)
    pieces, _ = render("sketch", "val", classes=("key", "boat"), per_class=5)
    assert np.array_equal(whole, pieces)


@pytest.mark.parametrize("modality", MODALITIES)
def test_image_i_depends_neither_on_the_count_nor_on_other_classes(modality):
    few, _ = render(modality, "val", classes=("fish",), per_class=3)
    many, labels = render(modality, "val", classes=("car", "fish"), per_class=5)
    assert np.array_equal(few, many[labels == 1][:3])
    assert np.array_equal(many[6], draw(modality, "fish", 1, split="val").transpose(2, 0, 1))


@pytest.mark.parametrize("modality", MODALITIES)
def test_workers_change_nothing(modality):
    alone, labels = render(modality, "test", classes=SEEN[:3], per_class=4, workers=1)
    shared, same_labels = render(modality, "test", classes=SEEN[:3], per_class=4, workers=2)
    assert np.array_equal(alone, shared) and np.array_equal(labels, same_labels)


def test_rendering_leaves_the_callers_cv2_threads_alone():
    before = cv2.getNumThreads()
    render("photo", "train", classes=("key",), per_class=2, workers=1)
    render("photo", "train", classes=("key",), per_class=2, workers=2)
    assert cv2.getNumThreads() == before


def test_labels_index_into_the_classes_asked_for():
    images, labels = render("sketch", "train", classes=("bus", "mug", "tree"), per_class=2)
    assert images.shape == (6, 3, 32, 32) and images.dtype == np.uint8
    assert labels.dtype == np.int64 and labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_no_images_asked_for():
    images, labels = render("photo", "train", per_class=0)
    assert images.shape == (0, 3, 32, 32) and labels.shape == (0,)


@pytest.mark.parametrize("modality, name", EVERY)
@pytest.mark.parametrize("large", [64, 128])
def test_sizes_show_the_same_picture(modality, name, large):
    shrunk = cv2.resize(draw(modality, name, 1, size=large), (32, 32), interpolation=cv2.INTER_AREA)
    small = _grey(draw(modality, name, 1, size=32))
    other = _grey(draw(modality, name, 2, size=32))
    assert _correlation(_grey(shrunk), small) > 0.9
    assert _correlation(_grey(shrunk), small) > _correlation(_grey(shrunk), other) + 0.1


@pytest.mark.parametrize("size", [16, 33, 224])
def test_odd_and_extreme_sizes(size):
    for modality in MODALITIES:
        assert draw(modality, "umbrella", size=size).shape == (size, size, 3)


@pytest.mark.parametrize("name", CLASSES)
def test_sketches_are_dark_lines_on_white_grey_paper(name):
    images, _ = render("sketch", "train", classes=(name,), per_class=12, size=64)
    assert (images[:, 0] == images[:, 1]).all() and (images[:, 0] == images[:, 2]).all()
    paper = (images[:, 0] > 225).mean(axis=(1, 2))
    assert paper.min() > 0.6
    assert images.reshape(len(images), -1).min(axis=1).max() < 165
    ink = (images[:, 0] < 180).mean(axis=(1, 2))
    assert np.median(ink) > 0.02


@pytest.mark.parametrize("name", CLASSES)
def test_photos_are_in_colour_filled_and_lit(name):
    images = render("photo", "train", classes=(name,), per_class=12)[0].astype(float)
    colourful = np.abs(images[:, 0] - images[:, 2]).mean(axis=(1, 2))
    assert np.median(colourful) > 8
    assert images.std(axis=(1, 2, 3)).min() > 12
    assert (images.min(axis=1) > 225).mean(axis=(1, 2)).max() < 0.9
    assert np.median(images.mean(axis=(1, 2, 3))) > 60


@pytest.mark.parametrize("modality", MODALITIES)
def test_objects_stay_in_the_frame(modality):
    """Sketches keep off the border; a photo's object is what makes the middle differ."""
    images, _ = render(modality, "train", classes=CLASSES, per_class=6, size=32)
    if modality == "sketch":
        border = np.concatenate([images[:, 0, :1].ravel(), images[:, 0, :, :1].ravel()])
        assert (border < 150).mean() < 0.03
    contrast = images.mean(axis=1).std(axis=0)
    assert contrast[8:24, 8:24].mean() > 25


@pytest.mark.parametrize("name", CLASSES)
def test_every_variant_of_a_shape_is_well_formed(name):
    for index in range(60):
        parts = getattr(shapes, name)(Dice(1, index))
        assert any(part.detail == 0 for part in parts)
        for part in parts:
            assert part.points.ndim == 2 and part.points.shape[1] == 2 and len(part.points) > 1
            assert np.isfinite(part.points).all() and np.abs(part.points).max() < 1.5


def _bare_shape(name, *key):
    """Outlines of the necessary parts, upright and alone, as a blurred 24 px drawing."""
    canvas = np.full((24, 24), 0, np.uint8)
    for part in getattr(shapes, name)(Dice(*key)):
        if part.detail == 0:
            pixels = np.rint((part.points * 10 + 12) * 16).astype(np.int32)
            cv2.polylines(canvas, [pixels], not part.line, 255, 1, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(canvas, (0, 0), 1.5).astype(float)


def test_classes_differ_in_shape():
    """Nearest class mean of the bare outlines finds most classes; shuffled names would not."""
    means = np.stack([np.mean([_bare_shape(n, 0, i) for i in range(30)], 0) for n in CLASSES])
    right = 0
    for wanted, name in enumerate(CLASSES):
        for i in range(8):
            distance = ((means - _bare_shape(name, 1, i)) ** 2).sum(axis=(1, 2))
            right += distance.argmin() == wanted
    assert right / (8 * len(CLASSES)) > 0.75


def test_photos_and_sketches_are_easily_told_apart():
    photos, sketches = (render(m, "test", classes=CLASSES, per_class=8)[0] for m in MODALITIES)
    assert (np.ptp(sketches, axis=1) == 0).all()
    assert (np.ptp(photos, axis=1).max(axis=(1, 2)) > 10).all()


@pytest.mark.parametrize(
    "arguments, pieces",
    [
        (dict(modality="painting"), ["'painting'", "photo, sketch"]),
        (dict(split="valid"), ["'valid'", "train, val, test"]),
        (dict(name="zebra"), ["'zebra'", "mug", "lighthouse"]),
        (dict(size=8), ["8", "16"]),
    ],
)
def test_bad_arguments_are_named_in_one_line(arguments, pieces):
    good = dict(modality="photo", name="mug", split="train", size=32) | arguments
    modality, name, split, size = good.values()
    for call in (
        lambda: draw(modality, name, split=split, size=size),
        lambda: render(modality, split, classes=(name,), per_class=1, size=size),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        message = str(caught.value)
        assert "\n" not in message and all(piece in message for piece in pieces)


@pytest.mark.parametrize(
    "bad", [dict(per_class=-1), dict(workers=0), dict(seed=-1), dict(classes="mug")]
)
def test_other_bad_arguments(bad):
    with pytest.raises(ValueError, match=str(next(iter(bad.values())))):
        render("photo", "train", **({"per_class": 1} | bad))


def test_toybox_needs_no_torch():
    code = (
        "import sys; from dfsbir_lite.toybox import draw; draw('photo', 'mug');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
