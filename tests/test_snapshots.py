"""Snapshots of a training are what the encoders said, and survive a kill."""

import pytest
import torch

from dfsbir_lite import retrieval, zoo
from dfsbir_lite.data import ImageSet
from dfsbir_lite.lessons.snapshots import (
    load_snapshots,
    moments,
    recorder,
    snapshot_pictures,
    student_snapshots,
)
from dfsbir_lite.runtime import profile
from dfsbir_lite.students import new_encoders


@pytest.fixture
def pictures():
    """Three photos and three sketches of noise."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 3, 16, 16), generator=draw, dtype=torch.uint8)
    classes = ("ant", "bee", "cat")
    return {
        m: ImageSet(part, torch.arange(3), classes, m)
        for m, part in zip(("photo", "sketch"), images, strict=True)
    }


@pytest.fixture
def record(pictures, tiny, tmp_path):
    """`record(name, index, ...)`: look at encoders at these iterations, with the index as seed."""

    def look(name, *indices):
        watch = recorder(tmp_path / name, pictures, 4)
        for index in indices:
            watch(index, new_encoders(tiny, 3, seed=index).eval())
        return load_snapshots(tmp_path / name)

    return look


def test_moments_are_dense_at_first_and_hold_both_ends():
    assert moments(100, 5) == [0, 6, 25, 56, 100]  # 100 × (n / 4)²
    assert moments(4) == [0, 1, 2, 3, 4]


def test_snapshots_are_what_the_encoders_say(record, pictures, tiny):
    seen = record("run.safetensors", 0, 4)
    assert seen.steps.tolist() == [0, 4]
    assert seen.photo.shape == seen.sketch.shape == (2, 3, 3)
    for moment, seed in enumerate((0, 4)):
        network = new_encoders(tiny, 3, seed=seed).eval()
        for modality, rows in zip(pictures, seen.embeddings(moment), strict=True):
            images = pictures[modality].images.float() / 255
            with torch.no_grad():
                assert torch.allclose(rows, network.embed(images, modality), atol=5e-3)


def test_a_training_that_was_killed_and_resumed_leaves_the_same_snapshots(record, tmp_path):
    record("whole.safetensors", 0, 1, 2, 3, 4)
    record("parts.safetensors", 0, 1, 2, 3)  # killed; the last saved state was of iteration 1
    assert record("parts.safetensors", 2, 3, 4).steps.tolist() == [0, 1, 2, 3, 4]
    parts, whole = (tmp_path / f"{name}.safetensors" for name in ("parts", "whole"))
    assert parts.read_bytes() == whole.read_bytes()


def test_another_training_begins_new_snapshots(record):
    record("run.safetensors", 0, 1, 2)
    assert record("run.safetensors", 0).steps.tolist() == [0]


def test_the_shipped_snapshots_end_at_the_shipped_student():
    seen, student = student_snapshots("laptop"), zoo.load_or_train("student")
    pictures = snapshot_pictures(profile("laptop"))
    for modality, rows in zip(pictures, seen.embeddings(-1), strict=True):
        ours = retrieval.embed(student.embed, pictures[modality].images, modality)
        assert (rows - ours).norm(dim=1).mean() < 0.02
