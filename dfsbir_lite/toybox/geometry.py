"""Dice, curves and camera poses that photos and sketches share.

Objects live in *object units*: x to the right, y down, roughly within [-1, 1].
A `Pose` carries them to *frame units*: (0, 0) is the top left corner of the picture and (1, 1)
the bottom right. Pixels appear only at the very end, so one seed gives one picture at any size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

SUBPIXEL_BITS = 4  # cv2 reads fixed-point coordinates with this many fractional bits
Point = tuple[float, float]


class Dice:
    """Random choices for one picture, all from one key of non-negative integers.

    Only `Generator.random` and `standard_normal` are used: their streams are the steadiest
    across numpy versions.
    """

    def __init__(self, *key: int):
        self._rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def between(self, low: float, high: float) -> float:
        """Return a float, uniform in [low, high)."""
        return low + (high - low) * self._rng.random()

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._rng.random() < probability

    def whole(self, low: int, high: int) -> int:
        """Return an integer, uniform in low..high, both ends included."""
        return low + int(self._rng.random() * (high - low + 1))

    def one_of(self, options: Sequence) -> Any:
        """Return one element of a sequence."""
        return options[int(self._rng.random() * len(options))]

    def grid(self, *shape: int) -> np.ndarray:
        """Return a float32 array of this shape, uniform in [-1, 1)."""
        return self._rng.random(shape, dtype=np.float32) * 2 - 1

    def normal(self, *shape: int) -> np.ndarray:
        """Return a float32 array of this shape, standard normal."""
        return self._rng.standard_normal(shape, dtype=np.float32)


@dataclass(slots=True)
class Part:
    """One outline of an object, painted in list order (later parts lie in front).

    points: (P, 2) object units. role: what it is made of, see `materials.MADE_OF`.
    shade: "flat", "round" (a cylinder along y), "roundh" (along x), "ball" or "hollow".
    line: 0 for a closed outline, else the width of an open line.
    holes: closed outlines cut out of it.
    detail: 0 the object is not itself without it, 1 usual, 2 an extra that hasty sketches skip.
    """

    points: np.ndarray | Sequence[Point]
    role: str
    shade: str = "flat"
    line: float = 0.0
    holes: tuple[np.ndarray, ...] = ()
    detail: int = 0

    def __post_init__(self):
        self.points = np.asarray(self.points, float)


# --- curves ---------------------------------------------------------------------------------


def path(*pieces: Point | Sequence[Point] | np.ndarray) -> np.ndarray:
    """Join points and arrays of points end to end into one (P, 2) array."""
    return np.concatenate([np.atleast_2d(np.asarray(piece, float)) for piece in pieces])


def oval(
    cx: float, cy: float, rx: float, ry: float | None = None, start: float = 0, stop: float = 360
) -> np.ndarray:
    """Return an ellipse, or an arc of it. Angles in degrees: 0 is right, 90 is down. (P, 2)."""
    whole = abs(stop - start) >= 360
    count = max(4, int(abs(stop - start) / 15)) + (not whole)
    angles = np.radians(np.linspace(start, stop, count, endpoint=not whole))
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return points * (rx, rx if ry is None else ry) + (cx, cy)


def band(upper: Point, lower: Point, dip: float) -> np.ndarray:
    """Return a band around a vessel between two heights, each a pair (y, radius). (P, 2)."""
    (top, wide), (low, narrow) = upper, lower
    return path(oval(0, top, wide, dip, 0, 180), oval(0, low, narrow, dip, 180, 0))


def lumpy(
    cx: float, cy: float, rx: float, ry: float, lumps: int, depth: float, phase: float = 0.0
) -> np.ndarray:
    """Return a cloud-like closed outline with this many lumps. (60, 2)."""
    angles = np.radians(np.arange(0, 360, 6))
    radius = 1 + depth * (np.abs(np.sin(lumps * (angles + phase) / 2)) - 0.6)
    return np.stack([cx + rx * radius * np.cos(angles), cy + ry * radius * np.sin(angles)], 1)


def box(x0: float, y0: float, x1: float, y1: float, radius: float = 0.0) -> np.ndarray:
    """Return a rectangle, its corners rounded when radius > 0. (P, 2)."""
    if radius <= 0:
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)
    r = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
    return path(
        oval(x1 - r, y0 + r, r, start=-90, stop=0),
        oval(x1 - r, y1 - r, r, start=0, stop=90),
        oval(x0 + r, y1 - r, r, start=90, stop=180),
        oval(x0 + r, y0 + r, r, start=180, stop=270),
    )


_T = np.arange(5) / 5
_T2, _T3 = _T**2, _T**3
_SHARES = -_T + 2 * _T2 - _T3, 2 - 5 * _T2 + 3 * _T3, _T + 4 * _T2 - 3 * _T3, -_T2 + _T3
_CATMULL_ROM = 0.5 * np.stack(_SHARES, axis=1)


def curve(*knots: Point | np.ndarray, closed: bool = False) -> np.ndarray:
    """Return a smooth Catmull-Rom curve through the knots. (P, 2), five points a span."""
    knots = np.asarray(knots, float)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    spans = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]], axis=1)
    points = (_CATMULL_ROM @ spans).reshape(-1, 2)
    return points if closed else np.concatenate([points, knots[-1:]])


def mirrored(right: np.ndarray) -> np.ndarray:
    """Return a symmetric closed outline from its right half, top to bottom. (2P, 2)."""
    return np.concatenate([right, right[::-1] * (-1, 1)])


def ribbon(points: np.ndarray, widths: float | np.ndarray) -> np.ndarray:
    """Return the closed outline of a line this wide (a number, or one for each point)."""
    along = np.empty_like(points)
    along[1:-1] = points[2:] - points[:-2]
    along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
    length = np.sqrt((along * along).sum(1)) + 1e-9
    half = 0.5 * widths / length
    normal = np.stack([-along[:, 1] * half, along[:, 0] * half], axis=1)
    return np.concatenate([points + normal, (points - normal)[::-1]])


# --- camera ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Pose:
    """Carry object units to frame units: p -> shift + (p @ matrix.T) / (1 + (p @ matrix.T) @ lean).

    matrix and its inverse: (2, 2). lean (the perspective) and shift: (2,).
    """

    matrix: np.ndarray
    inverse: np.ndarray
    lean: np.ndarray
    shift: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Carry (P, 2) object units to (P, 2) frame units."""
        turned = points @ self.matrix.T
        return self.shift + turned / (1 + turned @ self.lean)[:, None]


def aim(
    points: np.ndarray, dice: Dice, angle: float, fill: tuple[float, float], stray: float
) -> Pose:
    """Return a random pose that keeps all points, (P, 2), inside the frame.

    angle: rotation in radians, clockwise. fill: (low, high) share of the frame that the longer
    side takes. stray: how far the centre may leave the middle of the frame.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    shear = np.array([[1, dice.between(-0.12, 0.12)], [0, 1]])
    stretch = np.exp(dice.between(-0.14, 0.14))
    flip = -1 if dice.chance(0.5) else 1
    matrix = turn @ shear @ np.diag([flip * stretch, 1 / stretch])
    lean = dice.grid(2) * 0.12
    turned = points @ matrix.T
    turned = turned / (1 + turned @ lean)[:, None]
    low, high = turned.min(0), turned.max(0)
    zoom = dice.between(*fill) / (high - low).max()
    room = np.maximum(0.94 - zoom * (high - low), 0) / 2
    centre = 0.5 + dice.grid(2) * np.minimum(room, stray)
    # Perspective was set for the unscaled object, so the scale goes in and comes out again.
    matrix = matrix * zoom
    return Pose(matrix, np.linalg.inv(matrix), lean / zoom, centre - zoom * (low + high) / 2)


def fixed(points: np.ndarray, side: int) -> np.ndarray:
    """Turn frame units into cv2 fixed-point pixel coordinates, int32. Pixel centres sit at +0.5."""
    return np.rint((points * side - 0.5) * (1 << SUBPIXEL_BITS)).astype(np.int32)


def fill(mask: np.ndarray, outlines: list[np.ndarray], value: int = 255) -> None:
    """Fill closed outlines, each (P, 2) int32 from `fixed`, antialiased; overlaps are holes."""
    cv2.fillPoly(mask, outlines, value, cv2.LINE_AA, SUBPIXEL_BITS)
