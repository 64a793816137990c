"""Mug, teacup, teapot, spoon, fork, key.

Every function draws proportions and variants anew, so no two mugs are alike. Parts are in
object units (x right, y down, about [-1, 1]) and in painting order.
"""

import numpy as np

from dfsbir_lite.toybox import geometry
from dfsbir_lite.toybox.geometry import Dice, Part, band, box, curve, mirrored, oval, path, ribbon


def _ear(dice: Dice, start: geometry.Point, end: geometry.Point, reach: float) -> np.ndarray:
    """Return the centre line of a handle, between two points of a vessel's right wall."""
    (x, top), (_, bottom) = start, end
    middle, far = (top + bottom) / 2, x + reach
    kind = dice.whole(0, 2)
    if kind == 0:
        upper, lower = (x + reach * 0.8, top), (x + reach * 0.6, bottom)
        return curve(start, upper, (far, middle), lower, end)
    if kind == 1:
        return curve(start, (far, top + 0.05), (x + 0.8 * reach, middle + 0.1), end)
    corners = (far - 0.1, top), (far, top + 0.12), (far, bottom - 0.12), (far - 0.1, bottom)
    return path(start, curve(*corners), end)


def _mouth(dice: Dice, y: float, radius: float, tilt: float) -> list[Part]:
    """Return a vessel's rim: the lip, the inside, and perhaps what it holds."""
    inside = oval(0, y + 0.01, radius * 0.9, radius * tilt * 0.82)
    parts = [
        Part(oval(0, y, radius, radius * tilt), "body"),
        Part(inside, "inside", "hollow", detail=1),
    ]
    if dice.chance(0.7):
        drink = oval(0, y + 0.05 * tilt, radius * 0.82, radius * tilt * 0.6)
        parts.append(Part(drink, "drink", detail=2))
    return parts


def _steam(dice: Dice, y: float) -> list[Part]:
    """Return wisps above a hot drink, or none; only sketches show them."""
    if not dice.chance(0.3):
        return []
    rows = y - np.array([0.1, 0.22, 0.34, 0.46])
    sway = 0.06 * np.array([1, -1, 1, -1])
    places = (-0.22, 0.02, 0.26)[: dice.whole(2, 3)]
    wisps = [curve(*np.stack([x + sway, rows], 1)) for x in places]
    return [Part(wisp, "air", line=0.02, detail=2) for wisp in wisps]


def mug(dice: Dice) -> list[Part]:
    """Return a straight-sided mug with a handle."""
    half, tall = dice.between(0.46, 0.66), dice.between(0.52, 0.78)
    foot, tilt = half * dice.between(0.74, 1.0), dice.between(0.16, 0.3)
    dip = foot * tilt
    top, low = -tall * dice.between(0.45, 0.65), tall * dice.between(0.35, 0.6)
    low_x = half + (foot - half) * (low + tall) / (2 * tall) - 0.04
    handle = _ear(dice, (half * 0.92, top), (low_x, low), dice.between(0.34, 0.46))
    body = path((half, -tall), oval(0, tall - dip, foot, dip, 0, 180), (-half, -tall))
    parts = [
        Part(handle, "body", "round", line=dice.between(0.11, 0.16)),
        Part(body, "body", "round"),
    ]
    parts += _mug_pattern(dice, half, foot, tall, dip)
    return parts + _mouth(dice, -tall, half, tilt) + _steam(dice, -tall)


def _mug_pattern(dice: Dice, half: float, foot: float, tall: float, dip: float) -> list[Part]:
    """Return nothing, one or two bands, or a spot on the front of a mug."""
    kind = dice.whole(0, 3)
    if kind == 3:
        size = dice.between(0.16, 0.24)
        return [Part(oval(dice.between(-0.1, 0.1), 0.1, size), "trim", detail=2)]
    bands = []
    for y in ((), (0.15,), (-0.15, 0.3))[kind]:
        radius = half + (foot - half) * (y + tall) / (2 * tall)
        stripe = band((y - 0.08, radius), (y + 0.08, radius), dip)
        bands.append(Part(stripe, "trim", "round", detail=2))
    return bands


def teacup(dice: Dice) -> list[Part]:
    """Return a low, wide cup with a curved wall, most often on a saucer."""
    half, tall = dice.between(0.56, 0.72), dice.between(0.36, 0.54)
    foot, tilt = dice.between(0.24, 0.36), dice.between(0.16, 0.28)
    belly = half * dice.between(0.72, 0.95)
    wall = (half, -tall), (belly + 0.03, 0.15 * tall), (foot + 0.08, 0.8 * tall), (foot, tall)
    right = curve(*wall)
    low = tall * dice.between(0.1, 0.4)
    low_x = np.interp(low, right[:, 1], right[:, 0]) - 0.03
    handle = _ear(dice, (half * 0.9, -tall * 0.65), (low_x, low), dice.between(0.3, 0.4))
    parts = []
    if dice.chance(0.7):
        wide = dice.between(0.85, 1.0)
        well = oval(0, tall + 0.01, wide * 0.6, wide * 0.55 * tilt)
        parts.append(Part(oval(0, tall + 0.03, wide, wide * tilt), "body"))
        parts.append(Part(well, "body", "hollow", detail=1))
    parts.append(Part(handle, "body", "round", line=dice.between(0.07, 0.12)))
    parts.append(Part(mirrored(right), "body", "round"))
    if dice.chance(0.4):
        rim = band((-tall * 0.7, half * 0.97), (-tall * 0.5, half * 0.94), half * tilt)
        parts.append(Part(rim, "trim", "round", detail=2))
    return parts + _mouth(dice, -tall, half, tilt) + _steam(dice, -tall)


def teapot(dice: Dice) -> list[Part]:
    """Return a round pot with spout, handle, lid and knob."""
    half, tall = dice.between(0.5, 0.6), dice.between(0.42, 0.56)
    neck, foot = half * dice.between(0.45, 0.6), half * dice.between(0.5, 0.75)
    shoulder, hip = (half * 0.86, -tall * 0.62), (half * 0.82, tall * 0.72)
    right = curve((neck, -tall), shoulder, (half, 0.05), hip, (foot, tall))
    low, high = dice.between(0.15, 0.3), -tall * dice.between(0.65, 0.95)
    root = (-half * 0.8, low), (-half - 0.2, low - 0.08)
    spout = curve(*root, (-half - 0.26, high * 0.45), (-half - 0.45, high))
    widths = np.linspace(0.3, dice.between(0.1, 0.14), len(spout))
    ends = (half * 0.84, -tall * 0.55), (half * 0.88, tall * 0.5)
    handle = _ear(dice, *ends, dice.between(0.34, 0.44))
    rise = dice.between(0.14, 0.26)
    role = "trim" if dice.chance(0.3) else "body"
    parts = [
        Part(handle, role, "round", line=dice.between(0.09, 0.14)),
        Part(ribbon(spout, widths), "body", "roundh"),
        Part(mirrored(right), "body", "ball"),
        Part(oval(0, -tall, neck * 1.08, rise, 180, 360), "body", "ball"),
        Part(oval(0, -tall - rise - 0.05, 0.09, 0.08), "trim", "ball"),
    ]
    if dice.chance(0.5):
        stripe = band((0.05, half), (0.2, half * 0.98), 0.12)
        parts.insert(3, Part(stripe, "trim", "round", detail=2))
    return parts


def _handle(dice: Dice, end: float, waist: float, top: float) -> np.ndarray:
    """Return the right half of a handle down to y = 1: slim at the waist, wide at the end."""
    tip = 1 - dice.between(0.02, 0.1)
    slim = (waist, top), (waist * 1.05, top * 0.4 + 0.6 - 0.15)
    return curve(*slim, (end, tip - 0.12), (end * 0.75, tip), (0.01, 1))


def spoon(dice: Dice) -> list[Part]:
    """Return a bowl and a handle, seen from above."""
    wide, tall = dice.between(0.26, 0.36), dice.between(0.32, 0.42)
    waist, end = dice.between(0.05, 0.075), dice.between(0.075, 0.12)
    neck = -1 + 2 * tall
    upper = (0.01, -1), (wide * 0.72, -1 + 0.25 * tall), (wide, -1 + 0.9 * tall)
    bowl = curve(*upper, (wide * 0.6, neck - 0.2 * tall), (waist, neck + 0.06))
    outline = mirrored(path(bowl, _handle(dice, end, waist, neck + 0.12)))
    hollow = oval(0, -1 + 0.93 * tall, wide * 0.74, tall * 0.74)
    parts = [Part(outline, "body", "round"), Part(hollow, "body", "hollow", detail=1)]
    return parts + _handle_mark(dice, end)


def fork(dice: Dice) -> list[Part]:
    """Return tines, a shoulder and a handle, seen from above."""
    tines, wide = dice.whole(3, 4), dice.between(0.24, 0.32)
    waist, end = dice.between(0.05, 0.075), dice.between(0.075, 0.12)
    root, shoulder = dice.between(-0.6, -0.5), dice.between(-0.34, -0.22)
    pitch = 2 * wide / (2 * tines - 1)
    comb = []
    for i in range(tines):
        x = -wide + 2 * i * pitch
        tip = [(x + 0.15 * pitch, -0.97), (x + 0.5 * pitch, -1), (x + 0.85 * pitch, -0.97)]
        comb += [(x, root), *tip, (x + pitch, root)]
    palm = (wide, root), (wide * 0.95, root + 0.15), (wide * 0.45, shoulder)
    handle = _handle(dice, end, waist, shoulder + 0.2)
    right = path(curve(*palm, (waist, shoulder + 0.14)), handle)
    outline = path(comb, right[1:], (right[1:] * (-1, 1))[::-1])
    return [Part(outline, "body", "round"), *_handle_mark(dice, end)]


def _handle_mark(dice: Dice, end: float) -> list[Part]:
    """Return a hole or an inlay near the end of a handle, or nothing."""
    if not dice.chance(0.4):
        return []
    return [Part(oval(0, 0.82, end * 0.45, 0.07), "dark", detail=2)]


def key(dice: Dice) -> list[Part]:
    """Return a bow with a hole, a shaft and a bit with teeth."""
    bow, shaft = dice.between(0.34, 0.44), dice.between(0.065, 0.09)
    centre = -1 + bow
    head, hole, root = _bow(dice, bow, centre)
    parts = [Part(box(-shaft, centre + root, shaft, 1.0, shaft * 0.6), "body", "round")]
    parts += _bit(dice, shaft)
    if dice.chance(0.5):
        y = centre + bow + 0.06
        collar = box(-shaft * 1.7, y, shaft * 1.7, y + 0.1, 0.04)
        parts.append(Part(collar, "body", "round", detail=1))
    parts.append(Part(head, "head", "ball", holes=(hole,)))
    return parts


def _bow(dice: Dice, bow: float, centre: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return a key's bow, its hole, and how far below its centre the shaft grows out of it.

    It is a ring, a rounded square, a trefoil or an oval.
    """
    kind = dice.whole(0, 3)
    if kind == 0:
        return oval(0, centre, bow), oval(0, centre, bow * dice.between(0.5, 0.7)), bow * 0.8
    if kind == 1:
        head = box(-bow * 0.95, centre - bow * 0.9, bow * 0.95, centre + bow * 0.9, bow * 0.4)
        return head, oval(0, centre - bow * 0.35, bow * 0.35, bow * 0.28), bow * 0.8
    if kind == 2:
        angles = np.radians(np.arange(0, 360, 10))
        radius = bow * (0.88 + 0.22 * np.cos(3 * angles))
        head = np.stack([radius * np.sin(angles), centre - radius * np.cos(angles)], 1)
        return head, oval(0, centre, bow * 0.42), bow * 0.5
    head = oval(0, centre, bow * 1.2, bow * 0.85)
    return head, oval(0, centre, bow * 0.75, bow * 0.42), bow * 0.7


def _bit(dice: Dice, shaft: float) -> list[Part]:
    """Return the teeth: a warded block of an old key, or the saw edge of a modern one."""
    if dice.chance(0.5):
        reach, start = dice.between(0.26, 0.36), dice.between(0.52, 0.64)
        notch = reach * dice.between(0.4, 0.7)
        xs = 0, reach, reach, notch, notch, reach, reach, 0
        ys = np.array([0, 0, 0.1, 0.1, 0.18, 0.18, 0.3, 0.3])
        return [Part(np.stack([xs, start + ys], 1), "body")]
    count, top = dice.whole(2, 4), dice.between(0.1, 0.35)
    edges = np.linspace(top, 0.95, 2 * count + 1)
    points = [(0, top)]
    for start, turn, end in zip(edges[:-1:2], edges[1::2], edges[2::2]):
        reach = shaft + dice.between(0.12, 0.22)
        points += [(reach, start + 0.02), (reach, turn), (shaft, turn + 0.02), (shaft, end)]
    return [Part(path(points, (0, 0.95)), "body")]
