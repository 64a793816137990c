"""The pages around the notebooks are true: links, sections, minutes, words and names of code."""

import importlib
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
LESSONS = {path.stem[:2]: path for path in sorted(FOLDER.glob("*.ipynb"))}
GUIDE, GLOSSARY = FOLDER / "README.md", FOLDER / "GLOSSARY.md"
PAGES = [ROOT / "README.md", GUIDE, GLOSSARY]

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
SECTION = re.compile(r"\b(0\d)((?:(?:, | and |, and )?(?:'s )?\s?\*[A-Z][^*]+(?<!:)\*)+)")
NAME = re.compile(r"`([a-z_]+\.[A-Za-z_.]+)`")
WORD = re.compile(r"^- \*\*(.+?)\*\* \(\[(\d\d)\]\): ", re.MULTILINE)


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def headings(page: str) -> list[str]:
    return re.findall(r"^#{1,6} +(.+?)\s*$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.M)


def anchor(heading: str) -> str:
    """What GitHub makes of a heading: lower case, without punctuation, dashes for blanks."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def part(page: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    level, rest = re.search(rf"^(#+) {re.escape(heading)}$(.*)", page, re.M | re.S).groups()
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.M)[0]


def lesson(number: str, kinds: tuple[str, ...] = ("markdown", "code")) -> str:
    cells = nbformat.read(LESSONS[number], as_version=4).cells
    return "\n\n".join(c.source for c in cells if c.cell_type in kinds)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target in filter(None, sum(LINK.findall(text(page)), ())):
        if re.match(r"https?://", target):
            continue
        place, _, fragment = target.partition("#")
        there = (page.parent / place).resolve() if place else page
        assert there.exists(), target
        assert not fragment or fragment in map(anchor, headings(text(there))), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_images_say_what_they_show(page):
    assert all(len(alt.split()) >= 4 for alt, _ in IMAGE.findall(text(page)))


def test_the_guide_has_every_lesson_with_its_minutes():
    for number, path in LESSONS.items():
        row = re.search(rf"^\| \[[^\]]+\]\({path.name}\) \|(.+)$", text(GUIDE), re.M)
        took = re.search(r"\*\*Time:\*\* about (\d+) minutes? on a CPU", lesson(number))
        assert row.group(1).split("|")[1].strip() == took.group(1), path.name


def test_sections_that_the_guide_names_are_there():
    for number, names in SECTION.findall(text(GUIDE)):
        known = {re.sub(r"^\d+\. ", "", h) for h in headings(lesson(number, ("markdown",)))}
        for name in re.findall(r"\*([^*]+)\*", names):
            assert name in known, f"{number} has no section {name!r}"


def plain(source: str) -> str:
    """Without emphasis, dashes and line ends, in lower case."""
    return re.sub(r"\s+", " ", re.sub(r"[*_`-]", " ", source)).lower()


@pytest.mark.parametrize("word, number", WORD.findall(text(GLOSSARY)))
def test_words_occur_in_their_lesson(word, number):
    stems = [re.sub("(ling|ing|ary|y)$", "", plain(each)) for each in re.split(r", | / ", word)]
    assert any(stem in plain(lesson(number)) for stem in stems)


def test_names_in_the_glossary_exist():
    """Each `module.thing.attribute` of the table of symbols is in the package."""
    for name in NAME.findall(part(text(GLOSSARY), "From the paper's symbol to our name")):
        module, *path = name.split(".")
        here = importlib.import_module(f"dfsbir_lite.{module}")
        for step in path:
            fields = getattr(here, "__dataclass_fields__", {})
            assert hasattr(here, step) or step in fields, name
            here = getattr(here, step, None)
