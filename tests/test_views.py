"""Views: one for each image, repeatable, within [0, 1]. Textures look as their names say."""

import math

import pytest
import torch
from torch.nn import functional as F

from dfsbir_lite.views import clouds, contours, jitter, mix

ALL = [jitter, mix]


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(16, 3, 12, 12, generator=draw(9))


@pytest.fixture
def same(images):
    """One image sixteen times."""
    return images[:1].expand(16, -1, -1, -1)


@pytest.mark.parametrize("augment", ALL)
def test_shape_and_range(augment, images):
    extreme = images.round()  # black and white only
    for batch in (images, extreme):
        seen = augment(batch, draw())
        assert seen.shape == batch.shape and seen.dtype == torch.float32
        assert seen.min() >= -1e-6 and seen.max() <= 1 + 1e-6


@pytest.mark.parametrize("augment", ALL)
def test_the_generator_decides_alone(augment, images):
    first = augment(images, draw(1))
    torch.manual_seed(5)
    assert torch.equal(first, augment(images, draw(1)))
    assert not torch.equal(first, augment(images, draw(2)))


@pytest.mark.parametrize("augment", ALL)
def test_grey_images_stay_grey(augment, images):
    seen = augment(images[:, :1].expand(-1, 3, -1, -1), draw())
    assert torch.equal(seen, seen[:, :1].expand_as(seen))


def test_every_image_gets_its_own_view(same):
    seen = jitter(same, draw())
    assert len({image.numpy().tobytes() for image in seen}) == 16


def test_jitter_with_nothing_to_turn_or_zoom_shifts_and_mirrors_only():
    # a plain vertical edge between columns 9 and 10 of 20: a shift by at most 1/10 is 2 columns
    images = torch.zeros(64, 3, 20, 20)
    images[..., 10:] = 1
    seen = jitter(images, draw(), turn=0, zoom=0)
    assert (seen - seen[:, :, :1]).abs().max() < 1e-4  # neither turned nor sheared: rows are alike
    row = seen[:, 0, 0]
    mirrored = row[:, 0] > 0.5
    assert 20 < mirrored.sum() < 44
    row[mirrored] = row[mirrored].flip(1)
    edge = 20 - row.sum(1)  # where the edge is now
    assert edge.min() >= 8 - 1e-3 and edge.max() <= 12 + 1e-3
    assert edge.min() < 8.5 and edge.max() > 11.5


def test_zoom_keeps_within_its_bounds():
    images = torch.zeros(64, 3, 41, 41)
    images[..., 10:31] = 1  # a bar 21 wide
    widths = jitter(images, draw(), turn=0, zoom=0.15)[:, 0, 20].sum(1)
    assert 21 / 1.15 - 0.3 < widths.min() < 19 and 23 < widths.max() < 21 / 0.85 + 0.3


def test_a_turn_tilts_the_edge():
    images = torch.zeros(64, 3, 40, 40)
    images[..., 20:] = 1
    edge = 40 - jitter(images, draw(), turn=10, zoom=0)[:, 0].sum(2)
    slope = ((edge[:, 29] - edge[:, 10]) / 19).abs()
    assert 0.13 < slope.max() < 0.178  # tan(10 degrees) is 0.176


def test_mix_leaves_half_of_the_images_as_they_are():
    images = torch.rand(400, 3, 2, 2, generator=draw(9))
    seen = mix(images, draw())
    kept = (seen == images).flatten(1).all(1)
    assert 160 < kept.sum() < 240
    share = ((seen - images) / (images.roll(1, 0) - images))[:, 0, 0, 0]
    assert share.min() >= -1e-4 and 0.4 < share.max() <= 0.501


def test_a_view_is_the_affine_one_that_torch_makes(images):
    """Drawn again in the order in which `jitter` draws: angle, scale, mirror, shifts."""
    wide, again = images[:, :, :8], draw()

    def uniform(shape, span):
        return (torch.rand(shape, generator=again) * 2 - 1) * span

    angle, scale = uniform(16, math.radians(10)), 1 + uniform(16, 0.15)
    mirror, (dx, dy) = uniform(16, 1).sign(), uniform((2, 16), 0.2)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([cos * mirror, -sin, dx, sin * mirror, cos, dy], 1).view(16, 2, 3)
    grid = F.affine_grid(rows, list(wide.shape), align_corners=False)
    expected = F.grid_sample(wide, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(jitter(wide, draw()), expected, atol=1e-5, rtol=0)


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


def test_the_same_seed_gives_the_same_pictures():
    for pictures in (clouds, contours):
        assert torch.equal(pictures(3, 16, draw(1)), pictures(3, 16, draw(1)))
        assert not torch.equal(pictures(3, 16, draw(1)), pictures(3, 16, draw(2)))
