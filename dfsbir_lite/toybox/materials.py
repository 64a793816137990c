"""What things are made of and where they stand; `materials.json` has the tables.

Colours overlap between classes on purpose, and so do scenes: neither gives a class away.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfsbir_lite.toybox.geometry import Dice, Part

_TABLES = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))


def _coloured(table: str) -> dict[str, tuple]:
    """Return a table of the file whose entries begin with colours or names of palettes."""
    palettes, entries = _TABLES["palettes"], {}
    for name, (colours, *others) in _TABLES[table].items():
        expanded = [code for colour in colours for code in palettes.get(colour, [colour])]
        entries[name] = (expanded, *others)
    return entries


MATERIALS = _coloured("materials")  # colours, gloss 0..1, grain (see `photo._grain`), its strength
# What a role may be made of, if not of the material of its own name, and what the body of a class
# may be made of, if not of paint; "same" and "darker" go by the body's paint.
MADE_OF = _TABLES["made_of"]
SCENES = _TABLES["scenes"]  # class: where it may be found, the likelier ones repeated
WALLS, SKIES = _TABLES["palettes"]["walls"], _TABLES["skies"]
# scene: colours of the ground near the viewer, grain rows and columns, grain strength
GROUNDS, FLATS = _coloured("grounds"), _coloured("flats")
LYING = _TABLES["lying"]  # classes seen from above and turned any way
TILT = _TABLES["tilt"]  # most degrees from upright; 2 for the rest
CLUTTER = _TABLES["clutter"]  # kind of distractor: what it may be made of


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
