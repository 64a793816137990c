"""The controls in a real browser: JupyterLab in headless Chromium, driven by Playwright.

Needs Chromium from the system's packages; skips with a message where there is none. Waits are for
what the page shows, never for time.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")
expect = playwright.expect
expect.set_options(timeout=60_000)  # a busy machine is slow, not broken

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MINUTE = 60_000  # milliseconds, as Playwright counts
SETTINGS = {  # else cells that are scrolled away leave the page, and news cover it
    "notebook-extension/tracker": '{"windowingMode": "none"}',
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
CELLS = """
import os
import torch
from dfsbir_lite import widgets, zoo
from dfsbir_lite.data import toybox_set
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import profile
from dfsbir_lite.synthesis import synthesize
print("process", os.getpid())

student, teachers = zoo.load_or_train("student"), zoo.load_teachers()
photos = toybox_set("photo", "test", profile("laptop"), per_class=10)
readouts = {"none": lambda images, modality: images.mean((2, 3)), "student": student.embed}
widgets.DrawAndSearch(readouts, photos)

widgets.LivePanel(lambda r: synthesize(teachers, r), recipe("kit", batch=16), teachers)

widgets.Switches(["stuck", "wrong"], lambda on: 0.75 - 0.25 * len(on))

labels, sketches = torch.arange(24) % 3, torch.arange(24) > 11
about = labels, sketches, ("ant", "bee", "cat"), photos.images[:24]
maps = torch.randn(3, 24, 2).numpy()
widgets.EmbeddingScatter(maps, *about, ("start", "middle", "end"))
"""

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="the browser test needs Chromium")
pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start a JupyterLab of its own with one notebook, and give its address."""
    root = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.split("\n\n")]
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": python})
    nbformat.write(notebook, root / "controls.ipynb")
    for plugin, chosen in SETTINGS.items():
        path = root / f"settings/@jupyterlab/{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(chosen)
    own = {f"JUPYTER_{place}_DIR": str(root / place) for place in ("CONFIG", "DATA", "RUNTIME")}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(root / "settings"), "JUPYTER_PREFER_ENV_PATH": "1"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    options = [f"--port={address.rpartition(':')[2]}", "--IdentityProvider.token=", "--no-browser"]
    options += ["--ip=127.0.0.1", "--allow-root", f"--ServerApp.root_dir={root}"]
    command = [sys.executable, "-m", "jupyterlab", *options]
    with open(root / "log", "w") as log:
        server = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log)
        try:
            wait_for_answer(f"{address}/api", server, root / "log")
            yield f"{address}/lab/tree/controls.ipynb?reset"
        finally:
            server.terminate()
            server.wait(60)


def wait_for_answer(url: str, server: subprocess.Popen, log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            return urlopen(url).close()
        except URLError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


# every code cell has the number that it gets when it has run, or one has failed
ENDED = r"""() => {
    const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")];
    const failed = document.querySelector('[data-mime-type="application/vnd.jupyter.error"]');
    return failed || (prompts.length > 0 && prompts.every(p => /\[\d+\]/.test(p.textContent)));
}"""


@pytest.fixture(scope="module")
def page(lab):
    """Open the notebook and run every cell."""
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        page.goto(lab)
        page.get_by_text(re.compile(r"\| Idle$")).wait_for(timeout=3 * MINUTE)  # a kernel is there
        menu(page, "Run", "runmenu:run-all")
        page.wait_for_function(ENDED, timeout=5 * MINUTE)
        errors = page.locator('[data-mime-type="application/vnd.jupyter.error"]')
        assert errors.count() == 0, errors.first.inner_text()
        yield page
        browser.close()


def menu(page, name: str, command: str) -> None:
    """Choose an entry of the menu bar."""
    page.get_by_role("menuitem", name=name, exact=True).click()
    page.locator(f'[data-command="{command}"]').click()


def output(page, part):
    """Return the output of a cell with this part in it."""
    return page.locator(".jp-OutputArea-output", has=part).last


def drag(page, paper, stroke) -> None:
    """Draw a stroke of straight lines by mouse; its points are in shares of the paper's side."""
    box = paper.bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()


def test_a_drawing_finds_photos(page):
    paper = page.get_by_label(re.compile("^Sketch pad"))
    answer = page.locator(".dfsbir-found [role=status]")
    paper.scroll_into_view_if_needed()
    page.get_by_role("button", name="Clear").click()
    expect(answer).to_have_text(re.compile("blank paper"))
    drag(page, paper, [(0.25, 0.3), (0.28, 0.8), (0.6, 0.8), (0.63, 0.3), (0.25, 0.3)])
    expect(answer).to_contain_text("among the closest")
    photos = page.locator(".dfsbir-found ol")
    one_stroke = photos.inner_text()
    drag(page, paper, [(0.62, 0.4), (0.8, 0.42), (0.8, 0.65), (0.61, 0.68)])
    expect(photos).not_to_have_text(one_stroke, use_inner_text=True)
    expect(answer).to_contain_text("mug")
    page.get_by_role("button", name="Undo").click()
    expect(photos).to_have_text(one_stroke, use_inner_text=True)
    page.get_by_role("button", name="none", exact=True).click()
    expect(photos).not_to_have_text(one_stroke, use_inner_text=True)


def test_the_pad_works_by_keyboard_alone(page):
    answer = page.locator(".dfsbir-found [role=status]")
    spoken = page.locator(".dfsbir-pad .spoken")
    page.get_by_label(re.compile("^Sketch pad")).focus()
    page.keyboard.press("Delete")
    expect(answer).to_have_text(re.compile("blank paper"))
    for key in ("Shift+ArrowLeft", "Space"):
        page.keyboard.press(key)
    expect(spoken).to_have_text("pen down")
    for key in ("Shift+ArrowDown", "Shift+ArrowRight", "ArrowUp", "Space"):
        page.keyboard.press(key)
    expect(answer).to_contain_text("among the closest")
    expect(spoken).to_have_text("pen up, 1 strokes")
    page.keyboard.press("u")
    expect(answer).to_have_text(re.compile("blank paper"))


def test_switches_measure_what_is_ticked(page):
    box = page.get_by_label("stuck")
    picture = output(page, box).get_by_role("img")
    expect(picture).to_have_attribute("alt", re.compile("now: everything on"))
    box.press("Space")
    expect(picture).to_have_attribute("alt", re.compile("now: wrong"))


def test_the_map_answers_by_keyboard_and_plays(page):
    canvas = page.get_by_label(re.compile("^Map of 24"))
    scatter = page.locator(".dfsbir-scatter")
    page.mouse.move(0, 0)  # or it would point at a picture, too
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(scatter.locator(".card")).to_have_text(re.compile("(ant|bee|cat), (photo|sketch)"))
    page.keyboard.press("Enter")
    expect(scatter.locator(".tray")).to_have_text(re.compile("^1 "))
    page.keyboard.press("Enter")
    expect(scatter.locator(".tray")).to_be_empty()
    bee = scatter.get_by_role("button", name="bee")
    bee.press("Space")
    expect(bee).to_have_attribute("aria-pressed", "true")
    expect(scatter.locator(".caption")).to_have_text("start")
    page.get_by_label("moment", exact=True).press("End")
    expect(scatter.locator(".caption")).to_have_text("end")


# what can have the focus, but has neither text nor label nor title
NAMELESS = """() => [...document.querySelectorAll(
    ".jp-OutputArea-output :is(button, input, select, canvas, [role=slider])"
)].filter((it) => it.tabIndex >= 0 && it.offsetParent && !(
    it.textContent.trim() || it.getAttribute("aria-label") || it.title || it.labels?.length
)).map((it) => it.outerHTML.slice(0, 200))"""


def test_controls_have_names(page):
    assert page.evaluate(NAMELESS) == []


def test_the_panel_is_steered_and_ends_with_the_kernel(page):
    panel = output(page, page.get_by_role("button", name="Start"))
    status = panel.locator(".widget-label", has_text=re.compile(r"\d$|ready")).first
    preset, align = panel.get_by_label("preset"), panel.get_by_label("align", exact=True)
    panel.get_by_role("button", name="Start").click()
    expect(status).to_have_text(re.compile(r"^step [1-9]\d*$"))
    preset.select_option("no BN")
    readout = panel.locator(".widget-hslider", has_text="bn").locator(".widget-readout")
    expect(readout).to_have_text("0.0010")
    align.press("End")  # the kernel answers that these are no preset's weights
    expect(preset).to_have_value("your own")
    panel.get_by_role("button", name="Stop").click()
    expect(status).to_have_text(re.compile(r"^stopped \d+$"))
    panel.get_by_role("button", name="Start").click()
    expect(status).to_have_text(re.compile(r"^step \d+$"))
    kernel = int(page.get_by_text(re.compile(r"^process \d+")).inner_text().split()[1])
    menu(page, "Kernel", "kernelmenu:restart")
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    end = time.monotonic() + 60
    while Path(f"/proc/{kernel}/cmdline").exists():  # with its thread in the middle of a step
        assert time.monotonic() < end, "the old kernel lives on"
        time.sleep(0.2)
