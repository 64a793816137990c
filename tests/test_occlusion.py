"""What is hidden matters where the cosine hangs on it."""

import pytest
import torch

from dfsbir_lite.widgets.occlusion import occlusion


def test_occlusion_finds_the_one_spot_that_counts():
    """The read-out is (brightness of pixel (2, 5), 1): only patches over that pixel matter."""

    def readout(images, modality):
        spot = images[:, 0, 2, 5]
        return torch.stack([spot, torch.ones_like(spot)], 1)

    sketch = torch.full((3, 8, 8), 255, dtype=torch.uint8)
    sketch[:, 2, 5] = 0  # seen: (0, 1); hidden, it is white paper: (1, 1), 45 degrees away
    falls = occlusion(readout, sketch, "sketch", torch.tensor([0.0, 1]))
    cover = torch.zeros(8, 8)
    # patches of 2 × 2 at every place; four hold the spot, and all four cover only the spot
    for top in (1, 2):
        for left in (4, 5):
            cover[top : top + 2, left : left + 2] += 1
    assert torch.allclose(falls, cover / 4 * (1 - 0.5**0.5), atol=1e-6)
    rises = occlusion(readout, sketch, "sketch", torch.tensor([1.0, 1]))
    assert rises[2, 5] == pytest.approx(0.5**0.5 - 1)
