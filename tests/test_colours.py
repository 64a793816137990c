"""What figures show by colour can be seen with every kind of colour vision.

Colours are turned into what dichromats see by the matrices of Machado, Oliveira and Fernandes, *A
Physiologically-based Model for Simulation of Color Vision Deficiency* (2009), at full severity, and
compared in CIELAB. A difference of 2 is just visible side by side; we ask for far more, because
marks are small and apart.
"""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dfsbir_lite import plots

APART = 30  # in CIELAB
VISION = {
    "all colours": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = XYZ.sum(1)
PAIRS = {
    "photo and sketch": (plots.PHOTO, plots.SKETCH),
    "hit and miss": (plots.GOOD, plots.BAD),
    "same and different class": (plots.GOOD, plots.GREY),
}


def linear(colour: str) -> np.ndarray:
    """sRGB as amounts of light."""
    parts = np.array(to_rgb(colour))
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """Amounts of light in CIELAB."""
    share = XYZ @ light.clip(0, 1) / WHITE
    f = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(one: str, other: str, vision: str) -> float:
    seen = [lab(np.array(VISION[vision]) @ linear(colour)) for colour in (one, other)]
    return float(np.linalg.norm(seen[0] - seen[1]))


def contrast(one: str, other: str) -> float:
    """That of WCAG 2: 1 for the same brightness, 21 for black on white."""
    bright = sorted(float(XYZ[1] @ linear(colour)) + 0.05 for colour in (one, other))
    return bright[1] / bright[0]


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("pair", PAIRS)
def test_pairs_that_mean_something_stay_apart(pair, vision):
    assert difference(*PAIRS[pair], vision) > APART


@pytest.mark.parametrize("colour", [plots.PHOTO, plots.SKETCH, plots.GOOD, plots.BAD, plots.GREY])
def test_lines_stand_out_from_the_paper(colour):
    assert contrast(colour, "white") >= 3


def test_series_differ_in_more_than_colour():
    colours, marks, lines = zip(*plots.SERIES, strict=True)
    assert len(set(colours)) == len(set(marks)) == len(set(lines)) == len(plots.SERIES)
    assert plots.MARKS[plots.GOOD][0] != plots.MARKS[plots.BAD][0]
    assert plots.MARKS[plots.GOOD][1] != plots.MARKS[plots.BAD][1]
