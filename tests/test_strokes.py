"""Strokes and line art become pictures like those that the sketch encoders learnt from."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from dfsbir_lite import toybox
from dfsbir_lite.runtime import UserError
from dfsbir_lite.strokes import EXAMPLES, TOYBOX, Rendering, fitted, lines, redraw, render, traced

LINE = [{"points": [[0.1, 0.1], [0.3, 0.1]], "width": 0.02}]


def inked(picture) -> tuple[int, int, int, int]:
    """Return first and last row, first and last column with ink in them."""
    dark = picture[0] < 190
    rows, columns = dark.any(1).nonzero().flatten(), dark.any(0).nonzero().flatten()
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def test_no_strokes_are_blank_paper():
    assert torch.equal(render([], size=16), torch.full((3, 16, 16), TOYBOX.paper).byte())


def test_as_drawn_a_line_stays_where_it_is():
    line = [{"points": [[0.25, 0.25], [0.75, 0.25]], "width": 0.02}]
    # at 100 px: row 25, columns 25 to 75, two pixels thick with round caps of one pixel
    top, bottom, left, right = inked(render(line, size=100, fit=False))
    assert (top, bottom) == (24, 25)
    assert left == pytest.approx(24, abs=1) and right == pytest.approx(75, abs=1)


def test_fitted_a_small_drawing_fills_the_frame_in_its_middle():
    (stroke,) = fitted(LINE)
    # 0.2 long becomes 0.78 long, around the middle; 0.02 × 3.9 is thicker than any sketch's line
    assert np.allclose(stroke["points"], [[0.11, 0.5], [0.89, 0.5]])
    assert stroke["width"] == TOYBOX.thickest


def test_a_thin_pen_is_made_visible():
    thin = [{"points": [[0, 0.2], [1, 0.8]], "width": 0.001}]
    assert fitted(thin)[0]["width"] == TOYBOX.thinnest


def test_size_and_place_of_a_drawing_do_not_matter_once_fitted():
    mug = EXAMPLES["mug"]
    small = [
        {"points": [[0.7 + x / 5, 0.1 + y / 5] for x, y in s["points"]], "width": s["width"] / 5}
        for s in mug
    ]
    difference = render(mug).int() - render(small).int()
    assert difference.abs().max() <= 1


def test_a_dot_stays_a_dot():
    dot = [{"points": [[0.9, 0.9]], "width": 0.02}]
    top, bottom, left, right = inked(render(dot, size=100))
    assert 49 <= (top + bottom) / 2 <= 50 and 49 <= (left + right) / 2 <= 50
    assert right - left < 6


def test_examples_are_plain_data_of_known_classes_within_the_frame():
    assert set(EXAMPLES) <= set(toybox.CLASSES)
    for strokes in EXAMPLES.values():
        points = np.concatenate([stroke["points"] for stroke in strokes])
        assert points.min() >= 0 and points.max() <= 1


BOLD = Rendering(64, 0.875, 0.0625, 0.0625, paper=255, ink=0)
HOUSE = [(20, 90), (20, 50), (60, 20), (100, 50), (100, 90), (20, 90)]
PAGES = {  # size of the page, of the house on it, where it is, width of its lines, paper, ink
    "thin": (120, 1, (0, 0), 1, "white", "black"),
    "thick": (120, 1, (0, 0), 8, "white", "black"),
    "large": (1500, 12, (0, 0), 20, "white", "black"),
    "hair lines": (1500, 12, (0, 0), 1, "white", "black"),
    "in a corner": (900, 1, (750, 30), 2, "white", "black"),
    "white on black": (240, 2, (0, 0), 4, "black", "white"),
    "on grey paper": (240, 2, (0, 0), 4, (150, 150, 140), (90, 90, 100)),
    "colours of one brightness": (240, 2, (0, 0), 4, (255, 0, 0), (0, 130, 0)),
    "on transparency": (240, 2, (0, 0), 4, (255, 255, 255, 0), "black"),
    "white on transparency": (240, 2, (0, 0), 4, (0, 0, 0, 0), "white"),
}


def page(side, scale, place, width, paper, ink) -> Image.Image:
    """Return the house drawn by Pillow."""
    image = Image.new("RGBA", (side, side), paper)
    points = [(scale * x + place[0], scale * y + place[1]) for x, y in HOUSE]
    ImageDraw.Draw(image).line(points, ink, width, joint="curve")
    return image


def overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the share of the pixels with ink in one picture that have ink in both."""
    a, b = a[0] < 128, b[0] < 128
    return float((a & b).sum() / (a | b).sum())


def test_a_rendering_sets_size_box_width_paper_and_ink():
    # 64 px: 0.875 of it long is 56 px, and 0.0625 wide 4 px, with round ends of 2 px
    picture = render([{"points": [[0.2, 0.4], [0.3, 0.4]], "width": 0.5}], BOLD)
    assert inked(picture) == (30, 33, 2, 61)
    assert (int(picture.min()), int(picture.max())) == (0, 255)


@pytest.mark.parametrize("kind", PAGES)
def test_line_art_is_redrawn_as_its_strokes_are_drawn(kind):
    strokes = lines([[x / 120, y / 120] for x, y in HOUSE])
    picture = page(*PAGES[kind])
    naive = torch.from_numpy(np.array(picture.convert("RGB").resize((64, 64)))).movedim(2, 0)
    assert overlap(redraw(picture, BOLD), render(strokes, BOLD)) > 0.75
    assert overlap(naive, render(strokes, BOLD)) < 0.5


def test_uneven_light_is_no_ink():
    light = np.linspace(1, 0.4, 240)[None, :, None]
    noise = np.random.default_rng(0).normal(0, 4, (240, 240, 3))
    picture = np.array(page(240, 2, (0, 0), 4, "white", (90, 90, 90)).convert("RGB")) * light
    shaded = Image.fromarray((picture + noise).clip(0, 255).astype(np.uint8))
    strokes = lines([[x / 120, y / 120] for x, y in HOUSE])
    assert overlap(redraw(shaded, BOLD), render(strokes, BOLD)) > 0.75


def test_specks_do_not_move_the_drawing():
    clean = page(240, 1, (60, 60), 8, "white", "black")
    dirty = clean.copy()
    for spot in ((3, 3), (230, 40), (20, 220)):
        dirty.putpixel(spot, (0, 0, 0, 255))
    assert torch.equal(redraw(dirty, BOLD), redraw(clean, BOLD))


@pytest.mark.parametrize("lines_too", [True, False])
def test_a_filled_area_becomes_its_outline(lines_too):
    picture = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(picture).rectangle((40, 40, 160, 160), fill=0)
    for row in (20, 180) if lines_too else ():
        ImageDraw.Draw(picture).line((40, row, 160, row), 0, 4)
    middle = redraw(picture, BOLD)[0, 32]
    assert int(middle[32]) == 255 and 2 <= int((middle < 128).sum()) <= 10  # two walls


def test_a_line_keeps_its_width_where_a_look_leaves_it_the_choice():
    picture = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(picture).rectangle((50, 96, 149, 103), fill=0)  # 100 × 8 px: .08 of its length
    assert all(abs(stroke["width"] - 0.08) < 0.01 for stroke in traced(picture))


@pytest.mark.parametrize("paper", ["white", "black", (255, 255, 255, 0)])
def test_a_picture_without_ink_is_refused(paper):
    with pytest.raises(UserError, match="nothing is drawn"):
        redraw(Image.new("RGBA", (50, 40), paper))
