"""Print how large the house is and how large it may be; exit with 1 if anything is too large."""

import json
import sys
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PACKAGE, LESSONS = ROOT / "dfsbir_lite", sorted((ROOT / "notebooks").glob("*.ipynb"))
METHOD = ["models", "views", "losses", "recipes", "teachers", "synthesis", "students", "retrieval"]
sys.path.insert(0, str(ROOT))  # or the graph is that of another copy
GRAPH = grimp.build_graph(PACKAGE.name, cache_dir=None)


def lines(paths) -> int:
    """Return how many lines the files have together."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def cells(path: Path, kind: str) -> list[str]:
    """Return the text of a notebook's cells of that kind."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def words(path: Path) -> int:
    """Return how many words a page has; a notebook in its text cells."""
    texts = cells(path, "markdown") if path in LESSONS else [path.read_text(encoding="utf-8")]
    return len(" ".join(texts).split())


@cache
def floor(module: str) -> int:
    """Return how many modules the longest chain of imports has that begins at `module`."""
    below = GRAPH.find_modules_directly_imported_by(module) - {PACKAGE.name}
    return 1 + max(map(floor, below), default=0)


def table() -> dict[str, tuple[int, int]]:
    """Return how much there is of each thing, and how much there may be."""
    texts, codes = ([c for p in LESSONS for c in cells(p, k)] for k in ("markdown", "code"))
    scripts = [*PACKAGE.rglob("*.js"), *PACKAGE.rglob("*.css")]
    return {
        "method, eight files, lines": (lines(PACKAGE / f"{name}.py" for name in METHOD), 1800),
        "package, Python, lines": (lines(PACKAGE.rglob("*.py")), 10000),
        "JavaScript and CSS, lines": (lines(scripts), 600),
        "data_scripts, lines": (lines((ROOT / "data_scripts").rglob("*.py")), 1200),
        "tests, lines": (lines((ROOT / "tests").rglob("*.py")), 9500),
        "names at the top": (len(GRAPH.find_children(PACKAGE.name)), 22),
        "floors, longest chain of imports": (max(map(floor, GRAPH.modules)), 11),
        "README, words": (words(ROOT / "README.md"), 1200),
        "notebooks/*.md, words": (sum(map(words, (ROOT / "notebooks").glob("*.md"))), 4000),
        "lessons, words": (sum(map(words, LESSONS)), 20000),
        "longest lesson, words": (max(map(words, LESSONS)), 2500),
        "longest text cell, words": (max(len(text.split()) for text in texts), 60),
        "longest code cell, lines": (max(len(code.splitlines()) for code in codes), 15),
    }


if __name__ == "__main__":
    for what, (now, most) in table().items():
        print(f"{what:38} {now:7,} {most:7,} {'' if now <= most else '  too much'}".rstrip())
    sys.exit(any(now > most for now, most in table().values()))
