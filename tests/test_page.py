"""A page by itself, opened from its file in headless Chromium, answers as Python does."""

import re
import shutil
from dataclasses import replace

import pytest
import torch
from test_gallery import coloured, matched_folder

from dfsbir_lite import retrieval, strokes
from dfsbir_lite.__main__ import main
from dfsbir_lite.gallery import export_gallery, open_gallery, photos_of_set
from dfsbir_lite.models import Encoders
from dfsbir_lite.runtime import UserError
from dfsbir_lite.students import new_encoders
from dfsbir_lite.widgets.page import write_page

playwright = pytest.importorskip("playwright.sync_api", reason="the page test needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="the page test needs Chromium")
playwright.expect.set_options(timeout=60_000)  # a busy machine is slow, not broken
DRAWN = strokes.EXAMPLES


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def gallery(tmp_path, tiny):
    export_gallery(tmp_path / "out", new_encoders(tiny, 3).eval(), {}, photos_of_set(coloured()))
    return open_gallery(tmp_path / "out")


@pytest.fixture
def open_page(browser, tmp_path):
    """`open_page(gallery, **size)`: the gallery's page, without a network; errors in it fail."""
    errors = []

    def open_it(gallery, name="page.html", **viewport):
        write_page(tmp_path / name, gallery)
        page = browser.new_page(viewport=viewport or None)
        page.context.set_offline(True)
        page.on("pageerror", lambda error: errors.append(error))
        page.goto((tmp_path / name).as_uri())
        return page

    yield open_it
    assert errors == []


def same_rows(page, gallery, atol=1e-4) -> None:
    for drawing in DRAWN.values():
        seen = strokes.render(drawing, gallery.rendering)
        expected = retrieval.embed(gallery.encoders.embed, seen[None], "sketch")[0]
        row = torch.tensor(page.evaluate("embed", (seen[0] / 255).flatten().tolist()))
        torch.testing.assert_close(row / row.norm(), expected / expected.norm(), atol=atol, rtol=0)


@needs_chromium
@pytest.mark.parametrize("shape", [{}, {"blocks": 2}, {"squeeze": 4}])
def test_a_student_reads_in_the_browser_as_in_pytorch(open_page, tmp_path, shape):
    torch.manual_seed(0)
    encoders = Encoders((8, 12, 20), embed_dim=6, classes=3, temperature=0.5, **shape).eval()
    for layer in encoders.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.running_mean, std=0.3)
            torch.nn.init.uniform_(layer.running_var, 0.3, 2.0)
            torch.nn.init.normal_(layer.bias, std=0.3)
    export_gallery(tmp_path / "out", encoders, {}, photos_of_set(coloured()))
    gallery = open_gallery(tmp_path / "out")
    # products of rounded kernels are rounded once more
    same_rows(open_page(gallery), gallery, atol=1e-3 if "squeeze" in shape else 1e-4)


@needs_chromium
def test_two_classifiers_read_in_the_browser_as_in_pytorch(open_page, tmp_path, make_teacher):
    gallery = open_gallery(matched_folder(tmp_path, make_teacher))
    page = open_page(gallery)
    same_rows(page, gallery)
    assert page.get_by_role("status").inner_text() == "blank paper"
    paper = page.get_by_label(re.compile("^Sketch pad")).bounding_box()
    page.mouse.move(paper["x"] + 40, paper["y"] + 40)
    page.mouse.down()
    page.mouse.move(paper["x"] + 90, paper["y"] + 140, steps=5)
    page.mouse.up()
    found = page.locator(".dfsbir-found li")
    playwright.expect(found).to_have_count(10)
    assert "<b>.png" in found.first.inner_text()  # in the name of the file


@needs_chromium
@pytest.mark.parametrize(
    "look",
    [
        {},
        {"size": 64},
        {"size": 64, "fill": 0.9, "thinnest": 0.035, "thickest": 0.035, "paper": 255, "ink": 0},
    ],
)
def test_a_canvas_draws_as_opencv_does(open_page, gallery, look):
    look = replace(strokes.TOYBOX, **look)
    page = open_page(replace(gallery, rendering=look))
    for drawing in [*DRAWN.values(), [{"points": [[0.2, 0.3]], "width": 0.02}]]:
        seen = torch.tensor(page.evaluate("picture", drawing)).view(look.size, look.size)
        off = (255 * seen - strokes.render(drawing, look)[0]).abs()
        assert off.mean() < 1.5 and off.max() < 80


@needs_chromium
@pytest.mark.slow
def test_the_toybox_page_finds_what_one_draws_and_is_small(browser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--device", "cpu", "--out", "gallery", "--page", "a.html"]) == 0
    assert (tmp_path / "a.html").stat().st_size < 2e6
    page = browser.new_page(viewport={"width": 360, "height": 640}, has_touch=True)
    page.context.set_offline(True)
    page.goto((tmp_path / "a.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    names = page.locator(".dfsbir-found li")
    assert names.count() == 10 and "mug" in names.first.inner_text()
    gallery, equal = open_gallery("gallery"), 0
    for drawing in DRAWN.values():
        seen = strokes.render(drawing, gallery.rendering)[None]
        query = retrieval.embed(gallery.encoders.embed, seen, "sketch")
        expected = retrieval.search(query, gallery.embeddings)[1][0].tolist()
        equal += len({place for place, _ in page.evaluate("search", drawing)} & {*expected})
    assert equal >= 9 * len(DRAWN)  # of ten each
    page.get_by_label(re.compile("^Sketch pad")).focus()
    page.keyboard.press("Delete")
    playwright.expect(page.get_by_role("status")).to_have_text("blank paper")
    for key in ("Space", "Shift+ArrowDown", "Shift+ArrowRight", "Space"):
        page.keyboard.press(key)
    playwright.expect(names).to_have_count(10)


def test_what_a_browser_cannot_run_is_refused(gallery, tmp_path):
    other = Encoders((8, 16), 8, 3, stride=4).eval()
    with pytest.raises(UserError, match=r"p\.html: a page runs SmallResNets"):
        write_page(tmp_path / "p.html", replace(gallery, encoders=other))
