"""Strokes become pictures like those that the sketch encoders learnt from."""

import numpy as np
import pytest
import torch

from dfsbir_lite import toybox
from dfsbir_lite.strokes import EXAMPLES, PAPER, WIDTHS, fitted, render

LINE = [{"points": [[0.1, 0.1], [0.3, 0.1]], "width": 0.02}]


def inked(picture) -> tuple[int, int, int, int]:
    """Return first and last row, first and last column with ink in them."""
    dark = picture[0] < 200
    rows, columns = dark.any(1).nonzero().flatten(), dark.any(0).nonzero().flatten()
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def test_no_strokes_are_blank_paper():
    assert torch.equal(render([], 16), torch.full((3, 16, 16), PAPER).byte())


def test_as_drawn_a_line_stays_where_it_is():
    line = [{"points": [[0.25, 0.25], [0.75, 0.25]], "width": 0.02}]
    # at 100 px: row 25, columns 25 to 75, two pixels thick with round caps of one pixel
    top, bottom, left, right = inked(render(line, 100, fit=False))
    assert (top, bottom) == (24, 25)
    assert left == pytest.approx(24, abs=1) and right == pytest.approx(75, abs=1)


def test_fitted_a_small_drawing_fills_the_frame_in_its_middle():
    (stroke,) = fitted(LINE)
    # 0.2 long becomes 0.78 long, around the middle; 0.02 × 3.9 is thicker than any sketch's line
    assert np.allclose(stroke["points"], [[0.11, 0.5], [0.89, 0.5]])
    assert stroke["width"] == WIDTHS[1]


def test_a_thin_pen_is_made_visible():
    thin = [{"points": [[0, 0.2], [1, 0.8]], "width": 0.001}]
    assert fitted(thin)[0]["width"] == WIDTHS[0]


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
    top, bottom, left, right = inked(render(dot, 100))
    assert 49 <= (top + bottom) / 2 <= 50 and 49 <= (left + right) / 2 <= 50
    assert right - left < 6


def test_examples_are_plain_data_of_known_classes_within_the_frame():
    assert set(EXAMPLES) <= set(toybox.CLASSES)
    for strokes in EXAMPLES.values():
        points = np.concatenate([stroke["points"] for stroke in strokes])
        assert points.min() >= 0 and points.max() <= 1
