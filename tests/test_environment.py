"""Machines as people have them: nothing can be written, no home, a legacy code page."""

import io
import os
import sys
from pathlib import Path

import numba
import pytest
import torch

from dfsbir_lite import __main__, pipeline
from dfsbir_lite.lessons import projections
from dfsbir_lite.runtime import UserError, cache_folder, need_writable


def test_umap_gets_a_cache_where_it_finds_no_place_for_one(tmp_path, monkeypatch):
    code = "from numba.core import config\nif not config.CACHE_DIR: raise RuntimeError\n"
    code += "class UMAP:\n    def fit_transform(self, rows): return rows\n"
    (tmp_path / "umap.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "umap", raising=False)
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", "")
    assert projections._fit("UMAP", [3.0], {}) == [3.0]
    assert Path(numba.core.config.CACHE_DIR).is_dir()
    del sys.modules["umap"]


def test_a_user_without_a_home(monkeypatch):
    monkeypatch.delenv("DFSBIR_CACHE", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(UserError, match="no home folder: set DFSBIR_CACHE"):
        cache_folder()
    monkeypatch.setenv("DFSBIR_CACHE", "here")
    assert cache_folder() == Path("here")


def test_a_folder_that_cannot_be_written_to_is_said_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    need_writable(Path("new/folder"))
    assert not Path("new").exists()
    Path("file").touch()
    with pytest.raises(UserError, match="file/out cannot be written to"):
        need_writable(Path("file/out"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(pipeline, "open_benchmark", None)
    assert __main__.main(["run"]) == 2
    assert capsys.readouterr() == ("", "error: runs cannot be written to\n")


@pytest.fixture
def legacy(monkeypatch):
    """`legacy(name)`: stdout and stderr in that encoding; `legacy.read()` returns their bytes."""
    files = io.BytesIO(), io.BytesIO()

    def output(encoding):
        for name, file in zip(("stdout", "stderr"), files):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(file, encoding, write_through=True))

    output.read = lambda: [file.getvalue() for file in files]
    return output


@pytest.mark.parametrize(
    "encoding, café", [("ascii", rb"caf\xe9"), ("cp1252", b"caf\xe9"), ("utf-8", b"caf\xc3\xa9")]
)
def test_the_command_line_prints_any_name(legacy, monkeypatch, tmp_path, encoding, café):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    monkeypatch.setenv("DFSBIR_CACHE", "file/café-橋-\udce9")  # the last: no UTF-8 on the disk
    legacy(encoding)
    assert __main__.main(["check"]) == 0
    assert __main__.main(["run", "--profile", "laptop", "--out", "file/café-橋"]) == 2
    bridge = "橋".encode() if encoding == "utf-8" else rb"\u6a4b"
    out, err = legacy.read()
    assert out.startswith(b"file/" + café + b"-" + bridge + rb"-\udce9 cannot be written to")
    assert err == b"error: file/" + café + b"-" + bridge + b" cannot be written to\n"


def test_teachers_with_their_classes_in_another_order_are_near_chance(make_teacher):
    """Labels are what the photo teacher says; the sketch teacher names everything one further."""
    names = tuple("abcdef")
    photo, images = make_teacher(names), torch.randint(256, (80, 3, 16, 16), dtype=torch.uint8)
    labels = photo(images.float() / 255).logits.argmax(1)
    pair = tuple(pipeline.ImageSet(images, labels, names, m) for m in ("photo", "sketch"))
    turned = pipeline.Teacher(photo.network, (*names[1:], names[0]), 16)
    teachers = pipeline.Teachers(photo, turned.only(names), make_teacher(("photo", "sketch")))
    benchmark = pipeline.Benchmark("", None, pair, None)
    right, wrong, warning = pipeline.verdicts(benchmark, teachers).splitlines()
    assert right == "photo teacher: right on 100% of test pictures, chance 17%"
    assert wrong == "sketch teacher: right on 0% of test pictures, chance 17%"
    assert warning.startswith("warning: near chance") and "the sketch teacher's" in warning
