"""What figures show by colour can be seen with every kind of colour vision.

Colours are turned into what dichromats see by the matrices of Machado, Oliveira and Fernandes, *A
Physiologically-based Model for Simulation of Color Vision Deficiency* (2009), at full severity, and
compared in CIELAB. A difference of 2 is just visible side by side; we ask for far more, because
marks are small and apart.
"""

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dfsbir_lite import plots

APART = 30  # in CIELAB
VISION = {
    "all colours": np.eye(3),
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
PAIRS = {
    "photo and sketch": (plots.PHOTO, plots.SKETCH),
    "hit and miss": (plots.GOOD, plots.BAD),
    "same and different class": (plots.GOOD, plots.GREY),
}


def lab(colour: str, vision: str = "all colours") -> np.ndarray:
    """What an eye sees of a colour, in CIELAB."""
    parts = np.array(to_rgb(colour))
    light = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    seen = (np.array(VISION[vision]) @ light).clip(0, 1).astype(np.float32)
    return cv2.cvtColor(seen[None, None], cv2.COLOR_LRGB2Lab)[0, 0]


def brightness(colour: str) -> float:
    """Y of CIE XYZ, from the lightness."""
    return float((lab(colour)[0] + 16) / 116) ** 3


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("pair", PAIRS)
def test_pairs_that_mean_something_stay_apart(pair, vision):
    one, other = (lab(colour, vision) for colour in PAIRS[pair])
    assert np.linalg.norm(one - other) > APART


@pytest.mark.parametrize("colour", [plots.PHOTO, plots.SKETCH, plots.GOOD, plots.BAD, plots.GREY])
def test_lines_stand_out_from_the_paper(colour):
    assert 1.05 / (brightness(colour) + 0.05) >= 3  # the contrast of WCAG 2 with white
