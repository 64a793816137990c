"""Strokes drawn by hand, and the small picture of them that a sketch encoder sees.

A stroke is plain data, `{"points": [[x, y], ...], "width": w}`, in units of the frame's side: x to
the right, y down, (0, 0) the top left corner and (1, 1) the bottom right.
"""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

Stroke = dict[str, list | float]

# As in ToyBox's sketches, which the encoders learnt from.
FILL = 0.78  # of the frame, the longer side of a drawing
WIDTHS = (0.014, 0.045)  # thinnest and thickest line
PAPER, INK = 250, 60  # of 255
PEN = 0.022  # width of a line where nobody chose one
FINE = 8  # drawn so many times larger and averaged, for smooth lines
SMALLEST = 0.1  # a drawing shorter than this is not enlarged any further: a dot stays a dot


def render(strokes: list[Stroke], size: int = 32, fit: bool = True) -> Tensor:
    """Draw dark lines on white paper: uint8 (3, size, size).

    Args:
        fit: centre and scale the drawing as ToyBox's sketches are, however small it was drawn and
            with whatever pen; else it is taken as it is. Without strokes the paper stays blank.
    """
    side = FINE * size
    paper = np.full((side, side), PAPER, np.uint8)
    for stroke in fitted(strokes) if fit else strokes:
        points = np.array([*stroke["points"], stroke["points"][-1]]) * side - 0.5  # or no dots
        thick = max(1, round(stroke["width"] * side))
        line = np.round(points * 16).astype(np.int32)  # cv2 reads sixteenths of a pixel
        cv2.polylines(paper, [line], False, INK, thick, cv2.LINE_AA, shift=4)
    small = cv2.resize(paper, (size, size), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).expand(3, -1, -1).clone()


def fitted(strokes: list[Stroke]) -> list[Stroke]:
    """Move the drawing to the middle, its longer side `FILL` and its lines within `WIDTHS`."""
    if not strokes:
        return []
    points = np.concatenate([np.array(s["points"], float) for s in strokes])
    low, high = points.min(0), points.max(0)
    scale = FILL / max(SMALLEST, float((high - low).max()))
    return [
        {
            "points": ((np.array(s["points"]) - (low + high) / 2) * scale + 0.5).tolist(),
            "width": min(max(s["width"] * scale, WIDTHS[0]), WIDTHS[1]),
        }
        for s in strokes
    ]


def lines(*each: list) -> list[Stroke]:
    """Return a stroke through each list of points, drawn with a pen of middling width."""
    return [{"points": [[round(v, 3) for v in p] for p in e], "width": PEN} for e in each]


def arc(x: float, y: float, rx: float, ry: float, start=0.0, stop=360.0) -> list[list[float]]:
    """Return points on an ellipse around (x, y), between two angles in degrees, clockwise."""
    steps = max(2, round(abs(stop - start) / 15))
    angles = [math.radians(start + (stop - start) * n / steps) for n in range(steps + 1)]
    return [[x + rx * math.cos(a), y + ry * math.sin(a)] for a in angles]


_FILE = Path(__file__).parent / "toybox" / "drawings.json"
# Drawings to start from: nine of classes that the teachers know, three of classes they do not.
EXAMPLES = {name: lines(*each) for name, each in json.loads(_FILE.read_text("utf-8")).items()}
