"""What each lesson promises, asks, shows, and answers in its solved twin.

That the solutions run is nbval's work; `test_checks.py` puts wrong and other right answers before
each check.
"""

import re
from pathlib import Path

import nbformat
import pytest
from test_checks import functions

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
LESSONS = sorted(FOLDER.glob("*.ipynb"))
ASKING = [path for path in LESSONS if path.stem[0] == "0"]  # 10 is a task, the class has its own

LEVELS = ("easy", "medium", "hard", "open-ended")
EXERCISE = re.compile(r"^### Exercise (\d) · (.+) \((.+)\)$", re.MULTILINE)
CHECK = re.compile(r"\bcheck\.(\w+)\(")
NO_PICTURE = ("Summary", "Exercises", "Where to read on", "Is everything in place", "The series")


def read(path):
    return nbformat.read(path, as_version=4)


def prose(notebook) -> str:
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def tagged(notebook, tag: str) -> list:
    return [c for c in notebook.cells if tag in c.metadata.get("tags", [])]


def shown(cell) -> str:
    """What a cell that ends in a value shows as text."""
    return "".join(o.data.get("text/plain", "") for o in cell.outputs if "data" in o)


def sections(notebook) -> dict[str, list]:
    """The cells of each section, by its heading of level 2."""
    parts, here = {}, []
    for cell in notebook.cells:
        heading = re.findall(r"^## (.+)$", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and heading:
            here = parts.setdefault(heading[-1], [])
        here.append(cell)
    return parts


def has_picture(cell) -> bool:
    if "```mermaid" in cell.source:
        return True
    data = [o.get("data", {}) for o in cell.get("outputs", [])]
    return any(kind.startswith("image/") for output in data for kind in output)


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def path(request):
    return request.param


exercises = pytest.mark.parametrize("path", ASKING, ids=lambda path: path.stem)


def test_a_lesson_says_what_it_gives_and_takes(path):
    opening = read(path).cells[0].source
    assert opening.startswith("# ")
    promised = opening.split("ou will be able to")[1]
    assert 3 <= len(re.findall(r"^- ", promised, re.MULTILINE)) <= 6
    assert re.search(r"\*\*Time:\*\* about \d+ minutes? on a CPU", opening)


def test_a_picture_after_every_idea(path):
    bare = [
        heading
        for heading, cells in sections(read(path)).items()
        if not any(word in heading for word in NO_PICTURE) and not any(map(has_picture, cells))
    ]
    assert bare == []


@exercises
def test_a_lesson_ends_in_two_or_three_graded_exercises(path):
    found = EXERCISE.findall(prose(read(path)))
    assert [number for number, _, _ in found] in (["1", "2"], ["1", "2", "3"])
    levels = [LEVELS.index(level) for _, _, level in found]
    assert levels == sorted(levels) and levels[0] == 0 and levels[-1] > 0


@exercises
def test_every_exercise_waits_for_an_answer_to_its_own_check(path):
    notebook = read(path)
    names = [CHECK.findall(cell.source) for cell in tagged(notebook, "check")]
    assert sorted(name for (name,) in names) == sorted(functions(path.stem[3:]))
    for cell in tagged(notebook, "answer"):
        assert "..." in cell.source
    for cell in tagged(notebook, "check"):
        assert shown(cell).startswith("○ Not answered yet.")


@exercises
def test_each_exercise_is_solved_in_the_twin(path):
    lesson, twin = read(path), read(FOLDER / "solutions" / path.name)
    assert EXERCISE.findall(prose(twin)) == EXERCISE.findall(prose(lesson))
    assert [c.source for c in tagged(twin, "check")] == [c.source for c in tagged(lesson, "check")]
    assert len(tagged(twin, "answer")) == len(tagged(lesson, "answer"))
    for cell in tagged(twin, "check"):
        assert shown(cell).startswith("✓ Right.")
