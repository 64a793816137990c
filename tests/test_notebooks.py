"""The notebooks keep to the rhythm that the series promises, and carry outputs that are not old.

Whether the stored outputs are *right* is nbval's work (`make test`); nbval would pass a notebook
that was never run, and compares no pictures.
"""

import re
import statistics

import nbformat
import pytest
import run_notebooks

FOLDER = run_notebooks.ROOT / "notebooks"
NOTEBOOKS = sorted([*FOLDER.glob("*.ipynb"), *FOLDER.glob("solutions/*.ipynb")])

LONGEST_CELL = 15  # lines
MEDIAN_CELL = (2, 7)  # lines
LEAST_MARKDOWN = 0.45  # of all cells
MOST_UNCHECKED = 3  # cells whose output nbval does not compare
LARGEST_FILE = 1_000_000  # bytes

# A path that means something on one machine only.
ABSOLUTE_PATH = re.compile(r"(?<![\w.~-])/(?:home|tmp|work|root|Users)/|\b[A-Z]:\\Users")
UNCHECKED_TAGS = {"nbval-ignore-output", "nbval-skip"}
IMAGES = ("image/png", "image/jpeg")


def code_cells(notebook) -> list:
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def texts(output) -> list[str]:
    """Everything in an output that a reader sees as text."""
    data = output.get("data", {})
    return [output.get("text", "")] + [v for kind, v in data.items() if kind.startswith("text/")]


def faults(notebook) -> list[str]:
    """Every fault of a lesson or a solution."""
    cells = code_cells(notebook)
    outputs = [output for c in cells for output in c.outputs]
    lengths = [len(c.source.splitlines()) for c in cells]
    unchecked = sum(bool(UNCHECKED_TAGS & set(c.metadata.get("tags", []))) for c in cells)
    words = [c.source for c in notebook.cells] + [text for o in outputs for text in texts(o)]
    pictures = [(o, kind) for o in outputs for kind in IMAGES if kind in o.get("data", {})]
    found = {
        "a code cell is too long": max(lengths) > LONGEST_CELL,
        "code cells are too long or too short": not (
            MEDIAN_CELL[0] <= statistics.median_high(lengths) <= MEDIAN_CELL[1]
        ),
        "too little text": 1 - len(lengths) / len(notebook.cells) < LEAST_MARKDOWN,
        "not run top to bottom in a fresh kernel": (
            [c.execution_count for c in cells] != list(range(1, len(cells) + 1))
        ),
        "no stored output": not outputs,
        "a stored error": any(o.output_type == "error" for o in outputs),
        "a stored warning": any(o.get("name") == "stderr" for o in outputs),
        "too many cells are not compared": unchecked > MOST_UNCHECKED,
        "a comment that hides a cell from nbval": any("NBVAL_" in c.source for c in cells),
        "an absolute path": any(ABSOLUTE_PATH.search(text) for text in words),
        "a picture without a description": not all(
            o.metadata.get(kind, {}).get("alt") for o, kind in pictures
        ),
    }
    return [fault for fault, there in found.items() if there]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_a_notebook_can_be_read_and_compared(path):
    assert faults(nbformat.read(path, as_version=4)) == []
    assert path.stat().st_size < LARGEST_FILE


def changed(notebook, now: dict[str, str]) -> list[str]:
    """What was otherwise when the outputs were stored: the notebook's code, or files it read."""
    now = {"its own code": run_notebooks.of_cells(notebook), **now}
    then = notebook.metadata.get("made_from", {"any record of it": ""})
    return [name for name in then if then[name] != now.get(name)]


def test_no_stored_output_is_older_than_the_code_that_drew_it():
    now, old = run_notebooks.digests(), {}
    for path in NOTEBOOKS:
        if names := changed(nbformat.read(path, as_version=4), now):
            old[path.relative_to(FOLDER.parent).as_posix()] = names
    lines = [f"{path} is older than {', '.join(names)}" for path, names in old.items()]
    lines += [f"Run: python data_scripts/run_notebooks.py {' '.join(old)}"]
    if old:
        pytest.fail("\n".join(lines), pytrace=False)


@pytest.mark.slow  # starts a kernel
def test_a_run_records_what_its_outputs_were_made_from(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(run_notebooks.ROOT))
    cell, path = nbformat.v4.new_code_cell, tmp_path / "mug.ipynb"
    cells = [cell("from dfsbir_lite.strokes import EXAMPLES  # read"), cell("len(EXAMPLES['mug'])")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    run_notebooks.run(path)
    notebook, now = nbformat.read(path, as_version=4), run_notebooks.digests()
    assert [c.execution_count for c in notebook.cells] == [1, 2] and not changed(notebook, now)
    read, not_read = "dfsbir_lite/strokes.py", "dfsbir_lite/models.py"
    assert changed(notebook, now | {read: "new", not_read: "new"}) == [read]
    assert "dfsbir_lite/toybox/drawings.json" in notebook.metadata.made_from
    notebook.cells[0].source += ", a note"
    assert not changed(notebook, now)
    notebook.cells[1].source += " + 1"
    assert changed(notebook, now) == ["its own code"]


def test_what_code_says_to_readers_makes_no_difference():
    digest, code = run_notebooks.digest, "def f(x, *, y=[]):\n    return x + 1\n"
    assert digest(code) == digest(
        "def f(x, *, y=[]):\n  'It\\'s \"said\".'\n  return (x + 1)  # why"
    )
    assert digest(code) != digest(code.replace("1", "2")) != digest(code.replace("x", "z"))


def test_the_class_fits_into_its_time_and_on_its_slides():
    notebook = nbformat.read(FOLDER / "class_in_90_minutes.ipynb", as_version=4)
    prose = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    parts = re.findall(r"^## (\d+) min · ", prose, re.M)
    assert len(parts) == len(re.findall(r"^## ", prose, re.M)) == 9
    assert sum(map(int, parts)) == 85  # five to spare
    assert len(prose.split()) <= 1500
    assert len(re.findall(r"^### Exercise ", prose, re.M)) == prose.count("<details>") == 2
    kinds = [c.metadata.slideshow.slide_type for c in notebook.cells]
    assert kinds[0] == "slide" and kinds.count("slide") == 10
    on_slides = [c for c, kind in zip(notebook.cells, kinds) if kind != "skip"]
    assert max(len(c.source.splitlines()) for c in on_slides if c.cell_type == "code") <= 10


def test_the_method_in_one_notebook_is_short_and_uses_none_of_it():
    notebook = nbformat.read(FOLDER / "10_build_it_yourself.ipynb", as_version=4)
    code = "\n".join(c.source for c in code_cells(notebook))
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 150
    by_hand = code.partition("\nsame = recipes")[0]
    used = set(re.findall(r"\b(\w+)\.", by_hand))
    assert not used & {"models", "views", "losses", "recipes", "synthesis", "students", "retrieval"}
