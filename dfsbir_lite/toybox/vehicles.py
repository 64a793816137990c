"""Car, truck, bus, boat: lists of parts in painting order, nose to the right."""

from itertools import pairwise

import numpy as np

from dfsbir_lite.toybox.geometry import Dice, Part, Point, box, curve, oval, path


def _wheel(x: float, y: float, radius: float) -> list[Part]:
    hub = oval(x, y, radius * 0.52)
    return [Part(oval(x, y, radius), "rubber", "ball"), Part(hub, "chrome", "ball", detail=1)]


def car(dice: Dice) -> list[Part]:
    """Return a car from the side: saloon, hatchback or beetle."""
    kind = dice.whole(0, 2)
    roof, belt, sill = -dice.between(0.44, 0.56), -dice.between(0.06, 0.14), dice.between(0.22, 0.3)
    front = dice.between(0.3, 0.42)
    back = (-0.5, -0.8, -0.62)[kind] + dice.between(-0.06, 0.06)
    if kind == 2:
        tail = (-0.98, 0.05), (-0.8, -0.2), (-0.4, roof * 0.92), (-0.05, roof)
        top = curve(*tail, (0.22, roof * 0.8), (0.42, belt), (0.8, 0.0), (0.99, 0.16))
        cabin = (-0.38, roof * 0.8), (0.16, roof * 0.78), (0.34, belt)
        back = -0.55
    else:
        top = _saloon(kind, roof, belt, back, front)
        cabin = (back + 0.2, roof), (front - 0.3, roof), (front, belt)
    radius, middle = dice.between(0.19, 0.24), (back + front) / 2
    bumper = box(-1.04, sill - 0.08, 1.04, sill + 0.03, 0.03)
    parts = [
        Part(path((-1, sill), top, (1.0, sill)), "body", "roundh"),
        *_car_windows(back, belt, cabin),
        Part([(middle - 0.02, belt), (middle, sill)], "seam", line=0.025, detail=2),
        Part(box(0.86, belt + 0.14, 0.98, belt + 0.24, 0.04), "lamp", detail=1),
        Part(bumper, "chrome", "roundh", detail=2),
    ]
    for x in (-0.58 + dice.between(-0.04, 0.04), 0.58 + dice.between(-0.04, 0.04)):
        parts += _wheel(x, sill + 0.03, radius)
    return parts


def _saloon(kind: int, roof: float, belt: float, back: float, front: float) -> np.ndarray:
    """Return the upper side of a saloon (kind 0) or a hatchback (1), tail to nose."""
    boot = (back - 0.04, belt) if kind == 0 else (-0.92, belt - 0.03)
    tail = (-0.98 if kind == 0 else -0.95, belt + 0.02), boot
    rear, windscreen = (back + 0.12, roof + 0.06), (front - 0.2, roof + 0.06)
    top = curve(rear, (back + 0.3, roof), (front - 0.3, roof), windscreen)
    nose = (front + 0.1, belt), (0.7, belt + 0.05), (0.92, belt + 0.13), (1.0, belt + 0.22)
    return path(tail, top, (front + 0.05, belt), curve(*nose))


def _car_windows(back: float, belt: float, cabin: tuple[Point, Point, Point]) -> list[Part]:
    """Return rear and front side windows under a cabin line, three points from the rear."""
    (x0, y0), (x1, y1), (x2, _) = cabin
    low, high = belt - 0.02, max(y0, y1) + 0.07
    middle = (back + x2) / 2
    rear = [(x0 + 0.02, high), (middle - 0.04, high), (middle - 0.04, low), (back + 0.12, low)]
    front = [(middle + 0.03, high), (x1 + 0.0, high), (x2 - 0.08, low), (middle + 0.03, low)]
    return [Part(rear, "glass", detail=1), Part(front, "glass")]


def truck(dice: Dice) -> list[Part]:
    """Return a lorry from the side: box, tanker, tipper or pickup."""
    kind = dice.whole(0, 3)
    sill, radius = dice.between(0.3, 0.36), dice.between(0.17, 0.22)
    split, roof = dice.between(0.28, 0.42), -dice.between(0.2, 0.42)
    slope = dice.between(0.04, 0.2)
    parts = [Part(box(-1, sill - 0.1, 0.98, sill), "rubber", detail=1)]
    parts += _load(dice, kind, split - 0.06, sill - 0.1, roof)
    hood = dice.between(0.66, 0.74) if dice.chance(0.4) else 0.99
    rear = (split, sill), (split, roof + 0.04), (split + 0.05, roof)
    cab = path(*rear, (hood - slope, roof), (hood, 0.0), (0.98, 0.05), (1.0, sill))
    left, right, top = split + 0.1, hood - slope - 0.04, roof + 0.09
    window = [(left, top), (right, top), (hood - 0.07, -0.01), (left, -0.01)]
    parts += [
        Part(cab, "body", "roundh"),
        Part(window, "glass"),
        Part(box(0.9, 0.1, 0.99, 0.19, 0.02), "lamp", detail=2),
    ]
    spots = [-0.7, 0.7] if kind == 3 or dice.chance(0.4) else [-0.8, -0.8 + 2.15 * radius, 0.7]
    for x in spots:
        parts += _wheel(x, sill + 0.05, radius)
    return parts


def _load(dice: Dice, kind: int, front: float, floor: float, roof: float) -> list[Part]:
    """Return what a truck carries: a box, a tank, a tipper's tub, or the low bed of a pickup."""
    if kind == 0:
        top = roof - dice.between(0.05, 0.25)
        parts = [Part(box(-1, top, front, floor, 0.02), "cargo")]
        if dice.chance(0.5):
            sign = box(-0.85, top * 0.45 - 0.1, front - 0.15, top * 0.45 + 0.12)
            parts.append(Part(sign, "trim", detail=2))
        return parts
    if kind == 1:
        top = roof + dice.between(-0.05, 0.05)
        hoops = [box(x, top, x + 0.05, floor - 0.02) for x in (-0.65, -0.2)]
        tank = Part(box(-1, top, front, floor - 0.02, 0.22), "cargo", "roundh")
        return [tank, *(Part(hoop, "trim", "roundh", detail=2) for hoop in hoops)]
    if kind == 2:
        top = roof + dice.between(0.05, 0.15)
        tub = [(-1.02, top), (front + 0.04, top - 0.06), (front - 0.04, floor), (-0.86, floor)]
        rear = (-0.95, top), (-0.6, top - 0.16)
        heap = curve(*rear, (-0.3, top - 0.2), (front - 0.05, top - 0.04))
        return [Part(heap, "soil", "ball", detail=1), Part(tub, "cargo")]
    top = dice.between(-0.08, 0.02)
    return [Part(box(-1, top, front + 0.1, floor, 0.03), "body", "roundh")]


def bus(dice: Dice) -> list[Part]:
    """Return a long box with a row of windows: city bus, coach or double-decker."""
    double = dice.chance(0.25)
    roof, sill = (-0.72 if double else -dice.between(0.4, 0.52)), dice.between(0.3, 0.36)
    nose = dice.between(0.0, 0.1)
    tail = curve((-1, roof + 0.12), (-0.97, roof + 0.03), (-0.88, roof))
    brow = curve((0.86 - nose, roof), (0.97 - nose, roof + 0.05), (1.0 - nose / 2, roof + 0.2))
    parts = [Part(path(tail, brow, (1.0, sill), (-1, sill)), "body", "roundh")]
    edges = np.linspace(-0.93, 0.6, dice.whole(4, 6) + 1)
    if double:
        rows = [(-0.62, -0.36), (-0.16, 0.06)]
    else:
        rows = [(roof + 0.11, roof + 0.11 + dice.between(0.2, 0.27))]
    for top, low in rows:
        panes = [box(a + 0.025, top, b - 0.025, low, 0.02) for a, b in pairwise(edges)]
        parts += [Part(pane, "glass", detail=i % 2) for i, pane in enumerate(panes)]
    parts.append(Part(box(0.66, rows[-1][0], 0.84, sill - 0.04, 0.02), "glass", detail=1))
    if dice.chance(0.6):
        y = sill - dice.between(0.12, 0.22)
        parts.append(Part(box(-0.99, y, 0.62, y + 0.07), "trim", detail=2))
    radius = dice.between(0.14, 0.18)
    return parts + _wheel(-0.6, sill + 0.02, radius) + _wheel(0.48, sill + 0.02, radius)


def boat(dice: Dice) -> list[Part]:
    """Return a small boat from the side: one sail, two sails, or a cabin and a funnel."""
    deck, keel = dice.between(0.38, 0.5), dice.between(0.75, 0.9)
    bow, stern = dice.between(0.88, 1.0), dice.between(0.75, 0.92)
    edge = (-stern, deck), (bow, deck - dice.between(0, 0.08))
    front = (bow - 0.12, deck + 0.2), (bow - 0.35, keel)
    bottom = (0, keel + 0.02), (-stern + 0.25, keel), (-stern + 0.08, deck + 0.2)
    hull = [Part(path(*edge, curve(*front, *bottom)), "body", "roundh")]
    if dice.chance(0.5):
        stripe = box(-stern + 0.06, deck + 0.09, bow - 0.1, deck + 0.16)
        hull.append(Part(stripe, "trim", detail=2))
    if dice.chance(0.25):
        return _steamer(dice, deck) + hull
    return _rig(dice, deck, bow, stern) + hull


def _rig(dice: Dice, deck: float, bow: float, stern: float) -> list[Part]:
    """Return a mast with one or two sails and perhaps a flag."""
    x = dice.between(-0.15, 0.12)
    top, sag = -dice.between(0.85, 1.0), dice.between(0.02, 0.14)
    leech = curve((x + 0.3 + sag, -0.3), (bow * 0.72, deck - 0.14))
    main = path((x + 0.05, top + 0.06), leech, (x + 0.05, deck - 0.14))
    parts = [Part(box(x - 0.03, top, x + 0.03, deck), "wood", "round"), Part(main, "sail", "ball")]
    if dice.chance(0.65):
        head, clew = top + dice.between(0.1, 0.4), -stern * dice.between(0.6, 0.85)
        jib = [(x - 0.06, head), (x - 0.06, deck - 0.16), (clew, deck - 0.16)]
        parts.append(Part(jib, "canvas", "ball"))
    if dice.chance(0.4):
        flag = [(x, top - 0.02), (x - 0.24, top + 0.06), (x, top + 0.14)]
        parts.append(Part(flag, "trim", detail=2))
    return parts


def _steamer(dice: Dice, deck: float) -> list[Part]:
    left, high = dice.between(-0.6, -0.45), deck - dice.between(0.38, 0.5)
    x = dice.between(-0.25, 0.0)
    funnel = box(x, high - dice.between(0.35, 0.5), x + 0.22, high + 0.02)
    cabin = box(left, high, dice.between(0.35, 0.5), deck + 0.02, 0.03)
    holes = [oval(left + 0.2 + 0.27 * i, (high + deck) / 2, 0.08) for i in range(3)]
    portholes = [Part(hole, "glass", detail=1) for hole in holes]
    return [Part(funnel, "trim", "round"), Part(cabin, "sail"), *portholes]
