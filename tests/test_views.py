"""Views: one for each image, repeatable, within [0, 1]. Textures look as their names say."""

import math

import pytest
import torch
from torch.nn import functional as F

from dfsbir_lite.study.baselines import clouds
from dfsbir_lite.views import contours, jitter, mix

ALL = [jitter, mix]


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(16, 3, 12, 12, generator=draw(9))


@pytest.mark.parametrize("augment", ALL)
def test_shape_and_range(augment, images):
    extreme = images.round()  # black and white only
    for batch in (images, extreme):
        seen = augment(batch, draw())
        assert seen.shape == batch.shape and seen.dtype == torch.float32
        assert seen.min() >= -1e-6 and seen.max() <= 1 + 1e-6


@pytest.mark.parametrize("make", [*ALL, clouds, contours])
def test_the_generator_decides_alone(make, images):
    given = (images,) if make in ALL else (3, 16)
    first = make(*given, draw(1))
    torch.manual_seed(5)
    assert torch.equal(first, make(*given, draw(1)))
    assert not torch.equal(first, make(*given, draw(2)))


@pytest.mark.parametrize("augment", ALL)
def test_grey_images_stay_grey(augment, images):
    seen = augment(images[:, :1].expand(-1, 3, -1, -1), draw())
    assert torch.equal(seen, seen[:, :1].expand_as(seen))


def test_mix_leaves_half_of_the_images_as_they_are():
    images = torch.rand(400, 3, 2, 2, generator=draw(9))
    seen = mix(images, draw())
    kept = (seen == images).flatten(1).all(1)
    assert 160 < kept.sum() < 240
    share = ((seen - images) / (images.roll(1, 0) - images))[:, 0, 0, 0]
    assert share.min() >= -1e-4 and 0.4 < share.max() <= 0.501


@pytest.mark.parametrize("turn, zoom", [(10, 0.15), (30, 0), (0, 0.4)])
def test_a_view_is_the_affine_one_that_torch_makes(images, turn, zoom):
    """Drawn again in the order in which `jitter` draws: angle, scale, mirror, shifts."""
    wide, again = images[:, :, :8], draw()

    def uniform(shape, span):
        return (torch.rand(shape, generator=again) * 2 - 1) * span

    angle, scale = uniform(16, math.radians(turn)), 1 + uniform(16, zoom)
    mirror, (dx, dy) = uniform(16, 1).sign(), uniform((2, 16), 0.2)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([cos * mirror, -sin, dx, sin * mirror, cos, dy], 1).view(16, 2, 3)
    grid = F.affine_grid(rows, list(wide.shape), align_corners=False)
    expected = F.grid_sample(wide, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(jitter(wide, draw(), turn, zoom), expected, atol=1e-5, rtol=0)


def test_clouds_span_the_range_in_each_image_and_are_coloured():
    images = clouds(5, 16, draw())
    assert images.shape == (5, 3, 16, 16)
    assert images.amin((1, 2, 3)).tolist() == [0] * 5
    assert images.amax((1, 2, 3)).tolist() == [1] * 5
    assert (images[:, 0] - images[:, 2]).abs().mean() > 0.05


def test_contours_are_dark_lines_on_a_page_that_is_mostly_white():
    pages = contours(50, 32, draw())
    assert pages.shape == (50, 1, 32, 32) and pages.min() >= 0 and pages.max() <= 1
    assert 0.5 < (pages > 0.9).float().mean() < 0.9
    assert ((pages < 0.3).float().mean((1, 2, 3)) > 0.02).all()
    assert contours(0, 32, draw()).shape == (0, 1, 32, 32)


def test_contours_are_where_bicubic_noise_crosses_its_mean():
    noise = torch.rand(4, 1, 6, 6, generator=draw())
    smooth = F.interpolate(noise, size=20, mode="bicubic")
    expected = (12 * (smooth - 0.5).abs()).clamp(0, 1)
    torch.testing.assert_close(contours(4, 20, draw()), expected, atol=1e-5, rtol=0)
