"""The notebooks keep to the rhythm that the series promises, and carry their outputs.

Whether the stored outputs are *right* is nbval's work (`make test`); nbval would pass a notebook
that was never run, so this file makes sure that there is something to compare.
"""

import re
import statistics
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
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


# The faults themselves: a good notebook has none, and each way to spoil it is noticed.


def good_notebook():
    printed = new_output("stream", name="stdout", text="12 classes\n")
    picture = new_output("display_data", {"image/png": ""}, metadata={"image/png": {"alt": "A."}})
    return new_notebook(
        cells=[
            new_markdown_cell("# A lesson\n\nSee https://example.org/home/ada."),
            new_code_cell("n = 12\nprint(n, 'classes')", execution_count=1, outputs=[printed]),
            new_markdown_cell("## Summary"),
            new_code_cell("m = n\nplot(m)", execution_count=2, outputs=[picture]),
        ]
    )


def test_a_good_notebook_has_no_faults():
    assert faults(good_notebook()) == []


def with_error(cells):
    cells[3].outputs = [new_output("error", ename="ValueError", evalue="12", traceback=[])]


def with_warning(cells):
    cells[3].outputs = [new_output("stream", name="stderr", text="UserWarning: slow\n")]


def with_path(cells):
    cells[1].outputs[0].text = "<td>/tmp/sketches</td>"


SPOILT = {
    "a code cell is too long": lambda cells: cells[1].update(source="n = 12\n" * 16),
    "too little text": lambda cells: cells.pop(0),
    "not run top to bottom in a fresh kernel": lambda cells: cells[1].update(execution_count=8),
    "no stored output": lambda cells: [cells[n].update(outputs=[]) for n in (1, 3)],
    "a stored error": with_error,
    "a stored warning": with_warning,
    "a comment that hides a cell from nbval": lambda cells: cells[1].update(
        source="# NBVAL_SKIP\nn = 12"
    ),
    "an absolute path": with_path,
    "a picture without a description": lambda cells: cells[3].outputs[0].update(metadata={}),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_each_fault_is_noticed(fault):
    notebook = good_notebook()
    SPOILT[fault](notebook.cells)
    assert fault in faults(notebook)
