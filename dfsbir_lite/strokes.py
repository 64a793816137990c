"""Strokes drawn by hand, and the small picture of them that a sketch encoder sees.

A stroke is plain data, `{"points": [[x, y], ...], "width": w}`, in units of the frame's side: x to
the right, y down, (0, 0) the top left corner and (1, 1) the bottom right.
"""

import math

import cv2
import numpy as np
import torch
from torch import Tensor

Stroke = dict[str, list | float]

# As ToyBox sketches are, so that the encoders meet what they were made for.
FILL = 0.78  # of the frame, the longer side of a drawing
WIDTHS = (0.014, 0.045)  # thinnest and thickest line
PAPER, INK = 250, 60  # of 255
PEN = 0.022  # width of a line that nobody chose

FINE = 8  # drawn so many times larger and averaged, for smooth lines
SMALLEST = 0.1  # a drawing shorter than this is not enlarged any further: a dot stays a dot


def render(strokes: list[Stroke], size: int = 32, fit: bool = True) -> Tensor:
    """Dark lines on white paper: uint8 (3, size, size).

    Args:
        fit: centre and scale the drawing as ToyBox's sketches are, however small it was drawn and
            with whatever pen; else it is taken as it is. Without strokes the paper stays blank.
    """
    if fit:
        strokes = fitted(strokes)
    side = FINE * size
    paper = np.full((side, side), PAPER, np.uint8)
    for stroke in strokes:
        points = np.array([*stroke["points"], stroke["points"][-1]]) * side - 0.5  # or no dots
        thick = max(1, round(stroke["width"] * side))
        line = np.round(points * 16).astype(np.int32)  # cv2 reads sixteenths of a pixel
        cv2.polylines(paper, [line], False, INK, thick, cv2.LINE_AA, shift=4)
    small = cv2.resize(paper, (size, size), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).expand(3, -1, -1).clone()


def fitted(strokes: list[Stroke]) -> list[Stroke]:
    """The drawing in the middle of the frame, its longer side `FILL`, its lines within `WIDTHS`."""
    if not strokes:
        return []
    points = np.concatenate([np.array(stroke["points"], float) for stroke in strokes])
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
    """Strokes through the points of `each`, with a pen of middling width."""
    return [{"points": [[round(v, 3) for v in p] for p in e], "width": PEN} for e in each]


def arc(x: float, y: float, rx: float, ry: float, start=0.0, stop=360.0) -> list[list[float]]:
    """Points on an ellipse around (x, y), from one angle to another in degrees, clockwise."""
    steps = max(2, round(abs(stop - start) / 15))
    angles = [math.radians(start + (stop - start) * n / steps) for n in range(steps + 1)]
    return [[x + rx * math.cos(a), y + ry * math.sin(a)] for a in angles]


# Drawings to start from: nine of classes that were taught, three of classes that nobody was.
EXAMPLES: dict[str, list[Stroke]] = {
    "mug": lines(
        arc(0.43, 0.24, 0.24, 0.07),
        [[0.19, 0.24], [0.22, 0.8], *arc(0.43, 0.8, 0.21, 0.06, 180, 0), [0.67, 0.24]],
        [[0.66, 0.36], *arc(0.68, 0.51, 0.19, 0.16, -80, 80), [0.65, 0.66]],
    ),
    "teacup": lines(
        arc(0.44, 0.32, 0.3, 0.08),
        arc(0.44, 0.32, 0.3, 0.38, 180, 0),
        arc(0.73, 0.44, 0.13, 0.11, -90, 120),
        arc(0.44, 0.73, 0.42, 0.1),
    ),
    "car": lines(
        [[0.24, 0.66], [0.08, 0.64], [0.08, 0.5], [0.26, 0.46], [0.38, 0.3], [0.64, 0.3]],
        [[0.64, 0.3], [0.76, 0.46], [0.92, 0.5], [0.93, 0.65], [0.8, 0.66]],
        [[0.26, 0.46], [0.76, 0.46]],
        [[0.5, 0.3], [0.5, 0.46]],
        [[0.38, 0.66], [0.64, 0.66]],
        arc(0.3, 0.67, 0.08, 0.08),
        arc(0.72, 0.67, 0.08, 0.08),
    ),
    "key": lines(
        arc(0.24, 0.5, 0.16, 0.16),
        arc(0.2, 0.5, 0.05, 0.05),
        [[0.4, 0.47], [0.92, 0.47], [0.92, 0.54], [0.4, 0.54]],
        [[0.72, 0.54], [0.72, 0.66], [0.78, 0.66], [0.78, 0.54]],
        [[0.84, 0.54], [0.84, 0.64], [0.9, 0.64], [0.9, 0.54]],
    ),
    "tree": lines(
        [[0.42, 0.6], [0.4, 0.95], [0.6, 0.95], [0.57, 0.6]],
        arc(0.5, 0.35, 0.3, 0.28),
        arc(0.42, 0.32, 0.12, 0.1, 120, 330),
    ),
    "mushroom": lines(
        [[0.12, 0.5], *arc(0.5, 0.5, 0.38, 0.38, 180, 360), [0.12, 0.5]],
        [[0.4, 0.5], [0.38, 0.9], [0.62, 0.9], [0.6, 0.5]],
        arc(0.36, 0.32, 0.05, 0.05),
        arc(0.6, 0.28, 0.06, 0.06),
    ),
    "fish": lines(
        arc(0.42, 0.5, 0.34, 0.2),
        [[0.74, 0.45], [0.94, 0.32], [0.9, 0.5], [0.94, 0.68], [0.74, 0.55]],
        arc(0.22, 0.45, 0.02, 0.02),
        arc(0.22, 0.5, 0.12, 0.17, -50, 50),
    ),
    "boat": lines(
        [[0.12, 0.68], [0.9, 0.66], [0.76, 0.84], [0.26, 0.86], [0.12, 0.68]],
        [[0.5, 0.67], [0.5, 0.12]],
        [[0.5, 0.14], [0.84, 0.58], [0.5, 0.58]],
        [[0.46, 0.2], [0.2, 0.58], [0.46, 0.58]],
    ),
    "umbrella": lines(
        arc(0.5, 0.48, 0.4, 0.36, 180, 360),
        arc(0.233, 0.48, 0.133, 0.07, 180, 360),
        arc(0.5, 0.48, 0.133, 0.07, 180, 360),
        arc(0.767, 0.48, 0.133, 0.07, 180, 360),
        [[0.5, 0.12], [0.5, 0.82], *arc(0.43, 0.82, 0.07, 0.08, 0, 180)],
    ),
    "teapot": lines(
        arc(0.5, 0.6, 0.26, 0.24),
        arc(0.5, 0.38, 0.13, 0.05, 180, 360),
        arc(0.5, 0.29, 0.04, 0.04),
        [[0.25, 0.68], [0.14, 0.56], [0.08, 0.4], [0.15, 0.38], [0.21, 0.5], [0.28, 0.52]],
        arc(0.76, 0.57, 0.15, 0.14, -100, 100),
    ),
    "bus": lines(
        [[0.06, 0.7], [0.06, 0.28], [0.9, 0.28], [0.95, 0.5], [0.95, 0.7], [0.06, 0.7]],
        *[
            [[x, 0.35], [x + 0.13, 0.35], [x + 0.13, 0.48], [x, 0.48], [x, 0.35]]
            for x in (0.12, 0.32, 0.52, 0.72)
        ],
        arc(0.25, 0.71, 0.08, 0.08),
        arc(0.74, 0.71, 0.08, 0.08),
    ),
    "lighthouse": lines(
        [[0.4, 0.32], [0.33, 0.92], [0.67, 0.92], [0.6, 0.32]],
        [[0.35, 0.32], [0.65, 0.32]],
        [[0.42, 0.32], [0.42, 0.2], [0.58, 0.2], [0.58, 0.32]],
        [[0.39, 0.2], [0.5, 0.08], [0.61, 0.2], [0.39, 0.2]],
        [[0.385, 0.5], [0.615, 0.5]],
        [[0.36, 0.7], [0.64, 0.7]],
    ),
}
