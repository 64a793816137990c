"""Mug, teacup, teapot, spoon, fork, key: from dice to a list of parts.

Every function draws proportions and variants anew, so no two mugs are alike. Parts are in
object units (x right, y down, about [-1, 1]) and in painting order.
"""

import numpy as np

from .geometry import Part, box, curve, mirrored, oval, path, ribbon


def _ear(dice, start, end, reach):
    """The centre line of a handle on the right, from one point of a vessel's wall to another."""
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


def _mouth(dice, y, radius, tilt):
    """A vessel's rim: the lip, the inside, and perhaps what it holds."""
    parts = [
        Part(oval(0, y, radius, radius * tilt), "body", "flat"),
        Part(oval(0, y + 0.01, radius * 0.9, radius * tilt * 0.82), "inside", "hollow", detail=1),
    ]
    if dice.chance(0.7):
        parts.append(
            Part(oval(0, y + 0.05 * tilt, radius * 0.82, radius * tilt * 0.6), "drink", detail=2)
        )
    return parts


def _steam(dice, y):
    """Wisps above a hot drink; only sketches show them."""
    if not dice.chance(0.3):
        return []
    rows = y - np.array([0.1, 0.22, 0.34, 0.46])
    sway = 0.06 * np.array([1, -1, 1, -1])
    return [
        Part(curve(*np.stack([x + sway, rows], 1)), "air", line=0.02, detail=2)
        for x in (-0.22, 0.02, 0.26)[: dice.whole(2, 3)]
    ]


def mug(dice):
    """A straight-sided mug with a handle."""
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


def _mug_pattern(dice, half, foot, tall, dip):
    """Nothing, one or two bands, or a spot on the front of a mug."""
    kind = dice.whole(0, 3)
    if kind == 0:
        return []
    if kind == 3:
        size = dice.between(0.16, 0.24)
        return [Part(oval(dice.between(-0.1, 0.1), 0.1, size), "trim", detail=2)]
    heights = (0.15,) if kind == 1 else (-0.15, 0.3)
    bands = []
    for y in heights:
        radius = half + (foot - half) * (y + tall) / (2 * tall)
        upper = oval(0, y - 0.08, radius, dip, 0, 180)
        lower = oval(0, y + 0.08, radius, dip, 180, 0)
        bands.append(Part(path(upper, lower), "trim", "round", detail=2))
    return bands


def teacup(dice):
    """A low, wide cup with a curved wall, most often on a saucer."""
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
        parts.append(Part(oval(0, tall + 0.03, wide, wide * tilt), "body", "flat"))
        parts.append(
            Part(oval(0, tall + 0.01, wide * 0.6, wide * 0.55 * tilt), "body", "hollow", detail=1)
        )
    parts.append(Part(handle, "body", "round", line=dice.between(0.07, 0.12)))
    parts.append(Part(mirrored(right), "body", "round"))
    if dice.chance(0.4):
        rim = path(
            oval(0, -tall * 0.7, half * 0.97, half * tilt, 0, 180),
            oval(0, -tall * 0.5, half * 0.94, half * tilt, 180, 0),
        )
        parts.append(Part(rim, "trim", "round", detail=2))
    return parts + _mouth(dice, -tall, half, tilt) + _steam(dice, -tall)


def teapot(dice):
    """A round pot with spout, handle, lid and knob."""
    half, tall = dice.between(0.5, 0.6), dice.between(0.42, 0.56)
    neck, foot = half * dice.between(0.45, 0.6), half * dice.between(0.5, 0.75)
    right = curve(
        (neck, -tall),
        (half * 0.86, -tall * 0.62),
        (half, 0.05),
        (half * 0.82, tall * 0.72),
        (foot, tall),
    )
    low, high = dice.between(0.15, 0.3), -tall * dice.between(0.65, 0.95)
    spout = curve(
        (-half * 0.8, low),
        (-half - 0.2, low - 0.08),
        (-half - 0.26, high * 0.45),
        (-half - 0.45, high),
    )
    widths = np.linspace(0.3, dice.between(0.1, 0.14), len(spout))
    handle = _ear(
        dice, (half * 0.84, -tall * 0.55), (half * 0.88, tall * 0.5), dice.between(0.34, 0.44)
    )
    rise = dice.between(0.14, 0.26)
    parts = [
        Part(
            handle, "trim" if dice.chance(0.3) else "body", "round", line=dice.between(0.09, 0.14)
        ),
        Part(ribbon(spout, widths), "body", "roundh"),
        Part(mirrored(right), "body", "ball"),
        Part(path(oval(0, -tall, neck * 1.08, rise, 180, 360)), "body", "ball"),
        Part(oval(0, -tall - rise - 0.05, 0.09, 0.08), "trim", "ball"),
    ]
    if dice.chance(0.5):
        parts.insert(
            3,
            Part(
                path(oval(0, 0.05, half, 0.12, 0, 180), oval(0, 0.2, half * 0.98, 0.12, 180, 0)),
                "trim",
                "round",
                detail=2,
            ),
        )
    return parts


def _handle(dice, end, waist, top, bottom):
    """Right half of a spoon's or fork's handle: slim at the waist, wide or round at the end."""
    tip = bottom - dice.between(0.02, 0.1)
    return curve(
        (waist, top),
        (waist * 1.05, top * 0.4 + bottom * 0.6 - 0.15),
        (end, tip - 0.12),
        (end * 0.75, tip),
        (0.01, bottom),
    )


def spoon(dice):
    """A bowl and a handle, seen from above."""
    wide, tall = dice.between(0.26, 0.36), dice.between(0.32, 0.42)
    waist, end = dice.between(0.05, 0.075), dice.between(0.075, 0.12)
    neck = -1 + 2 * tall
    bowl = curve(
        (0.01, -1),
        (wide * 0.72, -1 + 0.25 * tall),
        (wide, -1 + 0.9 * tall),
        (wide * 0.6, neck - 0.2 * tall),
        (waist, neck + 0.06),
    )
    outline = mirrored(path(bowl, _handle(dice, end, waist, neck + 0.12, 1.0)))
    hollow = oval(0, -1 + 0.93 * tall, wide * 0.74, tall * 0.74)
    parts = [Part(outline, "body", "round"), Part(hollow, "body", "hollow", detail=1)]
    return parts + _handle_mark(dice, end)


def fork(dice):
    """Tines, a shoulder and a handle, seen from above."""
    tines, wide = dice.whole(3, 4), dice.between(0.24, 0.32)
    waist, end = dice.between(0.05, 0.075), dice.between(0.075, 0.12)
    root, shoulder = dice.between(-0.6, -0.5), dice.between(-0.34, -0.22)
    pitch = 2 * wide / (2 * tines - 1)
    comb = []
    for i in range(tines):
        x = -wide + 2 * i * pitch
        comb += [
            (x, root),
            (x + 0.15 * pitch, -0.97),
            (x + 0.5 * pitch, -1),
            (x + 0.85 * pitch, -0.97),
            (x + pitch, root),
        ]
    right = path(
        curve(
            (wide, root),
            (wide * 0.95, root + 0.15),
            (wide * 0.45, shoulder),
            (waist, shoulder + 0.14),
        ),
        _handle(dice, end, waist, shoulder + 0.2, 1.0),
    )
    outline = path(comb, right[1:], (right[1:] * (-1, 1))[::-1])
    return [Part(outline, "body", "round"), *_handle_mark(dice, end)]


def _handle_mark(dice, end):
    """A hole or an inlay near the end of a handle."""
    if not dice.chance(0.4):
        return []
    return [Part(oval(0, 0.82, end * 0.45, 0.07), "trim", detail=2)]


def key(dice):
    """A bow with a hole, a shaft and a bit with teeth."""
    bow, shaft = dice.between(0.34, 0.44), dice.between(0.065, 0.09)
    centre = -1 + bow
    head, hole, root = _bow(dice, bow, centre)
    parts = [Part(box(-shaft, centre + root, shaft, 1.0, shaft * 0.6), "body", "round")]
    parts += _bit(dice, shaft)
    if dice.chance(0.5):
        y = centre + bow + 0.06
        parts.append(
            Part(box(-shaft * 1.7, y, shaft * 1.7, y + 0.1, 0.04), "body", "round", detail=1)
        )
    parts.append(Part(head, "head", "ball", holes=(hole,)))
    return parts


def _bow(dice, bow, centre):
    """A key's bow, a ring, a rounded square, a trefoil or an oval: outline, hole, and how far
    below its centre the shaft grows out of it."""
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


def _bit(dice, shaft):
    """The teeth: a warded block of an old key, or the saw edge of a modern one."""
    if dice.chance(0.5):
        reach, start = dice.between(0.26, 0.36), dice.between(0.52, 0.64)
        notch = dice.between(0.4, 0.7)
        points = [
            (0, start),
            (reach, start),
            (reach, start + 0.1),
            (reach * notch, start + 0.1),
            (reach * notch, start + 0.18),
            (reach, start + 0.18),
            (reach, start + 0.3),
            (0, start + 0.3),
        ]
        return [Part(np.array(points), "body")]
    count, top = dice.whole(2, 4), dice.between(0.1, 0.35)
    edges = np.linspace(top, 0.95, 2 * count + 1)
    points = [(0, top)]
    for i in range(count):
        reach = shaft + dice.between(0.12, 0.22)
        points += [
            (reach, edges[2 * i] + 0.02),
            (reach, edges[2 * i + 1]),
            (shaft, edges[2 * i + 1] + 0.02),
            (shaft, edges[2 * i + 2]),
        ]
    return [Part(path(points, (0, 0.95)), "body")]
