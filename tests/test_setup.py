"""`make lab` and the first cell of the course say what is missing, with a remedy."""

import sys

import pytest

from dfsbir_lite import runtime
from dfsbir_lite.runtime import check_setup


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DFSBIR_CACHE", str(tmp_path / "cache"))


def test_all_is_well_here(capsys):
    check_setup()
    assert capsys.readouterr().out == "Everything is in place.\n"


def test_a_missing_package(monkeypatch, capsys):
    monkeypatch.setattr(runtime, "find_spec", lambda name: name != "umap")
    check_setup()
    remedy = f"run: {sys.executable} -m pip install -e ."
    assert capsys.readouterr().out == f"umap is missing; {remedy}\n"


def test_a_cache_that_cannot_be_written_to(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DFSBIR_CACHE", str(tmp_path / "file" / "cache"))
    check_setup()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{tmp_path}/file/cache cannot be written to")
    assert line.endswith("set DFSBIR_CACHE to another")
