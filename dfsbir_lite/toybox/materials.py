"""What things are made of and where they stand: tables of colours, materials and scenes.

Colours overlap between classes on purpose, and so do scenes: neither gives a class away.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dfsbir_lite.toybox.geometry import Dice, Part

BRIGHT = (
    "#b8322a", "#2f5f9e", "#3d7d4a", "#e0a52c", "#e8e4da", "#33373c",
    "#d9702e", "#3c8a8c", "#7d4a78", "#8fb0c4", "#c98f9a", "#a8a79f",
)  # fmt: skip
WOODY = ("#a8703c", "#7d4f2a", "#c79a62", "#5d3b24")
SAILS = ("#f0ece0", "#e6ddc4", "#d8c9a6", "#c8553d", "#e8b64c", "#7fa3b8")
CAPS = ("#b8322a", "#9a5a30", "#c98f55", "#d9b98a", "#7d4a38", "#d9702e", "#e8dcc8")
PLASTERS = ("#e8dcc4", "#d8c0a0", "#c8d0d0", "#e4e0d8", "#d49a80", "#e0c878", "#9fb4bc")

# name: colours, gloss 0..1, grain (see `photo._grain`), grain strength
MATERIALS = {
    "ceramic": (BRIGHT, 0.7, "speck", 0.02),
    "paint": (BRIGHT, 0.55, "speck", 0.03),
    "cloth": (BRIGHT, 0.0, "speck", 0.06),
    "canvas": (SAILS, 0.0, "speck", 0.06),
    "steel": (("#b9bdc2", "#9aa0a6", "#d2d4d6"), 0.9, "metal", 0.28),
    "brass": (("#c39a4a", "#b27f3a", "#8f6a3a"), 0.8, "metal", 0.25),
    "plastic": (BRIGHT, 0.4, "speck", 0.02),
    "wood": (WOODY, 0.1, "wood", 0.13),
    "leaf": (("#4f7d34", "#6a9440", "#3a6a38", "#8a9a3c", "#c98a2c", "#b5532c"), 0.0, "leaf", 0.3),
    "bark": (("#6b4a30", "#5a4636", "#7d6450"), 0.0, "wood", 0.2),
    "fruit": (("#c23a2c", "#e0a030", "#d86a3a"), 0.5, "speck", 0.03),
    "cap": (CAPS, 0.35, "speck", 0.06),
    "flesh": (("#ece2cc", "#d9c8a6", "#c9b08a"), 0.0, "wood", 0.06),
    "spot": (("#f4ece0", "#f0e0c0"), 0.1, "speck", 0.03),
    "skin": ((*BRIGHT, "#c0c8cc", "#d98a3c"), 0.5, "speck", 0.12),
    "plaster": (PLASTERS, 0.0, "speck", 0.06),
    "brick": (("#a4553c", "#b56a4a", "#8a4a3a"), 0.0, "brick", 0.16),
    "tiles": (("#9a4a34", "#6a4a40", "#54606a", "#b0603c", "#3c5a50"), 0.0, "tiles", 0.13),
    "glass": (("#3c5064", "#5a788c", "#2c3844", "#86a8bc", "#f0d890"), 0.5, "speck", 0.02),
    "rubber": (("#232527", "#303234"), 0.1, "speck", 0.05),
    "drink": (("#4a2a18", "#6b3f22", "#8a4a20", "#c9a070", "#a8641f"), 0.2, "speck", 0.02),
    "white": (("#f2f0ea", "#e8e8ea"), 0.4, "speck", 0.02),
    "dark": (("#2a2826", "#3a3430", "#22262c"), 0.2, "speck", 0.03),
    "stone": (("#77736c", "#8a8378", "#5e6064"), 0.0, "leaf", 0.2),
    "soil": (("#6b4a30", "#8a7a60", "#b89a68"), 0.0, "leaf", 0.25),
    "lamp": (("#f4e6a8", "#f0f0e4", "#e8b84c"), 0.6, "speck", 0.0),
}

# What a role may be made of, if not of the material of its own name, and what the body of a class
# may be made of, if not of paint; "same" and "darker" go by the body's paint.
MADE_OF = {
    "trim": ("paint", "white"),
    "inside": ("white", "same", "same"),
    "chrome": ("steel", "white"),
    "seam": ("darker",),
    "wood": ("wood", "steel"),
    "door": ("wood", "paint"),
    "head": ("same", "same", "plastic"),
    "fin": ("same", "skin"),
    "sail": ("canvas",),
    "cargo": ("paint", "steel", "white"),
    "gills": ("flesh",),
    "wall": ("plaster", "plaster", "brick", "wood"),
    "tower": ("plaster", "white"),
    "mug": ("ceramic", "ceramic", "steel"),
    "teacup": ("ceramic", "ceramic", "white"),
    "teapot": ("ceramic", "ceramic", "steel"),
    "spoon": ("steel", "steel", "wood", "plastic", "brass"),
    "fork": ("steel", "steel", "wood", "plastic"),
    "key": ("brass", "steel"),
    "fish": ("skin",),
    "boat": ("paint", "wood"),
    "umbrella": ("cloth",),
    "house": ("plaster",),
    "lighthouse": ("plaster",),
    "mushroom": ("cap",),
    "tree": ("leaf",),
}

# class: where it may be found, the likelier ones repeated
SCENES = {
    "mug": ("table", "table", "wall", "lawn"),
    "teacup": ("table", "table", "wall", "cloth"),
    "teapot": ("table", "table", "wall", "lawn"),
    "spoon": ("board", "cloth", "wall", "stone"),
    "fork": ("board", "cloth", "wall", "stone"),
    "key": ("board", "cloth", "stone", "wall"),
    "car": ("street", "street", "lawn", "sand", "table"),
    "truck": ("street", "street", "lawn", "sand", "table"),
    "bus": ("street", "street", "lawn", "table"),
    "tree": ("lawn", "lawn", "sand", "snow", "street"),
    "mushroom": ("lawn", "lawn", "board", "snow", "wall"),
    "fish": ("deep", "deep", "board", "sea", "cloth"),
    "boat": ("sea", "sea", "sea", "sand", "table"),
    "house": ("lawn", "lawn", "snow", "street", "sand"),
    "lighthouse": ("sand", "lawn", "sea", "snow"),
    "umbrella": ("sand", "sand", "street", "wall", "lawn"),
}

WALLS = ("#d8d2c4", "#b8c4c8", "#c8b8a0", "#8a9aa0", "#e4dccc", "#a8b09a", "#c0a090", "#70787c")
SKIES = (
    ("#6a9cc8", "#cfe0ea"),
    ("#8fb4d4", "#e8ecec"),
    ("#a8b4bc", "#d4d8d8"),
    ("#5a80b0", "#f0cfa8"),
    ("#7a90b0", "#e4b4a0"),
)

# scene: colours of the ground near the viewer, grain rows and columns, grain strength
GROUNDS = {
    "table": ((*WOODY, "#d8d4cc", "#8a8680"), (22, 3), 0.1),
    "street": (("#6e6e70", "#85827e", "#55585c"), (40, 40), 0.08),
    "lawn": (("#5c8a3c", "#7a9a4a", "#4a7238", "#9aa050"), (54, 36), 0.26),
    "sand": (("#d8c08c", "#c8ac78", "#e4d0a4"), (40, 24), 0.08),
    "snow": (("#e8ecf0", "#d4dce4"), (12, 8), 0.05),
    "sea": (("#2f6a8a", "#3c8090", "#4a6a88", "#2a5068"), (34, 7), 0.2),
}
FLATS = {
    "wall": (WALLS, (5, 5), 0.05),
    "board": ((*WOODY, "#b8a890"), (3, 26), 0.14),
    "cloth": ((*BRIGHT, "#d8d0c0", "#9aa8b0"), (48, 48), 0.08),
    "stone": (("#8a8680", "#a8a49c", "#6a6c70", "#c4beb4"), (30, 30), 0.12),
    "deep": (("#2c7a9a", "#2a6a80", "#3a90a0", "#1f5070"), (4, 5), 0.16),
}
LYING = ("key", "spoon", "fork")  # seen from above and turned any way
# Most degrees from upright; 2 for the rest.
TILT = {"umbrella": 22, "fish": 24, "boat": 7, "mushroom": 8, "tree": 4}

# kind of distractor: what it may be made of
CLUTTER = {
    "box": ("paint", "wood", "plaster", "white", "cloth"),
    "ball": ("paint", "plastic", "stone", "wood", "white"),
    "post": ("wood", "steel", "dark", "paint"),
    "bush": ("leaf",),
    "peak": ("stone", "paint", "canvas", "tiles"),
}


@dataclass(slots=True)
class Paint:
    """A material as picked for one part: RGB, gloss in [0, 1], grain kind and strength."""

    colour: np.ndarray
    gloss: float
    grain: str
    strength: float


def shade_of(dice: Dice, code: str, spread: float = 0.07) -> np.ndarray:
    """Return a colour (3,) in [0, 1] near '#rrggbb': lighter or darker, a little off in hue."""
    colour = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    lightness = dice.between(1 - 1.6 * spread, 1 + 1.6 * spread)
    return np.clip(colour * lightness + dice.grid(3) * spread * 0.6, 0.02, 1)


def pick(dice: Dice, material: str) -> Paint:
    """Return a `Paint` of a material, in one of its colours."""
    colours, gloss, grain, strength = MATERIALS[material]
    colour = shade_of(dice, dice.one_of(colours))
    return Paint(colour, gloss * dice.between(0.5, 1.2), grain, strength)


def paints_for(dice: Dice, name: str, parts: Iterable[Part]) -> dict[str, Paint]:
    """Return one `Paint` for every role among the parts."""
    body = pick(dice, dice.one_of(MADE_OF.get(name, ("paint",))))
    darker = Paint(body.colour * 0.45, 0.0, body.grain, body.strength)
    paints, own = {"body": body}, {"same": body, "darker": darker}
    for role in dict.fromkeys(part.role for part in parts):
        if role not in paints:
            material = dice.one_of(MADE_OF.get(role, (role,)))
            paints[role] = own.get(material) or pick(dice, material)
    return paints
