"""Students from beginning to end: resumed, by the clock, and one that learns from real images."""

import json
import os
import signal
from functools import partial
from multiprocessing import get_context

import pytest
import torch
from torch.nn import functional as F

from dfsbir_lite import pipeline, runtime
from dfsbir_lite.data import ImageSet
from dfsbir_lite.files import save_state
from dfsbir_lite.pipeline import Benchmark, RealDataStudent, run_to_end
from dfsbir_lite.recipes import recipe
from dfsbir_lite.students import distill, new_encoders
from dfsbir_lite.teachers import Teachers, save_teacher

CLASSES = ("ant", "bee", "cat")


def noise_images() -> tuple[ImageSet, ImageSet]:
    """Nine photos and nine sketches of three classes."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (9, 3, 16, 16), dtype=torch.uint8, generator=draw)
    return tuple(ImageSet(images, torch.arange(9) % 3, CLASSES, m) for m in ("photo", "sketch"))


def same(one, other) -> bool:
    """Whether two networks have the same weights."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# --- the student of real data -----------------------------------------------------------------


def test_a_student_of_real_data_learns_from_labels(tiny, tiny_recipe, monkeypatch):
    labels = torch.arange(9) % 3
    images = (100 * labels).byte().view(9, 1, 1, 1).expand(-1, 3, 16, 16)  # a class is a grey
    sets = [ImageSet(images, labels, CLASSES, m) for m in ("photo", "sketch")]
    given = tiny_recipe(match=1.0, proxy=0.0, contrastive=0.0)
    loop, seen = RealDataStudent(*sets, given, new_encoders(tiny, 3), steps=2), []
    weights = loop.learner.recipe.weights
    assert (weights.match, weights.proxy, weights.contrastive) == (0, 1, 0.25)
    assert given.weights.match == 1  # whatever the recipe says, and the recipe stays
    monkeypatch.setattr(loop.learner, "step", lambda *args: seen.append(args))
    next(loop)
    for views, targets in zip(seen[0][:2], seen[0][2:]):
        shown = (views.mean((1, 2, 3)) * 2.55).round().long()
        torch.testing.assert_close(targets.softmax(1), F.one_hot(shown, 3).float())


def test_a_student_of_real_data_resumes_exactly(tiny, tiny_recipe, tmp_path):
    def begin():
        return RealDataStudent(
            *noise_images(), tiny_recipe(queue=4), new_encoders(tiny, 3), steps=4
        )

    whole, cut, resumed = begin(), begin(), begin()
    list(whole)
    next(cut), next(cut)
    cut.save(tmp_path / "state.pt")
    resumed.resume(tmp_path / "state.pt")
    assert resumed.index == 2 and resumed.done == 0.5
    assert len(list(resumed)) == 2 and same(resumed.encoders, whole.encoders)


def test_encoders_that_start_as_teachers_get_the_order_of_the_labels(make_teacher):
    names = ("top", "left", "right")
    guidance = make_teacher(("photo", "sketch"))
    teachers = Teachers(make_teacher(names, 1), make_teacher(names, 2), guidance)
    sorted_ones = pipeline.in_order(teachers, ("left", "right"))
    images = torch.rand(2, 3, 16, 16)
    expected = teachers.photo(images).logits[:, [1, 2]]
    torch.testing.assert_close(sorted_ones.photo(images).logits, expected)
    assert sorted_ones.classes == ("left", "right")


def test_a_teacher_that_was_not_trained_here_is_taken(make_teacher, tiny, tmp_path):
    save_teacher(tmp_path / "photo.safetensors", make_teacher(CLASSES), {"from": "somewhere"})
    taken = pipeline.get_teacher("photo", noise_images()[0], tiny, tmp_path)
    assert taken.classes == CLASSES and not list(tmp_path.glob("sketch*"))


# --- to the end -------------------------------------------------------------------------------


def begin(teachers, sizes, settings):
    return distill(teachers, settings, new_encoders(sizes, 3), steps=4, width=8)


def killed(state, *given):
    """A run that saves after each step, and is killed in its third, before it has saved that."""
    torch.set_num_threads(1)
    runtime.has_bfloat16 = lambda device: False  # as in the other process

    def kill(index, encoders):
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    run_to_end(begin(*given), state, save_every=0, watch=kill)


@pytest.mark.slow
def test_a_loop_that_was_killed_goes_on_from_its_file(teachers, tiny, tiny_recipe, tmp_path):
    given, seen, state = (teachers, tiny, tiny_recipe()), [], tmp_path / "state.pt"
    process = get_context("spawn").Process(target=killed, args=(state, *given))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    resumed = run_to_end(begin(*given), state, watch=lambda index, encoders: seen.append(index))
    assert seen == [2, 3, 4]  # two steps had been saved
    assert same(resumed, run_to_end(begin(*given), tmp_path / "whole.pt"))


class ByTheClock:
    """A loop that lasts for four steps, whatever the clock says; saves how many were done."""

    def __init__(self, teachers, recipe, encoders, *, seconds, **options):
        self.index, self.steps, self.seconds, self.encoders = 0, None, seconds, encoders

    @property
    def done(self):
        return self.index / 4

    def __iter__(self):
        while self.index < 4:
            self.index += 1
            yield self.encoders

    def save(self, path):
        save_state(path, {"index": self.index})

    def resume(self, path):
        self.index = 2


@pytest.fixture
def run_for_minutes(teachers, tiny, tiny_recipe, tmp_path, monkeypatch):
    """A run of two minutes that does not look at the clock; returns its scores."""
    benchmark = Benchmark("noise", noise_images(), noise_images(), None)
    monkeypatch.setattr(pipeline, "distill", ByTheClock)
    return partial(
        pipeline.run, benchmark, teachers, tiny, tiny_recipe(), tmp_path / "out", minutes=2
    )


def test_a_run_by_the_clock(run_for_minutes, monkeypatch, tmp_path):
    loops, learn = [], pipeline.run_to_end
    monkeypatch.setattr(
        pipeline, "run_to_end", lambda loop, *a, **k: loops.append(loop) or learn(loop, *a, **k)
    )
    rows = run_for_minutes()
    assert loops[0].seconds == 120 and loops[0].index == 4
    assert json.loads((tmp_path / "out/student.json").read_text())["steps"] == 4
    assert loops[1].steps == 4 * 2  # as many steps of real data: two for each iteration
    assert list(rows)[-2:] == ["data-free student", "real-data student"]
    assert run_for_minutes() == rows and len(loops) == 2


# --- the table --------------------------------------------------------------------------------


def test_the_table_begins_with_chance():
    seen, unseen = (
        {"map_all": m, "prec_200": 0.5, "chance": c} for m, c in ((0.9, 0.1), (0.4, 0.2))
    )
    rows = {
        "teacher logits": {"seen": seen, "unseen": unseen},
        "data-free student": {"seconds": 7.0, "seen": {**seen, "map_all": 0.8}, "unseen": unseen},
    }
    frame = pipeline.table(rows)
    assert list(frame.index) == ["chance", "teacher logits", "data-free student"]
    assert list(frame.columns) == [
        (p, m) for p in rows["teacher logits"] for m in ("map_all", "prec_200")
    ]
    assert frame["seen", "map_all"].tolist() == [0.1, 0.9, 0.8]
    assert frame["unseen", "prec_200"].tolist() == [0.2, 0.5, 0.5]
    del rows["teacher logits"]["unseen"], rows["data-free student"]["unseen"]
    assert set(pipeline.table(rows).columns.get_level_values(0)) == {"seen"}


def test_a_recipe_suits_its_start():
    kit = recipe("kit", hint=3, temperature=2.5, encoder_lr=1e-2)
    assert pipeline.suited(kit, "scratch") == kit
    begun = pipeline.suited(kit, "teachers")
    assert (begun.encoder_lr, begun.temperature) == (pytest.approx(1e-3), 1.0)
    small = pipeline.suited(kit, "squeezed")
    assert (small.weights.hint, small.temperature, kit.weights.hint) == (0.5, 1.0, 3)
    assert pipeline.suited(recipe("paper-proxies"), "squeezed").temperature is None
