"""Tree, mushroom, fish, house, lighthouse, umbrella: lists of parts in painting order."""

from itertools import pairwise

import numpy as np

from dfsbir_lite.toybox.geometry import Dice, Part, box, curve, lumpy, mirrored, oval, path


def tree(dice: Dice) -> list[Part]:
    """Return a broad-leaved tree, a poplar or a fir."""
    stem, top = dice.between(0.07, 0.13), dice.between(-0.1, 0.2)
    flare = stem * dice.between(1.2, 1.9)
    trunk = Part(mirrored(curve((stem * 0.8, top), (stem, 0.5), (flare, 1.0))), "bark", "round")
    if dice.chance(0.3):
        return [trunk, *_fir(dice)]
    wide, tall = dice.between(0.5, 0.78), dice.between(0.5, 0.68)
    if dice.chance(0.2):
        wide, tall = dice.between(0.34, 0.42), 0.72
    lumps, depth = dice.whole(6, 10), dice.one_of((0.02, 0.12, 0.2, 0.3))
    centre = -1 + tall + 0.05
    crown = lumpy(0, centre, wide, tall, lumps, depth, dice.between(0, 1))
    parts = [trunk, Part(crown, "leaf", "ball")]
    for _ in range(dice.whole(1, 3)):
        x, y = dice.between(-0.45, 0.45) * wide, centre + dice.between(-0.4, 0.4) * tall
        parts.append(Part(lumpy(x, y, wide * 0.38, tall * 0.34, 5, 0.2), "leaf", "ball", detail=2))
    for _ in range(dice.whole(3, 6) if dice.chance(0.3) else 0):
        x, y = dice.between(-0.6, 0.6) * wide, centre + dice.between(-0.55, 0.55) * tall
        parts.append(Part(oval(x, y, 0.06), "fruit", "ball", detail=2))
    return parts


def _fir(dice: Dice) -> list[Part]:
    """Return three or four tiers of branches, the widest lowest and furthest back."""
    count, wide = dice.whole(3, 4), dice.between(0.45, 0.65)
    edges = np.linspace(-1, dice.between(0.45, 0.62), count + 1)
    parts = []
    for i in range(count, 0, -1):
        half = wide * (0.45 + 0.55 * i / count)
        top, low = edges[i - 1] - (0.18 if i > 1 else 0), edges[i]
        fringe = [(half, low), (half * 0.4, low - 0.04), (0, low + 0.03)]
        tier = np.array([(0, top), (half * 0.5, low - 0.2), *fringe])
        parts.append(Part(mirrored(tier), "leaf", "round"))
    return parts


def mushroom(dice: Dice) -> list[Part]:
    """Return a cap on a stem, with or without spots, gills and a skirt."""
    wide, rise = dice.between(0.62, 0.92), dice.between(0.5, 0.85)
    stem, lip = dice.between(0.14, 0.26), dice.between(0.06, 0.14)
    edge = dice.between(-0.2, 0.05)
    foot = stem * dice.between(1.0, 1.5)
    root = (foot, 0.85), (foot * 0.7, 0.97), (0.02, 1.0)
    stalk = mirrored(curve((stem, edge), (stem * 0.95, 0.5), *root))
    parts = [Part(stalk, "flesh", "round")]
    if dice.chance(0.4):
        skirt = [(stem * 0.9, 0.12), (stem * 1.5, 0.3), (-stem * 1.5, 0.3), (-stem * 0.9, 0.12)]
        parts.append(Part(skirt, "flesh", "round", detail=1))
    x, y = np.array([-1, -0.82, -0.3, 0.3, 0.82, 1]), np.array([0, 0.6, 0.97, 0.97, 0.6, 0])
    dome = curve(*np.stack([x * wide, edge - rise * y], 1))
    cap = path(dome, oval(0, edge, wide, lip, 0, 180)[1:-1])
    parts.append(Part(cap, "cap", "ball"))
    if dice.chance(0.5):
        parts.append(Part(oval(0, edge + 0.01, wide * 0.9, lip * 0.8), "gills", detail=1))
    spots = [(-0.5, -0.25), (0.02, -0.65), (0.5, -0.22), (0.05, -0.2), (-0.3, -0.6), (0.38, -0.55)]
    for x, y in spots[: dice.whole(3, 6)] if dice.chance(0.6) else ():
        x, size = x + dice.between(-0.06, 0.06), dice.between(0.06, 0.12)
        spot = oval(x * wide, edge - 0.08 + y * rise, size, size * 0.8)
        parts.append(Part(spot, "spot", detail=1))
    return parts


def fish(dice: Dice) -> list[Part]:
    """Return a fish from the side, nose to the right."""
    tall, nose = dice.between(0.3, 0.5), dice.between(0.85, 1.0)
    stem = dice.between(0.06, 0.1)
    head, back = (nose * 0.72, -tall * 0.62), (-0.3, -tall * 0.62)
    upper = (nose, 0.02), head, (0.15, -tall), back, (-0.6, -stem)
    lower = (-0.6, stem), (-0.3, tall * 0.6), (0.15, tall * 0.95), (nose * 0.75, tall * 0.55)
    parts = [_tail(dice, stem), Part(_fin(dice, tall, -1), "fin", detail=1)]
    if dice.chance(0.6):
        parts.append(Part(_fin(dice, tall * 0.8, 1), "fin", detail=1))
    parts.append(Part(curve(*upper, *lower, closed=True), "body", "ball"))
    parts += _fish_marks(dice, tall)
    gill = oval(0.3, 0.02, 0.13, tall * 0.62, -75, 75)
    mouth = curve((nose - 0.01, 0.06), (nose - 0.08, 0.1), (nose - 0.16, 0.09))
    side = curve((0.12, 0.05), (-0.02, -0.02), (-0.16, 0.12), (0.0, 0.2), closed=True)
    return [
        *parts,
        Part(gill, "seam", line=0.03, detail=1),
        Part(mouth, "seam", line=0.03, detail=2),
        Part(side, "fin", detail=2),
        Part(oval(0.62, -tall * 0.22, 0.085), "white"),
        Part(oval(0.63, -tall * 0.22, 0.045), "dark", detail=1),
    ]


def _tail(dice: Dice, stem: float) -> Part:
    """Return a forked, a straight or a rounded tail fin."""
    kind, high = dice.whole(0, 2), dice.between(0.26, 0.42)
    upper, lower = (-0.55, -stem), (-0.55, stem)
    if kind == 0:
        return Part([lower, (-1, high), (-0.84, 0), (-1, -high), upper], "fin")
    if kind == 1:
        return Part([lower, (-0.95, high * 0.85), (-0.95, -high * 0.85), upper], "fin")
    below, above = ((-0.8, high * 0.8), (-0.98, high * 0.5)), ((-0.98, -high * 0.5),)
    return Part(path(lower, curve(*below, (-1, 0), *above, (-0.8, -high * 0.8)), upper), "fin")


def _fin(dice: Dice, tall: float, side: int) -> np.ndarray:
    """Return a back (side -1) or belly (side 1) fin."""
    reach = tall + dice.between(0.12, 0.24)
    ridge = curve((0.1, side * reach), (-0.15, side * reach), (-0.3, side * tall * 0.85))
    return path((0.38, side * tall * 0.8), ridge, (-0.25, side * tall * 0.5))


def _fish_marks(dice: Dice, tall: float) -> list[Part]:
    """Return stripes, scales, or nothing for a plain skin."""
    kind = dice.whole(0, 2)
    if kind == 0:
        return []
    if kind == 1:
        return [_stripe(x, tall) for x in (-0.32, -0.08, 0.16)[: dice.whole(2, 3)]]
    scales = [
        oval(x, y * tall, 0.08, 0.09, -80, 80)
        for x in (-0.3, -0.12, 0.06)
        for y in (-0.4, 0.0, 0.4)
    ]
    return [Part(scale, "seam", line=0.02, detail=2) for scale in scales]


def _stripe(x: float, tall: float) -> Part:
    high = tall * (0.93 - 1.6 * (x - 0.12) ** 2)
    front = (x, -high), (x + 0.07, 0), (x, high)
    rear = (x - 0.08, high * 0.9), (x - 0.03, 0), (x - 0.08, -high * 0.9)
    return Part(curve(*front, *rear, closed=True), "skin", "ball", detail=1)


def house(dice: Dice) -> list[Part]:
    """Return a house from the front, or at an angle with a long roof."""
    half, eave = dice.between(0.6, 0.78), dice.between(-0.25, 0.0)
    ridge, over = dice.between(-0.95, -0.7), dice.between(0.08, 0.2)
    parts = []
    if dice.chance(0.6):
        x = dice.one_of((-1, 1)) * dice.between(0.3, 0.45)
        chimney = box(x - 0.09, ridge + dice.between(-0.08, 0.1), x + 0.09, eave)
        parts.append(Part(chimney, "brick", detail=1))
    parts.append(Part(box(-half, eave - 0.05, half, 0.9), "wall"))
    slope = dice.chance(0.4)
    flat = half * dice.between(0.35, 0.7) if slope else 0.0
    gable = [(-half - over, eave), (-flat, ridge), (flat, ridge), (half + over, eave)]
    parts.append(Part(gable if slope else gable[:2] + gable[3:], "tiles"))
    if not slope and dice.chance(0.4):
        parts.append(Part(oval(0, eave - 0.26, 0.12), "glass", detail=2))
    return parts + _openings(dice, half, eave)


def _openings(dice: Dice, half: float, eave: float) -> list[Part]:
    """Return a door and one or two windows with bars."""
    x, wide = dice.one_of((-0.32, 0.0, 0.3)), dice.between(0.12, 0.17)
    top = dice.between(0.25, 0.38)
    parts = [
        Part(box(x - wide, top, x + wide, 0.9), "door"),
        Part(oval(x + wide * 0.6, (top + 0.9) / 2, 0.03), "chrome", detail=2),
    ]
    size, y = dice.between(0.11, 0.15), (eave + 0.9) / 2 - dice.between(0.08, 0.16)
    beside = half * 0.45 if x < 0 else -half * 0.45  # the door
    for at in (beside,) if x else (-half * 0.62, half * 0.62):
        parts.append(Part(box(at - size, y - size, at + size, y + size), "glass"))
        for bar in ([(at, y - size), (at, y + size)], [(at - size, y), (at + size, y)]):
            parts.append(Part(bar, "white", line=0.03, detail=2))
    return parts


def lighthouse(dice: Dice) -> list[Part]:
    """Return a tall tapering tower with a gallery and a lantern."""
    low, high = dice.between(0.28, 0.38), dice.between(0.16, 0.22)
    top = -dice.between(0.45, 0.55)
    parts = []
    if dice.chance(0.5):
        left = (-0.75, 1.02), (-0.55, 0.85), (-0.2, 0.8)
        rock = curve(*left, (0.25, 0.82), (0.6, 0.88), (0.75, 1.02))
        parts.append(Part(rock, "stone", "ball", detail=1))
    tower = [(-high, top), (high, top), (low, 0.98), (-low, 0.98)]
    parts.append(Part(tower, "tower", "round"))
    edges = np.linspace(top, 0.98, dice.whole(3, 6) + 1)
    half = high + (low - high) * (edges - top) / (1 - top)  # of the tower's width at the edges
    for i in range(0, len(edges) - 1, 2) if dice.chance(0.8) else ():
        (a, b), (x, y) = edges[i : i + 2], half[i : i + 2]
        parts.append(Part([(-x, a), (x, a), (y, b), (-y, b)], "trim", "round", detail=1))
    ends, eaves = (high * 0.85, top - 0.25), (high * 0.5, top - 0.38)
    roof = curve((-eaves[0], eaves[1]), (0, top - 0.45), eaves)
    return [
        *parts,
        Part(box(-0.09, 0.74, 0.09, 0.98), "door", detail=1),
        Part(box(-0.06, -0.05, 0.06, 0.1, 0.03), "glass", detail=2),
        Part(box(-high * 0.62, top - 0.26, high * 0.62, top), "lamp", "round"),
        Part(box(-high * 1.35, top - 0.07, high * 1.35, top + 0.03), "trim", "round"),
        Part(path((-ends[0], ends[1]), roof, ends), "trim", "ball"),
    ]


def umbrella(dice: Dice) -> list[Part]:
    """Return an open umbrella with panels, a shaft and a crook."""
    wide, edge = dice.between(0.8, 0.98), dice.between(-0.2, 0.0)
    rise, panels = dice.between(0.55, 0.8), dice.whole(3, 5)
    ends = np.linspace(-wide, wide, panels + 1)
    hem = [oval((a + b) / 2, edge, (b - a) / 2, 0.09, 180, 360)[:-1] for a, b in pairwise(ends)]
    dome = oval(0, edge, wide, rise, 360, 180)
    shaft = dice.between(0.025, 0.045)
    hook, foot = dice.one_of((-1, 1)) * dice.between(0.11, 0.16), dice.between(0.72, 0.85)
    crook = path((0, edge - 0.1), (0, foot), oval(hook, foot, -hook, abs(hook), 0, 180))
    parts = [
        Part(crook, "wood", "round", line=2 * shaft + 0.02),
        Part(box(-0.03, edge - rise - 0.12, 0.03, edge - rise + 0.05), "wood"),
        Part(path(*hem, dome[:-1]), "body", "ball"),
    ]
    return parts + _panels(dice, ends, edge, rise)


def _panels(dice: Dice, ends: np.ndarray, edge: float, rise: float) -> list[Part]:
    """Return ribs between the panels, and perhaps every other panel in a second colour."""
    tip = np.array([0, edge - rise])
    ribs = [curve(tip, (x * 0.72, edge - rise * 0.62), (x, edge)) for x in ends]
    parts = []
    for i in range(1, len(ends) - 1, 2) if dice.chance(0.5) else ():
        a, b = ends[i : i + 2]
        hem = oval((a + b) / 2, edge, (b - a) / 2, 0.09, 360, 180)
        parts.append(Part(path(ribs[i + 1], hem, ribs[i][::-1]), "cloth", "ball", detail=1))
    return parts + [Part(rib, "seam", line=0.02, detail=1) for rib in ribs[1:-1]]
