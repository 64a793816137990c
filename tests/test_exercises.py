"""The series is a course: what each lesson promises, asks, lets one try, and answers elsewhere.

Counts objectives, questions, pictures, exercises, self-checks and solutions of each notebook.
That the solutions run, and that their checks say "right", is nbval's work on stored outputs which
are read here. `test_checks.py` puts wrong and other right answers before each check.
"""

import re
from pathlib import Path

import nbformat
import pytest
from test_checks import functions

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
LESSONS = sorted(FOLDER.glob("*.ipynb"))

LEVELS = ("easy", "medium", "hard", "open-ended")
EXERCISE = re.compile(r"^### Exercise (\d) · (.+) \((.+)\)$", re.MULTILINE)
CHECK = re.compile(r"\bcheck\.(\w+)\(")
QUESTION = re.compile(r"\*\*(?:Before you [\w ]+:|Question\.|Look for:)\*\*")
NO_PICTURE = ("Summary", "Exercises", "Where to read on", "Is everything in place", "The series")
IMAGES = ("image/png", "image/jpeg", "image/svg+xml")


def read(path):
    return nbformat.read(path, as_version=4)


def solution(path):
    return read(FOLDER / "solutions" / path.name)


def name(path) -> str:
    """02_inversion_synthesis.ipynb is inversion_synthesis, which is its module of checks."""
    return path.stem[3:]


def prose(notebook) -> str:
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def tagged(notebook, tag: str) -> list:
    return [c for c in notebook.cells if tag in c.metadata.get("tags", [])]


def exercises(notebook) -> list[tuple[str, str, str]]:
    """Number, title and level of each exercise."""
    return EXERCISE.findall(prose(notebook))


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
    outputs = [o for o in cell.get("outputs", []) if "data" in o]
    return any(kind in o.data for o in outputs for kind in IMAGES)


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_a_lesson_says_what_one_will_be_able_to_do(path):
    opening = read(path).cells[0].source
    promised = opening.split("ou will be able to")
    assert len(promised) == 2
    assert 3 <= len(re.findall(r"^- ", promised[1], re.MULTILINE)) <= 6


def test_a_lesson_says_what_it_takes(path):
    time = re.search(r"\*\*Time:\*\*.+", read(path).cells[0].source).group()
    assert re.search(r"about \d+ minutes? on a CPU", time) and "GPU" in time


def test_a_lesson_asks_before_it_shows(path):
    assert len(QUESTION.findall(prose(read(path)))) >= 4


def test_a_picture_after_every_idea(path):
    bare = [
        heading
        for heading, cells in sections(read(path)).items()
        if not any(word in heading for word in NO_PICTURE) and not any(map(has_picture, cells))
    ]
    assert bare == []


def test_a_lesson_follows_our_mug(path):
    notebook = read(path)
    assert "**Our mug.**" in prose(notebook)
    assert any("our_sketch" in c.source for c in notebook.cells if c.cell_type == "code")


def test_a_lesson_ends_in_graded_exercises(path):
    found = exercises(read(path))
    assert 3 <= len(found) <= 5
    assert [number for number, _, _ in found] == [str(n + 1) for n in range(len(found))]
    levels = [LEVELS.index(level) for _, _, level in found]
    assert levels == sorted(levels) and levels[0] == 0 and levels[-1] == 3


def test_every_exercise_has_its_own_check(path):
    notebook = read(path)
    asked = [CHECK.findall(cell.source) for cell in tagged(notebook, "check")]
    assert all(len(names) == 1 for names in asked)
    names = [name for names in asked for name in names]
    assert len(names) == len(exercises(notebook)) == len(set(names))
    assert set(names) == set(functions(name(path)))


def test_a_lesson_waits_for_answers(path):
    notebook = read(path)
    for cell in tagged(notebook, "answer"):
        assert "..." in cell.source
    for cell in tagged(notebook, "check"):
        assert shown(cell).startswith("○ Not answered yet.")


def test_each_exercise_is_solved_in_the_twin(path):
    lesson, twin = read(path), solution(path)
    assert exercises(twin) == exercises(lesson)
    assert [c.source for c in tagged(twin, "check")] == [c.source for c in tagged(lesson, "check")]
    assert len(tagged(twin, "answer")) == len(tagged(lesson, "answer"))
    for cell in tagged(twin, "answer"):
        assert "..." not in cell.source
    for cell in tagged(twin, "check"):
        assert shown(cell).startswith("✓ Right.")


def test_solutions_do_not_leak(path):
    lesson, twin = read(path), solution(path)
    given = "\n".join(cell.source for cell in tagged(lesson, "answer"))
    code = "\n".join(c.source for c in lesson.cells if c.cell_type == "code")
    text = prose(lesson)
    assert "<details" not in text
    for cell in tagged(twin, "answer"):
        for line in cell.source.splitlines():
            if len(line.strip()) > 12 and line not in given:
                assert line not in code and line.strip() not in text
