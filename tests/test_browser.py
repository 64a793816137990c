"""The notebooks in a real browser: JupyterLab in headless Chromium, driven by Playwright.

Needs Chromium from the system's packages; skips with a message where there is none. Waits are for
what the page shows, never for time.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import nbformat
import psutil
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")
expect = playwright.expect
expect.set_options(timeout=30_000)  # a busy machine is slow, not broken

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
OWN = {
    "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
}  # fmt: skip
SETTINGS = {
    # else cells that are scrolled away leave the page, and a test could not see them
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
MINUTE = 60_000  # milliseconds, as Playwright counts
SHOTS = os.environ.get("DFSBIR_SCREENSHOTS")  # a folder for the README's pictures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="the browser test needs Chromium: see the README"),
]


@dataclass
class Lab:
    """A running JupyterLab: its URL with a place for a notebook's name, and its process."""

    url: str
    pid: int

    def kernels(self) -> dict[int, psutil.Process]:
        """The kernels at work now, by process number."""
        children = psutil.Process(self.pid).children(recursive=True)
        return {p.pid: p for p in children if "ipykernel_launcher" in " ".join(_words(p))}


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has just ended
        return []


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own on the loopback address.

    Its notebooks are copies without outputs; its settings and runtime files are not the user's.
    """
    root = tmp_path_factory.mktemp("lab")
    for path in NOTEBOOKS.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, root / path.name)
    nbformat.write(controls(), root / "controls.ipynb")
    for plugin, chosen in SETTINGS.items():
        path = root / f"settings/@jupyterlab/{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(chosen))
    own = {name: str(root / place) for name, place in OWN.items()}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--allow-root"]
    command += ["--ServerApp.port=0", f"--ServerApp.root_dir={root}"]
    with open(root / "lab.log", "w") as log:
        server = subprocess.Popen(
            command,
            env={**os.environ, **own, "JUPYTER_PREFER_ENV_PATH": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Lab(_address(root / "runtime", server, root / "lab.log"), server.pid)
        finally:
            server.terminate()
            server.wait(30)


def controls() -> nbformat.NotebookNode:
    """A notebook that has one of each control and nothing else, so that it is soon there."""
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CONTROLS.split("\n\n")]
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": python})


CONTROLS = """
import torch
from dfsbir_lite import widgets, zoo
from dfsbir_lite.data import toybox_set
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import profile
from dfsbir_lite.synthesis import synthesize

student, teachers = zoo.load_or_train("student"), zoo.load_teachers()
photos = toybox_set("photo", "test", profile("laptop"), per_class=2)
widgets.DrawAndSearch({"student": student.embed}, photos)

settings = recipe("kit", batch=16)
widgets.LivePanel(lambda r: synthesize(teachers, r), settings, teachers, ("bn", "align"))

widgets.Switches(["stuck"], lambda on: torch.tensor(0.25 if on else 0.75))

points, labels = torch.randn(24, 2).numpy(), torch.arange(24) % 3
pictures = torch.zeros(24, 3, 8, 8, dtype=torch.uint8)
widgets.EmbeddingScatter(points, labels, torch.arange(24) > 11, ("ant", "bee", "cat"), pictures)
"""


def _address(runtime: Path, server: subprocess.Popen, log: Path, seconds: float = 90) -> str:
    """The URL with the token that the server writes down once it answers."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and server.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            try:
                told = json.loads(path.read_text())
            except json.JSONDecodeError:  # half written
                continue
            return f"{told['url']}lab/tree/{{}}?token={told['token']}&reset"
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


# every code cell has the number that it gets when it has run, or one has failed
ENDED = r"""() => {
    const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")];
    const failed = document.querySelector('[data-mime-type="application/vnd.jupyter.error"]');
    return failed || (prompts.length > 0 && prompts.every(p => /\[\d+\]/.test(p.textContent)));
}"""


@pytest.fixture
def run_all(lab, browser):
    """`run_all(name)`: the page of that notebook, every cell run to its end without an error."""
    context = browser.new_context(viewport={"width": 1500, "height": 1100})
    page = context.new_page()

    def run(name: str):
        page.goto(lab.url.format(name))
        page.get_by_text(re.compile(r"\| Idle$")).wait_for(timeout=2 * MINUTE)  # a kernel is there
        menu(page, "Run", "runmenu:run-all")
        page.wait_for_function(ENDED, timeout=15 * MINUTE)
        errors = page.locator('[data-mime-type="application/vnd.jupyter.error"]')
        assert errors.count() == 0, errors.first.inner_text()
        return page

    yield run
    menu(page, "Kernel", "kernelmenu:shutdown")
    page.get_by_text(re.compile("No Kernel")).first.wait_for(timeout=MINUTE)
    context.close()


def menu(page, name: str, command: str) -> None:
    """Chooses an entry of the menu bar."""
    page.get_by_role("menuitem", name=name, exact=True).click()
    page.locator(f'[data-command="{command}"]').click()


def shoot(locator, name: str) -> None:
    """A picture of part of the page for the README, if one is wanted."""
    if SHOTS:
        locator.screenshot(path=Path(SHOTS) / f"{name}.png")


def stand_still(locator) -> None:
    """Waits until that part of the page looks the same twice."""
    before, now = b"", locator.screenshot()
    while now != before:
        locator.page.wait_for_timeout(300)
        before, now = now, locator.screenshot()


class Panel:
    """The live panel on a page, as a person handles it."""

    def __init__(self, page):
        start = page.get_by_role("button", name="Start")
        self.page, self.box = page, page.locator(".jp-OutputArea-output", has=start).last
        self.status = self.box.locator(".widget-label", has_text=re.compile("step|stopped|paused"))
        self.preset = self.box.get_by_label("preset")
        self.rival = self.box.get_by_label("against")
        self.box.scroll_into_view_if_needed()

    def press(self, name: str) -> None:
        self.box.get_by_role("button", name=name).click()

    def steps(self) -> int:
        return int(self.status.first.inner_text().split()[-1])

    def wait_for_steps(self, more: int) -> None:
        goal = self.steps() + more
        while self.steps() < goal:
            self.page.wait_for_timeout(50)

    def shows(self, status: str) -> None:
        """Waits until the line beside the buttons is `status`, a regular expression."""
        expect(self.status.first).to_have_text(re.compile(f"^{status}$"), timeout=2 * MINUTE)

    def slider(self, term: str):
        return self.box.locator(".widget-hslider", has=self.page.get_by_text(term, exact=True))

    def echo(self, preset: str, term: str, shown: str) -> float:
        """Milliseconds from choosing a preset until the kernel has moved a slider for it."""
        readout = self.slider(term).locator(".widget-readout")
        began = time.perf_counter()
        self.preset.select_option(preset)
        expect(readout).to_have_text(shown)
        return 1000 * (time.perf_counter() - began)


def test_the_panel_steers_the_synthesis_rings_and_ends_with_the_kernel(run_all, lab):
    panel = Panel(run_all("02_inversion_synthesis.ipynb"))
    steer(panel, "panel_02")

    bell = panel.box.get_by_role("status")
    expect(bell).to_have_text("✓ no alarm")
    panel.press("Reset")
    panel.preset.select_option("adversarial only")  # nothing asks for classes any more
    panel.press("Start")
    expect(bell).to_contain_text("classes missing", timeout=2 * MINUTE)

    (before,) = lab.kernels().values()
    menu(panel.page, "Kernel", "kernelmenu:restart")
    panel.page.get_by_role("button", name="Confirm Kernel Restart").click()
    before.wait(60)  # with its thread in the middle of a step
    panel.page.get_by_text(re.compile(r"\| Idle$")).wait_for(timeout=MINUTE)
    (after,) = lab.kernels().values()
    assert after.pid != before.pid and after.cpu_percent(interval=3) < 20


def test_the_panel_steers_the_distillation(run_all):
    steer(Panel(run_all("03_cross_modal_student.ipynb")), "panel_03")


def steer(panel: Panel, picture: str) -> None:
    """Starts a run, steers, stops, steps and compares it; each must answer."""
    panel.press("Reset")
    panel.press("Start")
    panel.wait_for_steps(3)

    handle = panel.slider("align").locator(".noUi-handle")
    handle.press("ArrowRight")  # by keyboard; the kernel answers that these are no preset's weights
    expect(panel.preset).to_have_value("your own")
    echoes = [panel.echo(*told) for told in 4 * [("no BN", "bn", "0.0010"), ("kit", "bn", "1.0")]]
    print("echoes in ms:", [round(echo) for echo in echoes])
    assert median(echoes) < 300, echoes
    panel.wait_for_steps(2)  # and it still runs

    if SHOTS:
        panel.wait_for_steps(60)  # curves that have something to show
    shoot(panel.box, picture)
    panel.press("Stop")
    panel.shows(r"stopped \d+")
    at = panel.steps()
    panel.press("Step")
    panel.shows(f"step {at + 1}")

    panel.press("Reset")
    panel.press("Step")
    panel.press("Compare")
    panel.shows("compared with no BN after 1 steps")
    expect(panel.box.get_by_role("img")).to_have_count(2)  # this run's, and both side by side


def test_a_drawing_finds_photos(run_all):
    page = run_all("05_draw_and_search.ipynb")
    pad = page.get_by_label(re.compile("^Sketch pad")).first
    told = page.locator(".dfsbir-found .told").first
    pad.scroll_into_view_if_needed()

    page.get_by_role("button", name=re.compile("clear", re.I)).first.click()
    expect(told).to_have_text(re.compile("blank paper"))
    mug = [
        [(0.25, 0.3), (0.28, 0.8), (0.6, 0.8), (0.63, 0.3), (0.25, 0.3)],
        [(0.62, 0.4), (0.8, 0.42), (0.8, 0.65), (0.61, 0.68)],
    ]
    answers = []
    for stroke in mug:
        draw(page, pad, stroke)
        expect(told).not_to_have_text(answers[-1] if answers else re.compile("blank paper"))
        answers.append(told.inner_text())
    assert "mug" in answers[-1]
    shoot(page.locator(".jp-OutputArea-output", has=pad).first, "pad")
    page.get_by_role("button", name=re.compile("undo", re.I)).first.click()
    expect(told).to_have_text(answers[0])  # the second stroke is gone, and what it had changed

    pad.evaluate("pad => pad.onpointerdown = event => pad.title = event.pointerType")
    for tool in (Pen, Finger):
        page.get_by_role("button", name=re.compile("clear", re.I)).first.click()
        expect(told).to_have_text(re.compile("blank paper"))
        draw(page, pad, mug[0], tool)
        expect(told).to_have_text(answers[0])
        assert pad.get_attribute("title") == tool.kind

    best = page.locator(".dfsbir-found ol").first
    before = best.inner_text()
    page.get_by_role("button", name="teacher features").first.click()
    expect(best).not_to_have_text(before)


class Mouse:
    kind = "mouse"

    def __init__(self, page):
        self.mouse = page.mouse

    def press(self, x: float, y: float) -> None:
        self.mouse.move(x, y)
        self.mouse.down()

    def move(self, x: float, y: float) -> None:
        self.mouse.move(x, y)

    def lift(self, x: float, y: float) -> None:
        self.mouse.up()


class Pen:
    """By the browser's own protocol: Playwright has a mouse only."""

    kind = "pen"

    def __init__(self, page):
        self.send = page.context.new_cdp_session(page).send

    def _event(self, kind: str, x: float, y: float, buttons: int = 1) -> None:
        pen = {"pointerType": "pen", "button": "left", "buttons": buttons, "clickCount": 1}
        self.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **pen})

    def press(self, x: float, y: float) -> None:
        self._event("mousePressed", x, y)

    def move(self, x: float, y: float) -> None:
        self._event("mouseMoved", x, y)

    def lift(self, x: float, y: float) -> None:
        self._event("mouseReleased", x, y, buttons=0)


class Finger:
    kind = "touch"

    def __init__(self, page):
        self.send = page.context.new_cdp_session(page).send

    def _event(self, kind: str, *points: dict) -> None:
        self.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def press(self, x: float, y: float) -> None:
        self._event("touchStart", {"x": x, "y": y})

    def move(self, x: float, y: float) -> None:
        self._event("touchMove", {"x": x, "y": y})

    def lift(self, x: float, y: float) -> None:
        self._event("touchEnd")


def draw(page, pad, stroke, tool=Mouse) -> None:
    """A stroke of straight lines; `stroke` in parts of the pad's side."""
    box, hand = pad.bounding_box(), tool(page)
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
    hand.press(*points[0])
    for (x, y), (to_x, to_y) in pairwise(points):
        for part in (k / 8 for k in range(1, 9)):
            hand.move(x + part * (to_x - x), y + part * (to_y - y))
    hand.lift(*points[-1])


def test_the_map_answers_and_replays_the_training(run_all):
    page = run_all("04_embedding_maps.ipynb")
    maps = page.get_by_label(re.compile("^Map of"))
    explorer = page.locator(".jp-OutputArea-output", has=page.get_by_text("minimum distance")).first
    explorer.scroll_into_view_if_needed()
    shoot(explorer, "explorer")
    handle = explorer.locator(".widget-hslider", has_text="neighbours").locator(".noUi-handle")
    handle.press("ArrowRight")
    expect(explorer.get_by_text("computing…")).to_be_visible(timeout=MINUTE)
    expect(explorer.get_by_text("computing…")).to_have_count(0, timeout=2 * MINUTE)

    maps.first.focus()
    page.keyboard.press("ArrowRight")
    expect(explorer.get_by_role("img").first).to_be_visible()  # the picture of a point

    moment = page.get_by_label("moment").last
    moment.scroll_into_view_if_needed()
    training = page.locator(".jp-OutputArea-output", has=moment).last
    expect(training).to_contain_text("0 iterations")
    moment.press("End")
    expect(training).to_contain_text("600 iterations")
    if SHOTS:
        stand_still(training)  # marks travel from one map to the next
    shoot(training, "training")


FOCUSED = """() => {
    const { outlineStyle, boxShadow } = getComputedStyle(document.activeElement);
    return outlineStyle !== "none" || boxShadow !== "none";
}"""


class Keyboard:
    """Keys, and what has the focus: no mouse."""

    def __init__(self, page):
        self.page, self.press = page, page.keyboard.press

    def tab_to(self, locator, most: int = 40) -> None:
        """Presses Tab until `locator` has the focus, which must be seen."""
        for _ in range(most):
            if locator.evaluate("it => it === document.activeElement"):
                assert self.page.evaluate(FOCUSED), f"no visible focus: {locator}"
                return
            self.press("Tab")
        raise AssertionError(f"no way by keyboard to {locator}")

    def presses(self, *keys: str) -> None:
        for key in keys:
            self.press(key)


def test_all_controls_work_by_keyboard_alone(run_all):
    page = run_all("controls.ipynb")
    keyboard = Keyboard(page)
    paper = page.get_by_label(re.compile("^Sketch pad"))
    told = page.locator(".dfsbir-found .told")
    spoken = page.locator(".dfsbir-pad .told")

    paper.focus()  # where a person comes by Tab from the cell above
    keyboard.press("Delete")
    expect(told).to_have_text(re.compile("blank paper"))
    keyboard.presses("Shift+ArrowLeft", "Shift+ArrowUp", "Space")
    expect(spoken).to_have_text("pen down")
    keyboard.presses("Escape")  # nothing is drawn
    expect(told).to_have_text(re.compile("blank paper"))
    keyboard.presses("Space", *3 * ["Shift+ArrowDown"], *3 * ["Shift+ArrowRight"], "ArrowUp")
    expect(told).to_have_text(re.compile("blank paper"))
    keyboard.press("Space")
    expect(told).to_contain_text("among the closest")
    expect(spoken).to_have_text("pen up, 1 strokes")
    keyboard.press("u")
    expect(told).to_have_text(re.compile("blank paper"))

    explain = page.get_by_label("what did it look at?")
    keyboard.tab_to(explain)
    keyboard.press("Space")
    expect(explain).to_be_checked()

    panel = Panel(page)
    keyboard.tab_to(panel.box.get_by_role("button", name="Step"))
    keyboard.press("Enter")
    panel.shows("step 0")
    bn = panel.slider("bn")
    keyboard.tab_to(bn.locator(".noUi-handle"))
    keyboard.press("Home")
    expect(bn.locator(".widget-readout")).to_have_text("0.0010")
    expect(panel.preset).to_have_value("no BN")  # which is what the weights are now
    keyboard.tab_to(panel.rival)
    keyboard.press("ArrowDown")

    box = page.get_by_label("stuck")
    keyboard.tab_to(box)
    keyboard.press("Space")
    expect(box).not_to_be_checked()

    maps = page.get_by_label(re.compile("^Map of 24"))
    keyboard.tab_to(maps)
    keyboard.presses("ArrowRight", "Enter")
    pinned = page.locator(".dfsbir-scatter .tray button")
    expect(pinned).to_have_count(1)
    photos = page.get_by_role("button", name="photos", exact=False).first
    keyboard.tab_to(photos)
    keyboard.press("Space")
    expect(photos).to_have_attribute("aria-pressed", "true")
    keyboard.tab_to(pinned.first)
    keyboard.press("Enter")
    expect(pinned).to_have_count(0)
    expect(maps).to_be_focused()  # and not lost


def test_controls_have_names(run_all):
    """What a screen reader says of each control that can have the focus."""
    page = run_all("controls.ipynb")
    nameless = page.evaluate(NAMELESS)
    assert nameless == []


# what can have the focus, but has neither text nor label nor title
NAMELESS = """() => [...document.querySelectorAll(
    ".jp-OutputArea-output :is(button, input, select, canvas, [role=slider])"
)].filter((it) => it.tabIndex >= 0 && it.offsetParent && !(
    it.textContent.trim() || it.getAttribute("aria-label") || it.title || it.labels?.length
)).map((it) => it.outerHTML.slice(0, 200))"""
