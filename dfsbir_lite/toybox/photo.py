"""Photographs: shaded, textured objects in a scene, under changing light, with a real lens.

All colours are RGB in [0, 1]; light directions are in frame axes (x right, y down, z towards
the viewer).
"""

from math import cos, exp, hypot, radians, sin, sqrt, tan

import cv2
import numpy as np

from dfsbir_lite.toybox import geometry, materials
from dfsbir_lite.toybox.geometry import Dice, Part, Pose, fill, fixed, ribbon
from dfsbir_lite.toybox.materials import Paint, pick, shade_of

Light = tuple[float, float, float]

# --- light on a surface ---------------------------------------------------------------------


def _ramp(side: int) -> np.ndarray:
    """Return frame coordinates of pixel centres along one axis, (side,) float32."""
    return ((np.arange(side) + 0.5) / side).astype(np.float32)


def _local(pose: Pose, part: Part, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates (u, v) of frame points across a part's own box, about [-1, 1]."""
    (a, b), (c, d) = pose.inverse.tolist()
    (x0, y0), (x1, y1) = part.points.min(0).tolist(), part.points.max(0).tolist()
    least = 0.5 * part.line + 1e-3
    wide, tall = max((x1 - x0) / 2, least), max((y1 - y0) / 2, least)
    shift_x, shift_y = pose.shift.tolist()
    x, y = x - shift_x, y - shift_y
    u = (x * (a / wide))[None, :] + (y * (b / wide) - (x0 + x1) / 2 / wide)[:, None]
    v = (x * (c / tall))[None, :] + (y * (d / tall) - (y0 + y1) / 2 / tall)[:, None]
    return u, v


def _lit(shade: str, u: np.ndarray, v: np.ndarray, light: Light) -> np.ndarray:
    """Return Lambert's cosine, (h, w), for the simple body that the part stands for."""
    lx, ly, lz = light
    if shade == "round":
        u = np.minimum(np.maximum(u, -1), 1)
        return lx * u + lz * np.sqrt(1 - u * u)
    if shade == "roundh":
        v = np.minimum(np.maximum(v, -1), 1)
        return ly * v + lz * np.sqrt(1 - v * v)
    if shade == "ball":
        u, v = 0.85 * u, 0.85 * v
        return lx * u + ly * v + lz * np.sqrt(np.maximum(1 - u * u - v * v, 0))
    if shade == "hollow":
        return 0.66 - 0.4 * (lx * u + ly * v)
    return 0.72 + 0.14 * (lx * u + ly * v)


def _grain(paint: Paint, weave: np.ndarray | float, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the relative lightness of the material's texture, (h, w)."""
    if paint.grain == "metal":
        pattern = np.sin(4.2 * u + 2.4 * v + weave)
    elif paint.grain == "tiles":
        pattern = np.sin(v * 17 + 0.6 * np.sin(u * 30 + weave))
    elif paint.grain == "brick":
        row = np.floor(v * 7)
        joint = np.minimum(np.abs(v * 7 - row - 0.5), np.abs((u * 4 + row / 2) % 1 - 0.5))
        pattern = (joint < 0.36).astype(np.float32) - 0.5
    else:
        pattern = cv2.resize(weave, u.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return paint.strength * pattern


def _paint(
    canvas: np.ndarray, dice: Dice, part: Part, paint: Paint, pose: Pose, light: Light
) -> None:
    """Paint one part over the canvas, (side, side, 3) float32, in place."""
    side = canvas.shape[0]
    # a small grid or a single phase, before any return, so that dice roll alike at all sizes
    cells = {"wood": (3, 12), "leaf": (15, 15), "speck": (14, 14)}.get(paint.grain)
    weave = dice.grid(*cells) if cells else dice.between(0, 6)
    outlines = [_outline(part, pose), *(pose(hole) for hole in part.holes)]
    pixels = [fixed(points, side) for points in outlines]
    x0, y0 = low = np.maximum((pixels[0].min(0) >> geometry.SUBPIXEL_BITS) - 1, 0)
    x1, y1 = np.minimum((pixels[0].max(0) >> geometry.SUBPIXEL_BITS) + 3, side)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    fill(mask, [points - (low << geometry.SUBPIXEL_BITS) for points in pixels])
    alpha = mask * np.float32(1 / 255)
    ramp = _ramp(side)
    u, v = _local(pose, part, ramp[x0:x1], ramp[y0:y1])
    lit = _lit(part.shade, u, v, _turned(light, pose))
    shade = (0.42 + 0.72 * np.maximum(lit, 0)) * (1 + _grain(paint, weave, u, v))
    # Outlines darken a little, as thickness and dirt make them do; it sets parts apart.
    rim = max(1, round(side * 0.035)) | 1
    shade *= 0.66 + cv2.blur(mask, (rim, rim)) * np.float32(0.34 / 255)
    colour = shade[..., None] * paint.colour.astype(np.float32)
    if paint.gloss > 0.05 and part.shade != "flat":
        spot = np.maximum(lit - 0.86, 0) * (1 / 0.14)
        colour += (paint.gloss * 0.75 * spot * spot)[..., None]
    area = canvas[y0:y1, x0:x1]
    area += (colour - area) * alpha[..., None]


def _turned(light: Light, pose: Pose) -> Light:
    """Return the light direction in the object's own axes, unit length."""
    x, y, z = light
    (a, b), (c, d) = pose.matrix.tolist()
    x, y, across = a * x + c * y, b * x + d * y, hypot(x, y)
    scale = across / (hypot(x, y) + 1e-9)
    return x * scale, y * scale, z


# --- surroundings ---------------------------------------------------------------------------


def _surface(dice: Dice, cells: tuple[int, int], side: int) -> np.ndarray:
    """Return noise for a surface; grainy ones (many cells) get a finer layer on top."""
    coarse = _field(dice, cells, side)
    if min(cells) < 20:
        return coarse
    return 0.6 * coarse + 0.7 * _field(dice, (3 * cells[0], 3 * cells[1]), side)


def _field(dice: Dice, cells: tuple[int, int], side: int) -> np.ndarray:
    """Return smooth noise in about [-1, 1], (side, side), the same picture at every size."""
    return cv2.resize(dice.grid(*cells), (side, side), interpolation=cv2.INTER_CUBIC)


def _flat_scene(dice: Dice, scene: str, side: int) -> np.ndarray:
    """Return a surface seen from above, or a plain wall behind."""
    colours, cells, strength = materials.FLATS[scene]
    if dice.chance(0.5):
        cells = cells[::-1]
    base = shade_of(dice, dice.one_of(colours), 0.1).astype(np.float32)
    across, down = dice.between(-0.22, 0.22), dice.between(-0.22, 0.22)
    if scene == "deep":
        down -= 0.25  # less light reaches deeper water
    ramp = _ramp(side) - 0.5
    tone = strength * _surface(dice, cells, side)
    tone += (1 + across * ramp)[None, :] + (down * ramp)[:, None]
    return tone[..., None] * base


def _deep_scene(dice: Dice, scene: str, side: int, horizon: float, slope: float) -> np.ndarray:
    """Return ground or water up to a sloping horizon, and a wall or the sky above it."""
    colours, cells, strength = materials.GROUNDS[scene]
    near = shade_of(dice, dice.one_of(colours), 0.1)
    if scene == "table":
        top = low = shade_of(dice, dice.one_of(materials.WALLS), 0.1)
    else:
        top, low = (shade_of(dice, code, 0.05) for code in dice.one_of(materials.SKIES))
    # Tones are looked up in one column of colours, drawn down the frame from 0.25 above it to
    # 0.25 below, so that a rolled camera only shifts where each picture column reads.
    at = np.linspace(-0.25, 1.25, 2 * side, dtype=np.float32)
    depth = np.clip((at - horizon) / max(1 - horizon, 0.05), 0, 1)[:, None]
    ground = near * (0.78 + 0.3 * depth) + 0.14 * (1 - depth) * low
    above = top + (low - top) * np.clip(at / max(horizon, 0.05), 0, 1)[:, None]
    column = above + (ground - above) * _ground_share(at, horizon, side)[:, None]
    rows = _ramp(side)[:, None] - slope * (_ramp(side)[None, :] - 0.5)
    where = ((np.clip(rows, -0.25, 1.25) + 0.25) / 1.5 * (2 * side - 1)).astype(np.int32)
    canvas = column.astype(np.float32)[where]
    split = _ground_share(rows, horizon, side)
    air = (0.05 if scene == "table" else 0.09) * _field(dice, (7, 4), side)
    canvas *= (1 + air + (strength * _surface(dice, cells, side) - air) * split)[..., None]
    return canvas


def _ground_share(y: np.ndarray, horizon: float, side: int) -> np.ndarray:
    """Return 1 below the horizon, 0 above it, antialiased."""
    return np.clip((y - horizon) * side + 0.5, 0, 1)


_FRAME = Pose(np.eye(2), np.eye(2), np.zeros(2), np.zeros(2))


def _thing(dice: Dice, x: float, y: float, size: float, standing: bool) -> Part:
    """Return a small distractor in frame units: a box, a ball, a post, a bush or a peak.

    (x, y) is the middle of its foot if it is standing, else its centre.
    """
    kind, ratio = dice.whole(0, 4), exp(dice.between(-0.6, 0.6))
    w, h = size * ratio, size / ratio
    if kind == 2:
        angle = np.pi / 2 + dice.between(-0.12, 0.12) if standing else dice.between(0, np.pi)
        y -= 1.5 * size * standing
        reach = 1.5 * size * np.array([np.cos(angle), np.sin(angle)])
        ends = np.array([x, y]) + np.outer((-1, 1), reach)
        return Part(ribbon(ends, size * dice.between(0.2, 0.45)), "post", "round")
    y -= h * standing
    if kind == 0:
        radius = dice.between(0, 0.3) * min(w, h)
        return Part(geometry.box(x - w, y - h, x + w, y + h, radius), "box")
    if kind == 1:
        return Part(geometry.oval(x, y, w, h), "ball", "ball")
    if kind == 3:
        return Part(geometry.lumpy(x, y, w, h, 6, 0.25), "bush", "ball")
    tip = (x + w * dice.between(-0.5, 0.5), y - h)
    return Part([(x - w, y + h), tip, (x + w, y + h)], "peak")


def _clutter(dice: Dice, horizon: float, level: bool) -> list[tuple[Part, Paint]]:
    """Return distractors behind the object, on level ground or anywhere."""
    things = []
    for _ in range(dice.whole(0, 6)):
        size, x = dice.between(0.03, 0.14), dice.between(0, 1)
        y = horizon + dice.between(0.0, 0.9) * (1 - horizon) if level else dice.between(0, 1)
        thing = _thing(dice, x, y, size, level)
        things.append((thing, pick(dice, dice.one_of(materials.CLUTTER[thing.role]))))
    # What stands nearer stands lower in the frame and hides what is further off.
    return sorted(things, key=lambda pair: pair[0].points[:, 1].max()) if level else things


def _occluder(dice: Dice, outline: np.ndarray, standing: bool) -> tuple[Part, Paint]:
    """Return something in front that hides a bit of the object's border."""
    low, high = outline.min(0), outline.max(0)
    x, y = low + (high - low) * (dice.between(0, 1), dice.between(0, 1))
    # In proportion to the object, or a slender tower would vanish behind it.
    size = dice.between(0.13, 0.28) * sqrt(np.prod(high - low))
    if standing:
        x, y = dice.one_of((low[0], high[0], x)), high[1] + dice.between(0.0, 0.06)
    else:
        x, y = dice.one_of(((low[0], y), (high[0], y), (x, low[1]), (x, high[1])))
    thing = _thing(dice, x, y, size, standing)
    return thing, pick(dice, dice.one_of(materials.CLUTTER[thing.role]))


def _cast_shadows(
    canvas: np.ndarray, dice: Dice, outlines: list[list], light: Light, slope: float, level: bool
) -> None:
    """Darken the ground where things keep the light off.

    outlines: one list of (P, 2) frame-unit outlines for each thing. On level ground
    each lies flat at its thing's foot, behind it and to one side; elsewhere it is a shifted copy.
    """
    side = canvas.shape[0]
    mask = np.zeros((side, side), np.uint8)
    reach, squash = dice.between(0.025, 0.06), dice.between(0.12, 0.3)
    for outline in outlines:
        foot = max((points[:, 1] - slope * points[:, 0]).max() for points in outline)
        for points in outline:
            if level:
                high = foot + slope * points[:, 0] - points[:, 1]
                x = points[:, 0] - 0.7 * light[0] * high
                points = np.stack([x, foot + slope * x + 0.012 - squash * high], 1)
            else:
                points = points - (reach * light[0], reach * light[1])
            fill(mask, [fixed(points, side)])
    soft = cv2.GaussianBlur(mask, (0, 0), dice.between(0.01, 0.025) * side)
    canvas *= 1 - soft[..., None] * np.float32(dice.between(0.4, 0.65) / 255)


# --- the lens -------------------------------------------------------------------------------


def _develop(canvas: np.ndarray, dice: Dice, size: int) -> np.ndarray:
    """Add exposure, warmth, vignette, blur and noise: float32 to uint8 (size, size, 3)."""
    warmth = dice.between(-0.1, 0.12)
    gain = exp(dice.between(-0.38, 0.32)) * np.array([1 + warmth, 1, 1 - warmth], np.float32)
    contrast, vignette = dice.between(0.7, 1.15), dice.between(0, 0.4)
    blur, noise = 0.009 * dice.between(0, 1) ** 2, dice.between(0.006, 0.026)
    if blur * canvas.shape[0] > 0.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), blur * canvas.shape[0])
    if canvas.shape[0] != size:
        canvas = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    ramp = 2 * _ramp(size) - 1
    radius2 = (ramp[None, :] ** 2 + ramp[:, None] ** 2) / 2  # from the centre; 1 at the corners
    canvas = canvas * (1 - vignette * radius2)[..., None] * gain
    canvas = 0.45 + (canvas - 0.45) * contrast
    bright = np.maximum(canvas - 0.72, 0)
    canvas += bright / (1 + bright / 0.28) - bright  # highlights roll off instead of burning out
    canvas += noise * dice.normal(size, size, 3)
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


def photograph(parts: list[Part], name: str, dice: Dice, size: int) -> np.ndarray:
    """Photograph the parts of an object of class `name`: (size, size, 3) uint8 RGB."""
    parts = [part for part in parts if part.role != "air"]
    side = size * (2 if size < 96 else 1)
    scene = dice.one_of(materials.SCENES[name])
    level = scene in materials.GROUNDS  # things stand on the ground, else lie on a surface
    roll = radians(dice.between(-12, 12))  # of the camera: it turns the ground as well
    slope = tan(roll)
    lying = name in materials.LYING
    tilt = radians(180 if lying else materials.TILT.get(name, 2))
    points = np.concatenate([part.points for part in parts])
    angle, share = roll + dice.between(-tilt, tilt), (0.62, 1.0) if lying else (0.48, 0.94)
    pose = geometry.aim(points, dice, angle, share, stray=0.25)
    outlines = [_outline(part, pose) for part in parts if part.detail == 0]
    silhouette = np.concatenate(outlines)
    horizon = min(float(silhouette[:, 1].max()) - dice.between(0.04, 0.34), 0.9)
    sun = radians(dice.between(-150, -30))  # above, a little to one side
    light = 0.7 * cos(sun), 0.7 * sin(sun), 0.714
    if level:
        canvas = _deep_scene(dice, scene, side, horizon, slope)
    else:
        canvas = _flat_scene(dice, scene, side)
    clutter = _clutter(dice, horizon, level)
    shadows = [[thing.points] for thing, _ in clutter] + [outlines]
    _cast_shadows(canvas, dice, shadows, light, slope, level)
    for thing, paint in clutter:
        _paint(canvas, dice, thing, paint, _FRAME, light)
    paints = materials.paints_for(dice, name, parts)
    for part in parts:
        _paint(canvas, dice, part, paints[part.role], pose, light)
    if dice.chance(0.5):
        _paint(canvas, dice, *_occluder(dice, silhouette, level), _FRAME, light)
    return _develop(canvas, dice, size)


def _outline(part: Part, pose: Pose) -> np.ndarray:
    """Return the closed outline of a part in frame units."""
    return pose(ribbon(part.points, part.line) if part.line else part.points)
