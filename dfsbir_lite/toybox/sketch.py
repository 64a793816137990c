"""Sketches: dark strokes on near-white paper, as a hand makes them."""

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from dfsbir_lite.toybox.geometry import Dice, Part, aim, fill, fixed, ribbon
from dfsbir_lite.toybox.materials import LYING, TILT

CORNER = np.cos(np.radians(42))  # sharper turns than this start a new stroke


class Hand:
    """How one person draws today. Lengths in frame units, the rest are shares in [0, 1]."""

    def __init__(self, dice: Dice):
        self.haste = dice.between(0, 1)  # how much is left out
        self.wobble = dice.between(0.002, 0.012)
        self.width = dice.one_of((0.012, 0.016, 0.02, 0.026, 0.036)) * dice.between(0.9, 1.25)
        self.ink = dice.between(0.5, 0.97)
        self.overshoot = dice.between(0, 0.05)
        self.doubling = dice.between(0.15, 0.5) if dice.chance(0.3) else 0.02
        self.hatching = dice.chance(0.2)


# Lines are complex numbers x + iy from here on: half the arithmetic, and turning left is * 1j.


def _strokes(line: np.ndarray, closed: bool, dice: Dice) -> list[np.ndarray]:
    """Split an outline, (P,) complex, at its corners, as a pen would. A list of (Q,)."""
    if not closed:
        return [line]
    steps = np.append(line[1:], line[0]) - line
    reach = np.abs(steps)
    line, steps = line[reach > 3e-4], (steps / (reach + 1e-12))[reach > 3e-4]
    turns = (steps[1:] * steps[:-1].conj()).real
    turns = np.append((steps[0] * steps[-1].conj()).real, turns)
    corners = np.flatnonzero(turns < CORNER)
    if len(corners) == 0:
        # A round line starts anywhere and is closed by running a little past its start.
        start = dice.whole(0, len(line) - 1)
        loop = np.concatenate([line[start:], line[:start]])
        return [np.append(loop, loop[: dice.whole(1, 3)])]
    ring = np.append(line, line[: corners[0] + 1])
    ends = [*corners, len(line) + corners[0]]
    return [ring[a : b + 1] for a, b in pairwise(ends)]


def _shaky(line: np.ndarray, dice: Dice, hand: Hand) -> np.ndarray:
    """Return the line as it comes out: resampled, overshooting, wobbling. (N,) complex."""
    along = np.append(0, np.cumsum(np.abs(line[1:] - line[:-1])))
    length = along[-1]
    count = min(max(int(length / 0.022), 5), 48)
    at = _unit(count)[0] * length
    line = np.interp(at, along, line)
    if length > 0.12:
        early, late = (hand.overshoot * dice.between(-0.3, 1) for _ in range(2))
        line[0] += (line[0] - line[1]) * (early / 0.022)
        line[-1] += (line[-1] - line[-2]) * (late / 0.022)
    size = hand.wobble * min(1.0, 0.3 + 2 * length)
    slow, quick = 1j * dice.between(-3, 3), 1j * dice.between(-3, 3)
    return line + size * (np.exp(10j * at + slow) + 0.5 * np.exp(-25j * at + quick))


@lru_cache(maxsize=64)
def _unit(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions 0..1 along a stroke, and how pressure tapers at its ends, (count,)."""
    t = np.linspace(0, 1, count)
    return t, np.minimum(1, 0.45 + 4.0 * np.minimum(t + 0.04, 1.04 - t))


def _ink(paper: np.ndarray, line: np.ndarray, dice: Dice, hand: Hand, faint: float = 1.0) -> None:
    """Lay one stroke on the paper, (side, side) uint8, with changing pressure, in place."""
    count = len(line)
    t, taper = _unit(count)
    pressure = 0.82 + 0.22 * np.sin(dice.between(2, 7) * t + dice.between(0, 6.3))
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    normal = along * (0.5j * hand.width * pressure * taper / (np.abs(along) + 1e-9))
    left, right, side = line + normal, line - normal, paper.shape[0]
    edges = (0, count - 1) if count < 12 else (0, count // 3, 2 * count // 3, count - 1)
    for a, b in pairwise(edges):
        dark = hand.ink * faint * (0.55 + 0.45 * min(1.0, float(pressure[(a + b) // 2])))
        outline = np.append(left[a : b + 1], right[a : b + 1][::-1])
        fill(paper, [fixed(outline.view(float).reshape(-1, 2), side)], int(250 * (1 - dark)))


def _draw_stroke(
    paper: np.ndarray, stroke: np.ndarray, dice: Dice, hand: Hand, loss: float
) -> None:
    """Draw one stroke, (P,) complex, skipped with probability `loss`, perhaps broken or doubled."""
    if dice.chance(loss):
        return
    line = _shaky(stroke, dice, hand)
    if len(line) > 14 and dice.chance(0.14):
        cut = dice.whole(4, len(line) - 7)
        _ink(paper, line[:cut], dice, hand)
        _ink(paper, line[cut + dice.whole(1, 2) :], dice, hand)
    else:
        _ink(paper, line, dice, hand)
    if dice.chance(hand.doubling):
        again = _shaky(stroke, dice, hand) + complex(*(0.012 * dice.grid(2)))
        _ink(paper, again, dice, hand, 0.8)


def _hatch(paper: np.ndarray, points: np.ndarray, dice: Dice, hand: Hand) -> None:
    """Draw a few slanting strokes in the lower middle of a closed outline, (P, 2) frame units."""
    low, high = points.min(0), points.max(0)
    if (high - low).min() < 0.2:
        return
    side = paper.shape[0]
    inside = np.zeros_like(paper)
    fill(inside, [fixed(points, side)])
    layer = np.full_like(paper, 255)
    span, count = high - low, dice.whole(4, 7)
    for i in range(count):
        start = low + span * (0.5 + 0.5 * (i + 0.3) / count, 0.35)
        stroke = complex(*start) + span[1] * complex(-0.35, 0.55) * _unit(6)[0]
        _ink(layer, stroke + complex(*(hand.wobble * dice.grid(2))), dice, hand, 0.6)
    np.minimum(paper, np.where(inside > 127, layer, 255), out=paper)


def _memory(dice: Dice) -> Callable[[np.ndarray], np.ndarray]:
    """Return proportions drawn from memory: a slow, smooth displacement of frame points, (P, 2)."""
    phase, size, pace = dice.grid(2, 2) * np.pi, dice.between(0.004, 0.04), dice.between(4.5, 8)

    def warp(points):
        across = np.sin(points[:, ::-1] * pace + phase[0])
        return points + size * (across + 0.6 * np.sin(points * (pace - 1) + phase[1]))

    return warp


def _doodle(paper: np.ndarray, dice: Dice, hand: Hand) -> None:
    """Draw a stray mark: a line, a squiggle, a small ring or a cross somewhere on the paper."""
    kind, size = dice.whole(0, 3), dice.between(0.04, 0.14)
    centre = complex(dice.between(0.08, 0.92), dice.between(0.08, 0.92))
    t = np.linspace(-1, 1, 16)
    turn = np.exp(1j * dice.between(0, 2 * np.pi))
    if kind == 0:
        lines = [2.5 * t * turn]
    elif kind == 1:
        lines = [1.6 * t + 0.4j * np.sin(dice.between(6, 14) * t)]
    elif kind == 2:
        lines = [0.6 * np.exp(3.3j * t) * turn]
    else:
        lines = [0.7 * t * turn, 0.7j * t * turn]
    for line in lines:
        _ink(paper, _shaky(centre + size * line, dice, hand), dice, hand)


def _rub(paper: np.ndarray, dice: Dice) -> None:
    """Swipe the eraser across the drawing, which leaves a trace of the lines."""
    x, y, angle = dice.between(0.2, 0.8), dice.between(0.2, 0.8), dice.between(0, np.pi)
    reach = 0.26 * np.array([np.cos(angle), np.sin(angle)])
    swipe = np.array([x, y]) + np.outer((-1, 0, 1), reach)
    gone = np.zeros_like(paper)
    fill(gone, [fixed(ribbon(swipe, dice.between(0.1, 0.2)), paper.shape[0])])
    gone = cv2.GaussianBlur(gone, (0, 0), 0.025 * paper.shape[0])
    paper += ((255 - paper) * (gone * np.float32(0.86 / 255))).astype(np.uint8)


def scribble(parts: list[Part], name: str, dice: Dice, size: int) -> np.ndarray:
    """Sketch the parts of an object of class `name`: (size, size, 3) uint8, all grey."""
    side = size * (2 if size < 96 else 1)
    hand = Hand(dice)
    skipped = (0, 0.6 * hand.haste, 0.95 * hand.haste)  # how likely, by how little a part matters
    parts = [p for p in parts if not (p.detail and dice.chance(skipped[p.detail]))]
    tilt = 180 if name in LYING else 16 + 0.5 * TILT.get(name, 2)
    angle = np.radians(dice.between(-tilt, tilt))
    points = np.concatenate([part.points for part in parts])
    pose, warp = aim(points, dice, angle, (0.4, 0.94), stray=0.3), _memory(dice)
    paper = np.full((side, side), 255, np.uint8)
    for part in parts:
        _draw_part(paper, part, lambda points: warp(pose(points)), dice, hand)
    if hand.hatching:
        areas = (part for part in parts if not part.line)
        big = max(areas, key=lambda part: np.ptp(part.points, 0).prod())
        _hatch(paper, warp(pose(big.points)), dice, hand)
    if dice.chance(0.3):
        _rub(paper, dice)
    for _ in range(dice.whole(1, 3) if dice.chance(0.35) else 0):
        _doodle(paper, dice, hand)
    return _scan(paper, dice, size)


def _draw_part(paper: np.ndarray, part: Part, place: Callable, dice: Dice, hand: Hand) -> None:
    """Draw the strokes of one part; what lies behind a closed part is rubbed out first.

    place: object units to frame units. A hasty hand draws a handle as a single line.
    """
    side = paper.shape[0]
    thick = part.line > 0.06 and hand.haste < 0.7
    outline = place(ribbon(part.points, part.line) if thick else part.points)
    closed = thick or not part.line
    if closed:
        fill(paper, [fixed(outline, side)], 255)
    for points in (outline, *(place(hole) for hole in part.holes)):
        strokes = _strokes(points[:, 0] + 1j * points[:, 1], closed, dice)
        # One side of a wall may be forgotten, but not the one line that makes a fish.
        loss = (0.1, 0.18, 0.22)[part.detail] if part.detail or len(strokes) > 2 else 0.0
        for stroke in strokes:
            _draw_stroke(paper, stroke, dice, hand, loss * (0.2 + hand.haste))


def _scan(paper: np.ndarray, dice: Dice, size: int) -> np.ndarray:
    """Add paper tone and a little scanner noise: (side, side) to grey (size, size, 3) uint8."""
    tone, noise = dice.between(0.955, 1.0), dice.between(0, 0.012)
    if paper.shape[0] != size:
        paper = cv2.resize(paper, (size, size), interpolation=cv2.INTER_AREA)
    grey = paper * np.float32(tone) + 255 * noise * dice.normal(size, size)
    grey = np.clip(grey + 0.5, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
