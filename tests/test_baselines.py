"""Each rival is what it says it is."""

import pytest
import torch

from dfsbir_lite.runtime import UserError
from dfsbir_lite.students import new_encoders
from dfsbir_lite.study import baselines
from dfsbir_lite.study.baselines import FedStudent, averaged_weights, gaussian, unimodal
from dfsbir_lite.teachers import Teacher, Teachers


def test_averaged_weights_are_the_means_of_both_teachers_and_leave_them_alone(teachers):
    photo, sketch = (t.network for t in (teachers.photo, teachers.sketch))
    before = photo.stem.weight.clone()
    middle = Teacher(type(photo)(outputs=3, **photo.geometry), teachers.classes, 16)
    middle.network.load_state_dict(
        {
            k: (v + w) / 2 if v.is_floating_point() else v
            for (k, v), w in zip(
                photo.state_dict().items(), sketch.state_dict().values(), strict=True
            )
        }
    )
    images = torch.rand(3, 3, 16, 16)
    for modality in ("photo", "sketch"):
        rows = averaged_weights(teachers)(images, modality)
        torch.testing.assert_close(rows, middle(images).features)
    assert torch.equal(photo.stem.weight, before)


def test_only_like_teachers_can_be_averaged(teachers, make_network):
    wide = torch.nn.Sequential(make_network(3, 0))
    odd = Teachers(teachers.photo, Teacher(wide, teachers.classes, 16), teachers.guidance)
    with pytest.raises(UserError, match="different architectures"):
        averaged_weights(odd)


def test_a_fed_student_learns_from_its_source_and_never_from_an_estimator(
    teachers, tiny, tiny_recipe, monkeypatch
):
    monkeypatch.setattr("dfsbir_lite.synthesis.Synthesis.__init__", None)  # cannot be made
    asked, seen = [], []
    whole = baselines.teach

    def source(n, size, draw):
        asked.append((n, size))
        return gaussian(n, size, draw)

    monkeypatch.setattr(baselines, "teach", lambda *given: seen.append(given) or whole(*given))
    start = new_encoders(tiny, 3)
    loop = FedStudent(source, teachers, tiny_recipe(), start, steps=2)
    before = start.proxies.clone()
    assert len(loop) == 2 and [encoders for encoders in loop] == [loop.learner.averaged] * 2
    assert asked == [(8, 16)] * 2 and len(seen) == 2
    assert not torch.equal(start.proxies, before)


def test_in_unimodal_distillation_nothing_ties_the_modalities(teachers, tiny, tiny_recipe):
    """What the sketch side is or does changes nothing on the photo side."""

    def learnt(sketch_teacher):
        given = Teachers(teachers.photo, sketch_teacher, teachers.guidance)
        start = new_encoders(tiny, 3)
        start.proxies.requires_grad_(False)  # class scores only; the read-out does without
        return list(unimodal(given, tiny_recipe(contrastive=0.0), start, steps=2, width=8))[-1]

    one, other = learnt(teachers.sketch), learnt(teachers.photo)
    assert not {"modal", "adv"} & one.terms.keys()
    images = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(*(s.encoders.features(images, "photo") for s in (one, other)))
    sketchy = [s.encoders.features(images, "sketch") for s in (one, other)]
    assert not torch.allclose(*sketchy) and sketchy[0].shape == (3, 8)
