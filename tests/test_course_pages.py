"""The course's pages are true: links, section names, minutes, terms and names in the package."""

import importlib
import re
from pathlib import Path

import nbformat
import pytest

from dfsbir_lite import recipes
from dfsbir_lite.losses import Weights

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
LESSONS = {path.stem[:2]: path for path in sorted(FOLDER.glob("*.ipynb"))}
GUIDE, GLOSSARY = FOLDER / "README.md", FOLDER / "GLOSSARY.md"
PAGES = [ROOT / "README.md", GUIDE, GLOSSARY]

LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
DEFINITION = re.compile(r"^\[([^\]]+)\]: (\S+)$", re.MULTILINE)
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
SECTION = re.compile(r"\b(0\d)((?:(?:, | and |, and )?(?:'s )?\s?\*[A-Z][^*]+(?<!:)\*)+)")
MINUTES = re.compile(r"^\d\. \*\*(\d+) min ", re.MULTILINE)
NAME = re.compile(r"`([a-z_]+\.[A-Za-z_.]+)`")


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


def rows(table: str) -> list[list[str]]:
    """The cells of all table rows below their headings."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in ("symbol", "our name") and set(row[0]) != {"-"}]


def lesson(number: str):
    return nbformat.read(LESSONS[number], as_version=4)


def prose(number: str) -> str:
    return "\n\n".join(c.source for c in lesson(number).cells if c.cell_type == "markdown")


def sections_named(page: str) -> list[tuple[str, str]]:
    """Lesson and section wherever the page says `02 *Learn*, *Steer it yourself*`."""
    return [
        (number, name)
        for number, names in SECTION.findall(page)
        for name in re.findall(r"\*([^*]+)\*", names)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    source = text(page)
    targets = LINK.findall(source) + [target for _, target in DEFINITION.findall(source)]
    assert targets
    for target in targets + [target for _, target in IMAGE.findall(source)]:
        if re.match(r"https?://", target):
            continue
        place, _, fragment = target.partition("#")
        there = (page.parent / place).resolve() if place else page
        assert there.exists(), target
        if fragment:
            assert fragment in map(anchor, headings(text(there))), target


def test_short_links_are_defined():
    source = text(GLOSSARY)
    used = set(re.findall(r"\[(\w+)\](?![(:\w])", source))
    assert used <= {name for name, _ in DEFINITION.findall(source)}
    assert {name: FOLDER / target for name, target in DEFINITION.findall(source)} == LESSONS


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_images_say_what_they_show(page):
    source = text(page)
    assert "<img" not in source  # else it would need the same check
    for alt, target in IMAGE.findall(source):
        assert len(alt.split()) >= 4, target


def test_the_guide_has_every_lesson_with_its_minutes():
    source = text(GUIDE)
    assert len(LESSONS) == 10
    for number, path in LESSONS.items():
        row = re.search(rf"^\| \[{number} [^\]]+\]\({path.name}\) \|(.+)$", source, re.M)
        took = re.search(r"\*\*Time:\*\* about (\d+) minutes? on a CPU", prose(number))
        assert row.group(1).split("|")[1].strip() == took.group(1), path.name


def test_sections_that_the_guide_names_are_there():
    named = sections_named(text(GUIDE))
    assert len(named) > 60 and {number for number, _ in named} == set(LESSONS)
    for number, name in named:
        known = {re.sub(r"^\d+\. ", "", h) for h in headings(prose(number))}
        assert name in known, f"{number} has no section {name!r}"


@pytest.mark.parametrize(
    "plan",
    [
        "One session of 90 minutes",
        "Session 1: What two classifiers know (90 minutes)",
        "Session 2: From noise to one space (90 minutes)",
        "Session 3: How would we know? (90 minutes)",
    ],
)
def test_plans_fill_their_time(plan):
    steps = [int(minutes) for minutes in MINUTES.findall(part(text(GUIDE), plan))]
    assert len(steps) >= 6
    assert sum(steps) == int(re.search(r"(\d+) minutes", plan).group(1))


def test_every_step_of_the_short_plan_asks_and_hopes():
    steps = [line for line in part(text(GUIDE), "One session of 90 minutes").splitlines()]
    steps = [line for line in steps if MINUTES.match(line)]
    for step in steps[:-1]:  # the last one goes back to the first question
        assert "*Ask:*" in step and "*Hoped for:*" in step, step


def test_misconceptions_are_refuted_somewhere():
    table = part(text(GUIDE), "Misconceptions")
    told = [row for row in rows(table) if row[0].startswith('"')]
    assert len(told) >= 8
    for row in told:
        assert sections_named(row[2]), row[0]


def terms() -> list[tuple[str, str, str]]:
    found = re.findall(
        r"^- \*\*(.+?)\*\* \(\[(\d\d)\]\): (.+)$", part(text(GLOSSARY), "Words"), re.M
    )
    assert len(found) == len(re.findall(r"^- ", part(text(GLOSSARY), "Words"), re.M))
    return found


def test_words_are_in_order():
    words = [word.lower() for word, _, _ in terms()]
    assert words == sorted(words) and len(set(words)) == len(words) > 40


def plain(source: str) -> str:
    """Without emphasis, dashes and line ends, in lower case."""
    return re.sub(r"\s+", " ", re.sub(r"[*_`-]", " ", source)).lower()


@pytest.mark.parametrize("word, number", [(word, number) for word, number, _ in terms()])
def test_words_occur_in_their_lesson(word, number):
    whole = plain("\n".join(c.source for c in lesson(number).cells))
    stems = [re.sub("(ling|ing|ary|y)$", "", plain(each)) for each in re.split(r", | / ", word)]
    assert any(stem in whole for stem in stems), f"lesson {number} does not say {word!r}"


def resolve(name: str) -> bool:
    """Whether `module.thing.attribute` exists in the package."""
    module, *path = name.split(".")
    here = importlib.import_module(f"dfsbir_lite.{module}")
    for step in path:
        if not hasattr(here, step):
            return step in getattr(here, "__dataclass_fields__", {})
        here = getattr(here, step)
    return True


def named() -> list[str]:
    table = part(text(GLOSSARY), "From the paper's symbol to our name")
    return NAME.findall(table)


def test_names_in_the_tables_exist():
    assert len(named()) > 40
    assert [name for name in named() if not resolve(name)] == []


def test_every_loss_term_has_its_row():
    assert {f"losses.Weights.{term}" for term in Weights().snapshot()} <= set(named())


def test_what_is_beyond_the_paper_is_so():
    beyond = NAME.findall(part(text(GLOSSARY), "Beyond the paper"))
    kit, paper = recipes.recipe("kit"), recipes.recipe("paper")
    weights = [name.split(".")[-1] for name in beyond if name.startswith("losses.Weights.")]
    settings = [name.split(".")[-1] for name in beyond if name.startswith("recipes.Recipe.")]
    assert weights and settings
    for term in weights:
        assert getattr(kit.weights, term) > 0 == getattr(paper.weights, term), term
    neutral = recipes.Recipe()  # what a recipe does where nothing is asked of it
    for setting in settings:
        if setting != "labels":
            assert getattr(paper, setting) == getattr(neutral, setting), setting
        assert getattr(kit, setting) != getattr(paper, setting), setting


def test_the_first_page_leads_to_the_guide():
    targets = LINK.findall(text(ROOT / "README.md"))
    assert {"notebooks/README.md", "notebooks/GLOSSARY.md"} <= set(targets)


PICTURES = ("image/png", "image/jpeg")
STORED = [*LESSONS.values(), *sorted((FOLDER / "solutions").glob("*.ipynb"))]


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_stored_pictures_are_described(path):
    outputs = [o for c in nbformat.read(path, as_version=4).cells for o in c.get("outputs", [])]
    alts = [
        o.metadata.get(kind, {}).get("alt")
        for o in outputs
        for kind in PICTURES
        if kind in o.get("data", {})
    ]
    assert all(alts)
