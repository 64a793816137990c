"""The course of a training is what the encoders said, and survives a kill."""

import pytest
import torch

from dfsbir_lite import pipeline, retrieval, zoo
from dfsbir_lite.data import ImageSet
from dfsbir_lite.files import save_state
from dfsbir_lite.lessons.snapshots import load_course, moments, recorder
from dfsbir_lite.runtime import UserError, profile
from dfsbir_lite.students import distill, new_encoders


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
def train(teachers, tiny, tiny_recipe, pictures, tmp_path):
    """`train(name, stop)`: four iterations, cut off before one; leaves `name`'s course."""

    def run(name, stop=None):
        options = {"steps": 4, "width": tiny.estimator_width}
        loop = distill(teachers, tiny_recipe(), new_encoders(tiny, 3), **options)
        record = recorder(tmp_path / name, pictures, 4)

        def watch(index, encoders):
            if index == stop:
                raise RuntimeError("killed")
            record(index, encoders)

        state = tmp_path / f"{name}.state"
        return pipeline.run_to_end(loop, state, save_every=0, watch=watch)

    return run


def test_moments_are_dense_at_first_and_hold_both_ends():
    assert moments(100, 5) == [0, 6, 25, 56, 100]
    assert moments(4) == [0, 1, 2, 3, 4]


def test_a_course_is_what_the_encoders_say(train, tmp_path, pictures, tiny):
    encoders = train("course")
    course = load_course(tmp_path / "course")
    assert course.steps == [0, 1, 2, 3, 4]
    assert course.photo.shape == course.sketch.shape == (5, 3, 3)
    stages = ((0, new_encoders(tiny, 3).eval()), (4, encoders))
    for moment, network in stages:
        for modality, seen in zip(pictures, course.embeddings(moment), strict=True):
            images = pictures[modality].images.float() / 255
            with torch.no_grad():
                assert torch.allclose(seen, network.embed(images, modality), atol=5e-3)


def test_a_training_that_was_killed_leaves_the_same_course(train, tmp_path):
    train("whole")
    with pytest.raises(RuntimeError, match="killed"):
        train("parts", stop=3)
    assert load_course(tmp_path / "parts").steps == [0, 1, 2]
    train("parts")
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


def test_another_training_begins_a_new_course(train, tmp_path):
    train("course")
    (tmp_path / "course.state").unlink()
    with pytest.raises(RuntimeError, match="killed"):
        train("course", stop=1)
    assert load_course(tmp_path / "course").steps == [0]


def test_a_file_that_is_no_course_is_named(tmp_path):
    save_state(tmp_path / "other", {"index": 3})
    with pytest.raises(UserError, match="other"):
        load_course(tmp_path / "other")


COURSE = zoo.ASSETS / "laptop" / "course.safetensors"


@pytest.mark.skipif(not COURSE.is_file(), reason="no course ships: see `make weights`")
def test_the_shipped_course_ends_at_the_shipped_student():
    course, student = load_course(COURSE), zoo.load_or_train("student")
    pictures = zoo.course_pictures(profile("laptop"))
    for modality, seen in zip(pictures, course.embeddings(-1), strict=True):
        ours = retrieval.embed(student.embed, pictures[modality].images, modality)
        assert (seen - ours).norm(dim=1).mean() < 0.02
    assert COURSE.stat().st_size < 200_000
