"""Read-outs without a student, on networks whose answers are known."""

import copy

import torch
from scipy.stats import ortho_group

from dfsbir_lite.models import SceneEstimator
from dfsbir_lite.retrieval import teacher_readouts
from dfsbir_lite.study import rows
from dfsbir_lite.study.readouts import canonical, over_views, turned
from dfsbir_lite.teachers import Teachers


def test_views_are_averaged_and_the_same_in_every_call():
    images, seen = torch.rand(3, 3, 16, 16), []

    def readout(images, modality):
        seen.append(images)
        return images.mean((2, 3))

    rows = over_views(readout, 4)(images, "photo")
    torch.testing.assert_close(rows, torch.stack([i.mean((2, 3)) for i in seen]).mean(0))
    assert len(seen) == 4 and not torch.allclose(seen[0], seen[1])
    assert torch.equal(over_views(readout, 4)(images, "photo"), rows)


def test_features_that_only_a_rotation_parts_are_turned_back(teachers):
    twin = copy.deepcopy(teachers.photo)
    rotation = torch.tensor(ortho_group.rvs(16, random_state=0)).float()
    twin.head.weight.data = twin.head.weight.data @ rotation  # the logits stay
    twin.head.register_forward_pre_hook(lambda layer, inputs: inputs[0] @ rotation)
    both = Teachers(teachers.photo, twin, teachers.guidance)
    images = torch.rand(5, 3, 16, 16)
    plain, aligned = teacher_readouts(both)["teacher features"], turned(both)
    torch.testing.assert_close(aligned(images, "photo"), plain(images, "photo"))
    # three proxies decide three of sixteen directions
    read = aligned(images, "sketch"), plain(images, "photo")
    mine, other = (features @ both.photo.proxies.T for features in read)
    torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_canonical_directions_agree_on_pairs(teachers):
    """Photos and sketches of a scene that are one picture, and one teacher: they agree wholly."""
    scenes = SceneEstimator(16, 8, 8)
    scenes.forward = lambda noise: 2 * [noise.sigmoid().repeat(1, 96).view(-1, 3, 16, 16)]
    one = Teachers(teachers.photo, teachers.photo, teachers.guidance)
    read, images = canonical(one, scenes), torch.rand(7, 3, 16, 16)
    photos, sketches = read(images, "photo"), read(images, "sketch")
    assert photos.shape == (7, 2)
    torch.testing.assert_close(photos, sketches, atol=1e-3, rtol=1e-3)


def test_costs_are_counted(teachers, tiny, tmp_path):
    """A teacher of widths 8, 16: stem, two blocks, head; read once, or over eight views."""
    setting = rows.Setting(None, teachers, tiny, 1, tmp_path)
    table = rows.costs(setting, ["teacher logits", "teacher logits: 8 views", rows.OURS])
    stem, first = 3 * 8 * 9 * 64, 2 * 8 * 8 * 9 * 64
    second = (8 * 16 * 9 + 16 * 16 * 9 + 8 * 16) * 16
    once = stem + first + second + 16 * 3
    assert table.multiply_adds["teacher logits"] == once
    assert table.multiply_adds["teacher logits: 8 views"] == 8 * once
    # an embedding of 8 in place of 3 scores, then 8 x 3 scores and 3 x 8 expected proxies
    assert table.multiply_adds[rows.OURS] == once - 16 * 3 + 16 * 8 + 2 * 8 * 3
    assert table.length.tolist() == [3, 3, 8] and (table.ms > 0).all()
    parameters = sum(p.numel() for p in teachers.photo.parameters())
    assert table.bytes["teacher logits"] == 2 * 4 * parameters
