"""The notebooks keep to the rhythm that the series promises, and carry their outputs.

That the stored outputs are *right* is nbval's work (`make test`); nbval would pass a notebook that
was never run, so this file makes sure that there is something to compare.
"""

import re
import statistics
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
SERIES = sorted(FOLDER.glob("*.ipynb"))
SOLUTIONS = sorted((FOLDER / "solutions").glob("*.ipynb"))

LONGEST_CELL = 15  # lines
MEDIAN_CELL = (2, 7)  # lines
LEAST_MARKDOWN = 0.45  # of all cells
MOST_UNCHECKED = 3  # cells whose output nbval does not compare
LARGEST_FILE = 1_000_000  # bytes

# A path that means something on one machine only. `notebooks/tmp/x`, `../home/x` and the path part
# of a web address are none.
ABSOLUTE_PATH = re.compile(r"(?<![\w.~-])/(?:home|tmp|work|root|Users)/|\b[A-Z]:\\Users")
UNCHECKED_TAGS = {"nbval-ignore-output", "nbval-skip"}
UNCHECKED_COMMENT = re.compile(r"^\s*#+\s*NBVAL_(IGNORE_OUTPUT|SKIP)\s*$", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)


def code_cells(notebook) -> list:
    """The code cells that have code in them."""
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def prose(notebook) -> list[str]:
    """The text of each markdown cell."""
    return [c.source for c in notebook.cells if c.cell_type == "markdown"]


def texts(output) -> list[str]:
    """Everything in an output that a reader sees as text."""
    if output.output_type == "stream":
        return [output.text]
    data = output.get("data", {})
    return [text for kind, text in data.items() if kind.startswith("text/")]


def rhythm_faults(notebook) -> list[str]:
    """Cells that are too long, too short on the whole, or too much code for the prose."""
    lengths = [len(c.source.splitlines()) for c in code_cells(notebook)]
    if not lengths:
        return ["no code cell"]
    faults = []
    if max(lengths) > LONGEST_CELL:
        faults.append(f"a code cell of {max(lengths)} lines, {LONGEST_CELL} allowed")
    if not MEDIAN_CELL[0] <= statistics.median_high(lengths) <= MEDIAN_CELL[1]:
        faults.append(f"median code cell has {statistics.median_high(lengths):g} lines")
    share = len(prose(notebook)) / len(notebook.cells)
    if share < LEAST_MARKDOWN:
        faults.append(f"{share:.0%} of the cells are markdown, {LEAST_MARKDOWN:.0%} wanted")
    return faults


def output_faults(notebook) -> list[str]:
    """Cells not run, or not in order; outputs missing or not fit to be stored."""
    cells = code_cells(notebook)
    outputs = [output for c in cells for output in c.outputs]
    faults = []
    if [c.execution_count for c in cells] != list(range(1, len(cells) + 1)):
        faults.append("not run top to bottom in a fresh kernel")
    if not outputs:
        faults.append("no stored output")
    if any(output.output_type == "error" for output in outputs):
        faults.append("a stored error")
    if any(output.get("name") == "stderr" for output in outputs):
        faults.append("stored stderr output, a warning perhaps")
    return faults


def unchecked_faults(notebook) -> list[str]:
    """Too many cells that nbval is told not to compare."""
    unchecked = [
        c
        for c in code_cells(notebook)
        if UNCHECKED_TAGS & set(c.metadata.get("tags", [])) or UNCHECKED_COMMENT.search(c.source)
    ]
    if len(unchecked) > MOST_UNCHECKED:
        return [f"{len(unchecked)} cells are not compared, {MOST_UNCHECKED} allowed"]
    return []


def path_faults(notebook) -> list[str]:
    """Absolute paths in sources or in outputs."""
    seen = [c.source for c in notebook.cells]
    seen += [text for c in code_cells(notebook) for output in c.outputs for text in texts(output)]
    found = {match.group() for text in seen for match in ABSOLUTE_PATH.finditer(text)}
    return [f"an absolute path: {path}..." for path in sorted(found)]


def frame_faults(notebook) -> list[str]:
    """The opening (title, how long it takes) and the end (summary, exercises) of a lesson."""
    first = notebook.cells[0] if notebook.cells else new_markdown_cell("")
    faults = []
    if first.cell_type != "markdown" or not first.source.startswith("# "):
        faults.append("does not open with a level-1 heading")
    if "CPU" not in first.source or "minute" not in first.source:
        faults.append("the first cell does not say how many minutes it takes on a CPU")
    headings = [heading for text in prose(notebook) for heading in HEADING.findall(text)]
    for wanted in ("Summary", "Exercises"):
        if not any(wanted in heading for heading in headings):
            faults.append(f"no heading with {wanted!r} in it")
    return faults


def faults(notebook) -> list[str]:
    """Every fault that a lesson and a solution can share."""
    checks = (rhythm_faults, output_faults, unchecked_faults, path_faults)
    return [fault for check in checks for fault in check(notebook)]


def test_there_are_notebooks():
    assert SERIES, f"no notebook in {FOLDER.name}/"


@pytest.mark.parametrize("path", SERIES + SOLUTIONS, ids=lambda path: path.stem)
def test_notebook_keeps_the_style(path):
    assert faults(nbformat.read(path, as_version=4)) == []
    assert path.stat().st_size < LARGEST_FILE


@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)
def test_lesson_has_its_opening_and_its_end(path):
    assert frame_faults(nbformat.read(path, as_version=4)) == []


# The checks themselves: a good notebook passes, and each way to spoil it is noticed.


def good_notebook():
    printed = new_output("stream", name="stdout", text="12 classes\n")
    return new_notebook(
        cells=[
            new_markdown_cell("# A lesson\n\nTakes 2 minutes on a CPU."),
            new_code_cell("n = 12\nprint(n, 'classes')", execution_count=1, outputs=[printed]),
            new_markdown_cell("## Summary\n\nSee https://example.org/home/ada."),
            new_code_cell("m = n\nassert m == 12", execution_count=2),
            new_markdown_cell("## Exercises\n\nTry 13."),
        ]
    )


def test_a_good_notebook_has_no_faults():
    assert faults(good_notebook()) + frame_faults(good_notebook()) == []


def long_cell(cells):
    cells[1].source = "n = 12\n" * 16


def one_line_cells(cells):
    cells[1].source = cells[3].source = "n = 12"


def long_cells(cells):
    cells[1].source = cells[3].source = "n = 12\n" * 8


def little_prose(cells):
    cells += [new_code_cell("n = 1\nm = 2", execution_count=3 + i) for i in range(2)]


def never_run(cells):
    cells[1].execution_count = cells[3].execution_count = None


def run_out_of_order(cells):
    cells[1].execution_count, cells[3].execution_count = 2, 1


def run_in_a_used_kernel(cells):
    cells[1].execution_count, cells[3].execution_count = 8, 9


def stripped(cells):
    cells[1].outputs = []


def with_error(cells):
    cells[3].outputs = [new_output("error", ename="ValueError", evalue="12", traceback=[])]


def with_warning(cells):
    cells[3].outputs = [new_output("stream", name="stderr", text="UserWarning: slow\n")]


def mostly_unchecked(cells):
    cells += [new_markdown_cell("Another.") for _ in range(4)]
    more = [new_code_cell("# NBVAL_SKIP\nn", execution_count=3 + i) for i in range(2)]
    cells += more
    cells[1].metadata.tags = ["nbval-ignore-output"]
    cells[3].metadata.tags = ["nbval-skip"]


def path_in_source(cells):
    cells[1].source = "folder = '/home/ada/sketches'\nprint(folder)"


def path_in_output(cells):
    html = {"text/plain": "Table", "text/html": "<td>/tmp/sketches</td>"}
    cells[1].outputs.append(new_output("display_data", data=html))


SPOILT = {
    long_cell: "a code cell of 16 lines",
    one_line_cells: "median code cell has 1 lines",
    long_cells: "median code cell has 8 lines",
    little_prose: "43% of the cells are markdown",
    never_run: "not run top to bottom",
    run_out_of_order: "not run top to bottom",
    run_in_a_used_kernel: "not run top to bottom",
    stripped: "no stored output",
    with_error: "a stored error",
    with_warning: "stored stderr",
    mostly_unchecked: "4 cells are not compared",
    path_in_source: "an absolute path",
    path_in_output: "an absolute path",
}


@pytest.mark.parametrize("spoil, told", SPOILT.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_each_style_fault_is_noticed(spoil, told):
    notebook = good_notebook()
    spoil(notebook.cells)
    assert any(fault.startswith(told) for fault in faults(notebook))


@pytest.mark.parametrize(
    "index, text, told",
    [
        (0, "## A lesson\n\nTakes 2 minutes on a CPU.", "does not open with a level-1 heading"),
        (0, "# A lesson\n\nTakes 2 minutes.", "the first cell does not say how many minutes"),
        (2, "The end. A Summary is not here.", "no heading with 'Summary'"),
        (4, "Exercises: try 13.", "no heading with 'Exercises'"),
    ],
)
def test_each_missing_part_of_the_frame_is_noticed(index, text, told):
    notebook = good_notebook()
    notebook.cells[index].source = text
    assert [fault[: len(told)] for fault in frame_faults(notebook)] == [told]
