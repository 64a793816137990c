"""Random pictures look like what their names say."""

import torch
from torch.nn import functional as F

from dfsbir_lite.views import clouds, contours


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_clouds_span_the_range_in_each_image_and_are_coloured():
    images = clouds(5, 16, drawn())
    assert images.shape == (5, 3, 16, 16)
    assert images.amin((1, 2, 3)).tolist() == [0] * 5
    assert images.amax((1, 2, 3)).tolist() == [1] * 5
    assert (images[:, 0] - images[:, 2]).abs().mean() > 0.05


def test_contours_are_dark_lines_on_a_page_that_is_mostly_white():
    pages = contours(50, 32, drawn())
    assert pages.shape == (50, 1, 32, 32) and pages.min() >= 0 and pages.max() <= 1
    assert 0.5 < (pages > 0.9).float().mean() < 0.9
    assert ((pages < 0.3).float().mean((1, 2, 3)) > 0.02).all()
    assert contours(0, 32, drawn()).shape == (0, 1, 32, 32)


def test_contours_are_where_bicubic_noise_crosses_its_mean():
    noise = torch.rand(4, 1, 6, 6, generator=drawn())
    smooth = F.interpolate(noise, size=20, mode="bicubic")
    expected = (12 * (smooth - 0.5).abs()).clamp(0, 1)
    torch.testing.assert_close(contours(4, 20, drawn()), expected, atol=1e-5, rtol=0)


def test_the_same_seed_gives_the_same_pictures():
    for pictures in (clouds, contours):
        assert torch.equal(pictures(3, 16, drawn(1)), pictures(3, 16, drawn(1)))
        assert not torch.equal(pictures(3, 16, drawn(1)), pictures(3, 16, drawn(2)))
