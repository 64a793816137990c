"""Each baseline is what it says it is."""

import pytest
import torch

from dfsbir_lite import losses
from dfsbir_lite.models import SmallResNet
from dfsbir_lite.runtime import UserError
from dfsbir_lite.students import new_encoders
from dfsbir_lite.study import baselines
from dfsbir_lite.teachers import Teacher, Teachers


def draw(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_averaged_weights_are_the_means_of_both_teachers_and_leave_them_alone(teachers):
    photo, sketch = (t.network.state_dict() for t in (teachers.photo, teachers.sketch))
    before = teachers.photo.network.stem.weight.clone()
    middle = SmallResNet(outputs=3, **teachers.photo.network.geometry)
    middle.load_state_dict(
        {k: (v + sketch[k]) / 2 if v.is_floating_point() else v for k, v in photo.items()}
    )
    images = torch.rand(3, 3, 16, 16)
    expected = Teacher(middle, teachers.classes, 16)(images).features
    for modality in ("photo", "sketch"):
        torch.testing.assert_close(baselines.averaged_weights(teachers)(images, modality), expected)
    assert torch.equal(teachers.photo.network.stem.weight, before)


def test_only_like_teachers_can_be_averaged(teachers, make_network):
    wide = torch.nn.Sequential(make_network(3, 0))
    odd = Teachers(teachers.photo, Teacher(wide, teachers.classes, 16), teachers.guidance)
    with pytest.raises(UserError, match="different architectures"):
        baselines.averaged_weights(odd)


def test_a_fed_student_learns_from_its_source_and_leaves_its_start_alone(
    teachers, tiny, tiny_recipe
):
    asked = []

    def source(n, size, draw):
        asked.append((n, size))
        return baselines.gaussian(n, size, draw)

    start = new_encoders(tiny, 3)
    before = start.proxies.clone()
    loop = baselines.FedStudent(source, teachers, tiny_recipe(), start, steps=2)
    assert len(loop) == 2 and list(loop) == [loop.encoders] * 2 and asked == [(8, 16)] * 2
    assert torch.equal(start.proxies, before) and not torch.equal(loop.encoders.proxies, before)


@pytest.mark.parametrize("source", [baselines.gaussian, baselines.textures, baselines.alternative])
def test_sources_give_images_of_their_own_in_range_with_grey_sketches(source):
    photos, sketches = source(5, 16, draw())
    again, _ = source(5, 16, draw(1))
    for images in (photos, sketches):
        assert images.shape == (5, 3, 16, 16) and images.min() >= 0 and images.max() <= 1
        assert not torch.allclose(images[0], images[1])
    assert torch.equal(sketches[:, 0], sketches[:, 1]) and not torch.equal(photos, again)
    assert not torch.allclose(photos[:, 0], photos[:, 1])


def test_alternative_photos_are_cut_from_two_photographs(monkeypatch):
    red_and_blue = torch.zeros(2, 3, 427, 640)
    red_and_blue[0, 0] = red_and_blue[1, 2] = 1
    digits = baselines._unrelated()[1]
    monkeypatch.setattr(baselines, "_unrelated", lambda: (red_and_blue, digits))
    photos, sketches = baselines.alternative(64, 32, draw())
    flat = photos.amin((2, 3))  # each of one colour to its edges: no crop leaves its photograph
    torch.testing.assert_close(flat, photos.amax((2, 3)))
    assert {tuple(colour) for colour in flat.round().tolist()} == {(1, 0, 0), (0, 0, 1)}
    edge = torch.cat([sketches[..., 0, :], sketches[..., -1, :]])
    assert edge.mean() > 0.9 and sketches.amin((1, 2, 3)).max() < 0.2  # ink on white


def test_metadata_images_have_the_stored_statistics_and_come_from_nothing_else(teachers):
    known = baselines.textures(64, 16, draw())
    for teacher, images in zip((teachers.photo, teachers.sketch), known):
        for layer in teacher.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1
        for _ in range(3):  # layer by layer: each needs those before it
            teacher.network.train()(images), teacher.network.eval()
    source = baselines.metadata(teachers, batches=2, batch=32, steps=60)
    photos, sketches = source(32, 16, draw())
    assert photos.shape == sketches.shape == (32, 3, 16, 16)
    assert torch.equal(sketches[:, 0], sketches[:, 2]) and not torch.equal(photos, sketches)
    for teacher, images in ((teachers.photo, photos), (teachers.sketch, sketches)):
        noise = torch.rand(32, 3, 16, 16, generator=draw())
        near, far = (losses.batch_statistics(teacher(x, True).moments) for x in (images, noise))
        assert near < far / 2
    assert len(torch.cat([source(99, 16, draw(n))[0] for n in range(4)]).unique(dim=0)) <= 64
