"""The audit finds what touches real images, names it, and finds nothing where there is nothing."""

import gc
import inspect
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from dfsbir_lite import data, toybox
from dfsbir_lite.lessons import audit
from dfsbir_lite.pipeline import Benchmark, RealDataStudent
from dfsbir_lite.retrieval import evaluate
from dfsbir_lite.students import distill, new_encoders
from dfsbir_lite.study import baselines
from dfsbir_lite.study.baselines import FedStudent
from dfsbir_lite.teachers import load_teacher, save_teacher

CLASSES = ("ant", "bee", "cat")
HERE = __name__


@pytest.fixture
def sets():
    """Photos and sketches that were in memory before any watch."""
    pixels = torch.randint(256, (6, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    labels = torch.arange(6) % 3
    return [data.ImageSet(pixels, labels, CLASSES, m) for m in ("photo", "sketch")]


def told(seen) -> list[tuple]:
    """What a watch has seen, without line numbers."""
    return [(t.kind, t.how, t.what, t.count, t.by, t.times) for t in seen.images]


def looks(images):
    return images.images.sum()


def test_distillation_is_clean(teachers, tiny, tiny_recipe):
    with audit.watch() as seen:
        loop = distill(teachers, tiny_recipe(), new_encoders(tiny, 3), steps=2, width=8)
        steps = list(loop)
    assert len(steps) == 2 and seen.clean and not seen.images and not seen.weights
    assert str(seen) == repr(seen) == (
        "files of images opened: none\n"
        "sets of real images made or read: none\n"
        "weights read: none"
    )  # fmt: skip


def test_the_real_data_student_is_named_with_its_modalities(sets, tiny, tiny_recipe):
    with audit.watch() as seen:
        list(RealDataStudent(*sets, tiny_recipe(), new_encoders(tiny, 3), steps=2))
    by = "baselines.RealDataStudent._batch"
    assert not seen.clean
    assert told(seen) == [("set", "read", m, 6, by, 2) for m in ("photo", "sketch")]
    source = inspect.getsourcelines(RealDataStudent._batch)
    assert source[1] < seen.images[0].line < source[1] + len(source[0])
    assert str(seen).splitlines()[1:3] == [
        "sets of real images made or read: 2",
        f"  6 photos, read by {by}, 2 times",
    ]


def test_the_line_is_the_one_that_reads(sets):
    with audit.watch() as seen:
        looks(sets[0])
    assert seen.images[0].line == looks.__code__.co_firstlineno + 1


def test_evaluation_is_not_clean(teachers, sets):
    def readout(images, modality):
        return getattr(teachers, modality)(images).features

    expected = [("set", "read", m, 6, "baselines.evaluate", 1) for m in ("photo", "sketch")]
    with audit.watch() as seen:
        evaluate(readout, *sets)
    assert told(seen) == expected
    benchmark = Benchmark("test", None, tuple(sets), None)
    with audit.watch() as seen:
        benchmark.scores(readout)
    assert told(seen) == expected


def test_files_of_a_folder_are_named(tmp_path, write_folders):
    photos, _ = write_folders(tmp_path)
    with audit.watch() as seen:
        made = data.folder_set(photos / "test", 16, "photo")
    files = [("image", "opened", f"{n}.png", 1, "data.open_image", 1) for n in range(4)]
    # three classes have files of the same names: each file counts
    expected = [file for file in files for _ in range(3)]
    assert told(seen) == [*expected, ("set", "made", "photo", 12, "data.folder_set", 1)]
    assert len(made) == 12 and not seen.clean
    assert str(tmp_path) not in str(seen) + repr(seen.images)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("a.png", "image"), ("B.JPEG", "image"), ("rows.npy", "array"), ("q.ndjson", "array"),
        ("all.zip", "archive"), ("all.tar.gz", "archive"), ("net.pth", "weights"),
    ],
)  # fmt: skip
def test_files_have_kinds_by_their_names(name, kind, tmp_path):
    path = tmp_path / name
    with audit.watch() as seen:
        path.write_bytes(b"")
        assert seen.clean and not seen.weights  # written, not read
        path.read_bytes()
    touches = seen.weights if kind == "weights" else seen.images
    by = f"{HERE}.test_files_have_kinds_by_their_names"
    assert [(t.kind, t.what, t.by, t.times) for t in touches] == [(kind, name, by, 1)]
    assert seen.clean == (kind == "weights")


def test_other_files_do_not_count(tmp_path):
    (tmp_path / "notes.txt").write_text("png")
    with audit.watch() as seen:
        (tmp_path / "notes.txt").read_text()
        np.save(tmp_path / "made.npy", np.zeros(3))
        Image.new("RGB", (4, 4)).save(tmp_path / "made.png", optimize=True)
    assert seen.clean  # written, though Pillow's way of opening would let it read
    with audit.watch() as seen, (tmp_path / "made.npy").open("r+b"):
        pass
    assert [t.what for t in seen.images] == ["made.npy"]


def test_archives_that_python_looks_for_modules_in_do_not_count(tmp_path, monkeypatch):
    path = tmp_path / "modules.zip"
    path.write_bytes(b"")
    with audit.watch() as seen:
        path.read_bytes()
        monkeypatch.setattr(sys, "path", [*sys.path, str(path)])
        path.read_bytes()
    assert [t.times for t in seen.images] == [1]


def test_alternative_data_is_not_clean(teachers, tiny, tiny_recipe):
    start = new_encoders(tiny, 3)
    baselines.alternative(2, 16, torch.Generator())  # from here on its photographs are in memory
    with audit.watch() as seen:
        list(FedStudent(baselines.alternative, teachers, tiny_recipe(), start, steps=2))
    expected = [("set", "read", m, 8, "sources.alternative", 2) for m in ("photo", "sketch")]
    assert told(seen) == expected
    with audit.watch() as seen:
        list(FedStudent(baselines.textures, teachers, tiny_recipe(), start, steps=2))
    assert seen.clean


def test_teachers_are_weights_alone(teachers, tmp_path):
    names = ("photo", "sketch")
    for name in names:
        save_teacher(tmp_path / f"{name}.safetensors", getattr(teachers, name), {})
    with audit.watch() as seen:
        for name in names:
            load_teacher(tmp_path / f"{name}.safetensors")
    assert seen.clean and [t.what for t in seen.weights] == [f"{n}.safetensors" for n in names]
    assert str(seen).splitlines()[2] == "weights read: 2 (photo.safetensors, sketch.safetensors)"


@pytest.mark.parametrize("workers", [1, 2])
def test_toybox_is_drawn_for_its_caller_once(workers):
    with audit.watch() as seen:
        toybox.render("sketch", "val", per_class=2, size=16, workers=workers)
        toybox.draw("photo", "mug", size=16)
    by = f"{HERE}.test_toybox_is_drawn_for_its_caller_once"
    sets = [t for t in told(seen) if t[0] == "set"]
    assert sets == [("set", "drawn", "photo", 1, by, 1), ("set", "drawn", "sketch", 24, by, 1)]


def test_toybox_sets_are_drawn_and_made(tiny):
    with audit.watch() as seen:
        data.toybox_set("photo", "val", tiny)
        data.toybox_picture(0, "photo", "val", toybox.SEEN, 3)
    assert told(seen) == [
        ("set", "drawn", "photo", 1, "data.toybox_picture", 1),
        ("set", "drawn", "photo", 36, "data.toybox_set", 1),
        ("set", "made", "photo", 36, "data.toybox_set", 1),
    ]


def test_a_set_from_before_is_found_when_it_is_used(sets):
    photos, sketches = sets
    with audit.watch() as seen:
        assert len(photos) == 6 and photos.labels.sum() == 6 and photos.classes == CLASSES
        assert seen.clean  # nobody has looked at an image
        looks(photos)
        looks(photos)
        data.together(photos, sketches)
        sketches.only(("bee", "ant"))
    assert told(seen) == [
        ("set", "made", "both", 12, "data.together", 1),
        ("set", "made", "sketch", 4, "data.ImageSet.only", 1),
        ("set", "read", "photo", 6, "data.together", 1),
        ("set", "read", "photo", 6, f"{HERE}.looks", 2),
        ("set", "read", "sketch", 6, "data.ImageSet.only", 1),
        ("set", "read", "sketch", 6, "data.together", 1),
    ]
    assert "12 photos and sketches, made by data.together" in str(seen)


def test_sets_are_what_they_were_during_a_watch_and_after(sets):
    pixels = sets[0].images
    with audit.watch():
        assert sets[0].images is pixels
        made = data.ImageSet(pixels, sets[0].labels, CLASSES, "photo")
        with pytest.raises(AttributeError):
            made.images = pixels
    assert made.images is pixels and vars(made).keys() == vars(sets[0]).keys()
    assert "images" not in vars(data.ImageSet)  # reading costs what it did


def test_after_the_watch_nothing_is_recorded(sets, tmp_path):
    (tmp_path / "a.npy").write_bytes(b"")
    with audit.watch() as seen:
        looks(sets[0])
    before = str(seen)
    looks(sets[1])
    toybox.draw("photo", "mug", size=16)
    (tmp_path / "a.npy").read_bytes()
    assert str(seen) == before and len(seen.images) == 1


def test_each_watch_sees_its_own(sets):
    with audit.watch() as first:
        looks(sets[0])
    with audit.watch() as outer:
        with audit.watch() as inner:
            looks(sets[1])
        toybox.draw("photo", "mug", size=16)
    assert [t.what for t in first.images] == ["photo"]
    assert [t.how for t in inner.images] == ["read"]
    assert [t.how for t in outer.images] == ["drawn", "read"]


def test_an_exception_passes_and_ends_the_watch(sets):
    with pytest.raises(ZeroDivisionError), audit.watch() as seen:
        looks(sets[0])
        raise ZeroDivisionError
    looks(sets[1])
    assert [t.what for t in seen.images] == ["photo"]


def test_threads_are_seen(sets):
    barrier = threading.Barrier(4)

    def use(_):
        barrier.wait(10)
        for _ in range(50):
            looks(sets[0])

    with audit.watch() as seen, ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert told(seen) == [("set", "read", "photo", 6, f"{HERE}.looks", 200)]


def test_a_report_keeps_no_images_alive():
    pixels = torch.zeros(2, 3, 16, 16).byte()
    with audit.watch() as seen:
        made = data.ImageSet(pixels, torch.arange(2), CLASSES, "photo")
        looks(made)
    gone = weakref.ref(pixels)
    del made, pixels
    gc.collect()
    assert gone() is None and len(seen.images) == 2


def test_a_long_list_is_cut(tmp_path):
    with audit.watch() as seen:
        for n in range(audit.LINES + 3):
            path = tmp_path / f"{n:02}.npy"
            path.write_bytes(b"")
            path.read_bytes()
    lines = str(seen).splitlines()
    assert lines[0] == f"files of images opened: {audit.LINES + 3}"
    assert lines[1].startswith("  00.npy, opened by ") and lines[audit.LINES + 1] == "  and 3 more"


def test_odd_openings_pass(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    with audit.watch() as seen:
        with path.open("rb") as file, open(file.fileno(), "rb", closefd=False) as again:
            assert again.read() == b"x"
        with open(bytes(path), "rb") as file:
            assert file.read() == b"x"
        with pytest.raises(FileNotFoundError):
            (tmp_path / "none.png").read_bytes()
    assert [t.what for t in seen.images] == ["a.png", "a.png", "none.png"]


CELL = """
from dfsbir_lite.lessons import audit
from dfsbir_lite import toybox
with audit.watch() as seen:
    toybox.draw("photo", "mug")
    def mine(): return toybox.draw("sketch", "mug")
    mine()
print(seen)
print([touch.line for touch in seen.images])
"""


def test_code_of_a_script_or_a_cell_is_your_own():
    done = subprocess.run([sys.executable, "-c", CELL], capture_output=True, text=True, timeout=300)
    lines = done.stdout.splitlines()
    assert (
        done.stderr == ""
        and lines[-1] == "[4, 5]"
        and lines[1:4]
        == [
            "sets of real images made or read: 2",
            "  1 photo, drawn by your own code, once",
            "  1 sketch, drawn by mine, once",
        ]
    )
