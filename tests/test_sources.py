"""What rivals learn from is what its name says."""

import pytest
import torch

from dfsbir_lite import losses
from dfsbir_lite.study import baselines
from dfsbir_lite.study.baselines import alternative, gaussian, metadata, textures


@pytest.mark.parametrize("source", [gaussian, textures, alternative])
def test_sources_give_images_of_their_own_in_range_with_grey_sketches(source):
    photos, sketches = source(5, 16, torch.Generator().manual_seed(0))
    again, _ = source(5, 16, torch.Generator().manual_seed(1))
    for images in (photos, sketches):
        assert images.shape == (5, 3, 16, 16)
        assert images.min() >= 0 and images.max() <= 1
        assert not torch.allclose(images[0], images[1])
    assert torch.equal(sketches[:, 0], sketches[:, 1]) and not torch.equal(photos, again)
    assert not torch.allclose(photos[:, 0], photos[:, 1])


def test_textures_are_smoother_than_noise():
    def roughness(source):
        photos, _ = source(8, 32, torch.Generator().manual_seed(0))
        return photos.diff(dim=3).abs().mean()

    assert roughness(textures) < roughness(gaussian) / 2


def test_alternative_photos_are_cut_from_two_photographs(monkeypatch):
    red_and_blue = torch.zeros(2, 3, 427, 640)
    red_and_blue[0, 0] = red_and_blue[1, 2] = 1
    digits = baselines._unrelated()[1]
    monkeypatch.setattr(baselines, "_unrelated", lambda: (red_and_blue, digits))
    photos, _ = alternative(64, 32, torch.Generator().manual_seed(0))
    flat = photos.amin((2, 3))  # each of one colour to its edges: no crop leaves its photograph
    torch.testing.assert_close(flat, photos.amax((2, 3)))
    assert {tuple(colour) for colour in flat.round().tolist()} == {(1, 0, 0), (0, 0, 1)}


def test_alternative_crops_differ():
    photos, _ = alternative(64, 32, torch.Generator().manual_seed(0))
    assert photos.mean((2, 3)).std(0).min() > 0.05


def test_alternative_sketches_are_ink_on_white():
    _, sketches = alternative(64, 32, torch.Generator().manual_seed(0))
    edge = torch.cat([sketches[..., 0, :], sketches[..., -1, :]])
    assert edge.mean() > 0.9 and sketches.amin((1, 2, 3)).max() < 0.2


def test_metadata_images_have_the_stored_statistics_and_come_from_nothing_else(teachers):
    draw = torch.Generator().manual_seed(0)
    for teacher, images in zip((teachers.photo, teachers.sketch), textures(64, 16, draw)):
        for layer in teacher.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.reset_running_stats(), setattr(layer, "momentum", None)  # a plain mean
        for _ in range(3):  # layer by layer: each needs those before it
            teacher.network.train()(images), teacher.network.eval()
    source = metadata(teachers, draw, batches=2, batch=32, steps=60)
    photos, sketches = source(32, 16, draw)
    assert photos.shape == sketches.shape == (32, 3, 16, 16)
    assert torch.equal(sketches[:, 0], sketches[:, 2]) and not torch.equal(photos, sketches)
    for teacher, images in ((teachers.photo, photos), (teachers.sketch, sketches)):
        noise = torch.rand(32, 3, 16, 16, generator=draw)
        near, far = (losses.batch_statistics(teacher(x, True).moments) for x in (images, noise))
        assert near < far / 2
    assert len(torch.cat([source(99, 16, draw)[0] for _ in range(4)]).unique(dim=0)) <= 64
