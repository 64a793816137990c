"""Strokes drawn by hand, and the small picture of them that a sketch encoder sees.

A stroke is plain data, `{"points": [[x, y], ...], "width": w}`, in units of the frame's side: x to
the right, y down, (0, 0) the top left corner and (1, 1) the bottom right.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dfsbir_lite.runtime import UserError

Stroke = dict[str, list | float]

PEN = 0.022  # width of a line where nobody chose one
FINE = 256  # pixels: about so large drawings are drawn, then averaged, for smooth lines
SMALLEST = 0.1  # a drawing shorter than this is not enlarged any further: a dot stays a dot

LARGEST = 1024  # pixels: pictures of line art are read no larger
FAINTEST = 25  # of 255: what differs less from the paper is no ink


@dataclass(frozen=True)
class Rendering:
    """How a drawing must look for a network; by default as ToyBox's sketches do.

    Lengths are in units of the frame's side, paper and ink of 255.
    """

    size: int = 32  # of the frame, in pixels
    fill: float = 0.78  # the longer side of a drawing, centred
    thinnest: float = 0.014  # line
    thickest: float = 0.045
    paper: int = 250
    ink: int = 60


TOYBOX = Rendering()


def render(
    strokes: list[Stroke], look: Rendering = TOYBOX, size: int | None = None, fit: bool = True
) -> Tensor:
    """Draw dark lines on white paper: uint8 (3, size, size).

    Args:
        size: of the picture, if it is not that of `look`.
        fit: centre and scale the drawing as `look` wants it, however small it was drawn and with
            whatever pen; else it is taken as it is. Without strokes the paper stays blank.
    """
    size = size or look.size
    side = size * max(4, round(FINE / size))
    paper = np.full((side, side), look.paper, np.uint8)
    for stroke in fitted(strokes, look) if fit else strokes:
        points = np.array([*stroke["points"], stroke["points"][-1]]) * side - 0.5  # or no dots
        thick = max(1, round(stroke["width"] * side))
        line = np.round(points * 16).astype(np.int32)  # cv2 reads sixteenths of a pixel
        cv2.polylines(paper, [line], False, look.ink, thick, cv2.LINE_AA, shift=4)
    small = cv2.resize(paper, (size, size), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).expand(3, -1, -1).clone()


def quickdraw(drawing: list, look: Rendering) -> Tensor:
    """Draw what Quick, Draw! stores, [[x, ...], [y, ...]] from 0 to 255 a stroke, see `render`."""
    return render(lines(*([[x / 255, y / 255] for x, y in zip(*each)] for each in drawing)), look)


def fitted(strokes: list[Stroke], look: Rendering = TOYBOX) -> list[Stroke]:
    """Move the drawing to the middle, as large and its lines as wide as `look` wants them."""
    if not strokes:
        return []
    points = np.concatenate([np.array(s["points"], float) for s in strokes])
    low, high = points.min(0), points.max(0)
    scale = look.fill / max(SMALLEST, float((high - low).max()))
    return [
        {
            "points": ((np.array(s["points"]) - (low + high) / 2) * scale + 0.5).tolist(),
            "width": min(max(s["width"] * scale, look.thinnest), look.thickest),
        }
        for s in strokes
    ]


def lines(*each: list) -> list[Stroke]:
    """Return a stroke through each list of points, drawn with a pen of middling width."""
    return [{"points": [[round(v, 3) for v in p] for p in e], "width": PEN} for e in each]


_FILE = Path(__file__).parent / "toybox" / "drawings.json"
# Drawings to start from: nine of classes that the teachers know, three of classes they do not.
EXAMPLES = {name: lines(*each) for name, each in json.loads(_FILE.read_text("utf-8")).items()}


# --- line art in image files ------------------------------------------------------------------


def redraw(image: Image.Image, look: Rendering = TOYBOX) -> Tensor:
    """Draw the lines of a picture as `render` draws strokes; see `traced`."""
    return render(traced(image), look)


def traced(image: Image.Image) -> list[Stroke]:
    """Return strokes along the lines of a picture of any size, thickness, colour and background.

    An area filled with ink becomes its outline. Raises UserError where nothing is drawn.
    """
    mask = _enlarged(*_held(_ink(image)))
    depth, middle = _depth(mask), _thinned(mask)
    width = min(2 * float(np.quantile(depth[middle > 0], 0.7)), FINE / 8)
    if (depth > 2 * width).any():  # an area
        middle = _thinned(mask & (depth <= 1.5 * width))
    found, _ = cv2.findContours(middle, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return [{"points": (line[:, 0] / FINE).tolist(), "width": width / FINE} for line in found]


def _ink(image: Image.Image) -> np.ndarray:
    """Return by how much each pixel differs from the paper, uint8 (H, W), 255 the most."""
    image = image.convert("RGBA")
    image.thumbnail((LARGEST, LARGEST))
    colours, share = np.split(np.array(image, np.float32), [3], axis=2)
    behind = 255 if (colours * share).mean() < 128 * share.mean() else 0  # what shows through
    colours = behind + (colours - behind) * share / 255
    ink = np.abs(colours - _paper(colours)).max(2)
    most = np.percentile(ink, 99.99)
    return (ink * (255 / most if most > FAINTEST else 0)).clip(0, 255).astype(np.uint8)


def _paper(colours: np.ndarray) -> np.ndarray:
    """Return the colour of the paper at each pixel, (H, W, 3): it varies as the light does."""
    small = cv2.resize(colours, (64, 64), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], -1)
    off = np.abs(small - np.median(small, (0, 1))).max(2)
    for _ in range(8):  # fit those that are near, and see anew which are
        near = off <= 1.5 * np.median(off) + 2
        paper = terms @ np.linalg.lstsq(terms[near], small[near], rcond=None)[0]
        off = np.abs(small - paper).max(2)
    return cv2.resize(paper.astype(np.float32), colours.shape[1::-1])


def _disc(diameter: float) -> np.ndarray:
    side = max(1, round(diameter))
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _held(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the ink and a mask of it, both cut to the drawing's box, and how dark ink is.

    Faint ink counts where it hangs on darker ink. Specks, less than a thousandth of all that, are
    left out.
    """
    level = max(64, cv2.threshold(ink, 0, 1, cv2.THRESH_OTSU)[0])  # 0 if sharp
    _, parts, facts, _ = cv2.connectedComponentsWithStats((ink > level / 2).astype(np.uint8))
    area, dark = facts[:, cv2.CC_STAT_AREA], np.unique(parts[ink > level])
    kept = dark[area[dark] > area[dark].sum() / 1000]
    mask = np.isin(parts, kept).astype(np.uint8)
    if not mask.any():
        raise UserError("nothing is drawn here")
    x, y, wide, high = cv2.boundingRect(mask)
    box = slice(y, y + high), slice(x, x + wide)
    return np.pad(ink[box], 1), np.pad(mask[box], 1), level


def _enlarged(ink: np.ndarray, mask: np.ndarray, level: float) -> np.ndarray:
    """Return a mask (about FINE, about FINE) of the ink, with smooth edges: steps grow spurs."""
    scale = FINE / max(mask.shape)
    if scale < 1:
        bold = cv2.dilate(mask * 255, _disc(1 / scale))  # or thin lines fade
        mask = cv2.resize(bold, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) > 100
    else:
        ink = ink * cv2.dilate(mask, _disc(3))
        ink = cv2.resize(ink, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        mask = cv2.GaussianBlur(ink, (0, 0), 0.2 * scale) > level
    mask = np.pad(mask.astype(np.float32), 9)
    width = 4 * float(np.median(_depth(mask)[mask > 0]))  # for a bar
    return cv2.GaussianBlur(mask, (0, 0), min(width, FINE / 8) / 8) > 0.5


def _depth(mask: np.ndarray) -> np.ndarray:
    """Return how far inside each pixel lies, from the edge of the mask to its middle."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) - 0.5


def _thinned(mask: np.ndarray) -> np.ndarray:
    """Return the middle lines of a mask, a pixel wide: Zhang and Suen, 1984."""
    thin = mask.astype(np.uint8)
    _, parts, _, centres = cv2.connectedComponentsWithStats(thin)
    before = np.zeros_like(thin)
    while (thin != before).any():
        before = thin
        for rule in _RULES:
            thin = thin & rule[cv2.filter2D(thin, -1, _BITS, borderType=cv2.BORDER_CONSTANT)]
    for x, y in centres[np.setdiff1d(parts, parts[thin > 0])[1:]].round().astype(int):
        thin[y, x] = 1  # an even square, which these rules take away as a whole
    return thin


# The eight neighbours of a pixel, clockwise from the one above, are the bits of a number.
_BITS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)


def _rule(first: tuple[int, ...], second: tuple[int, ...]) -> np.ndarray:
    """Return 1 for the neighbourhoods, uint8 (256,), in which a pixel stays."""
    on = np.arange(256)[:, None] >> np.arange(8) & 1
    starts = ((on == 0) & (np.roll(on, -1, 1) == 1)).sum(1)
    goes = (on.sum(1) >= 2) & (on.sum(1) <= 6) & (starts == 1)
    goes &= (on[:, first].min(1) == 0) & (on[:, second].min(1) == 0)
    return 1 - goes.astype(np.uint8)


_RULES = _rule((0, 2, 4), (2, 4, 6)), _rule((0, 2, 6), (0, 4, 6))
