"""The estimators' loop, step by step, and the memory that keeps what it made."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfsbir_lite import losses
from dfsbir_lite.losses import ESTIMATOR_TERMS, Weights
from dfsbir_lite.recipes import Recipe
from dfsbir_lite.runtime import UserError
from dfsbir_lite.students import new_encoders
from dfsbir_lite.synthesis import LOUDER, Replay, synthesize
from dfsbir_lite.teachers import Teacher, Teachers
from dfsbir_lite.zoo import load_scenes, save_scenes

SMALL = Recipe(weights=Weights(one_hot=1), batch=8, noise_dim=6)


def start(teachers, weights=None, **changes):
    options = {k: changes.pop(k) for k in ("encoders", "seed", "steps") if k in changes}
    weights = Weights(**(weights or {"one_hot": 1}))
    return synthesize(teachers, replace(SMALL, weights=weights, **changes), width=8, **options)


def snapshot(loop):
    """A copy of every parameter of both estimators, by name."""
    return {k: v.detach().clone() for k, v in loop.estimators.named_parameters()}


def changed(before, loop):
    """The names of the parameters that are no longer as they were."""
    return {k for k, v in loop.estimators.named_parameters() if not torch.equal(v, before[k])}


@pytest.fixture
def encoders(tiny):
    return new_encoders(tiny, 3).eval().requires_grad_(False)


def test_a_step_shows_what_was_made(teachers):
    loop = start(teachers)
    for index, step in enumerate(itertools.islice(loop, 3)):
        assert step.index == index
        for images in (step.photos, step.sketches):
            assert images.shape == (8, 3, 16, 16) and not images.requires_grad
            assert images.min() >= 0 and images.max() <= 1
        assert torch.equal(step.sketches[:, 0], step.sketches[:, 2])  # grey
        assert not torch.equal(step.photos[:, 0], step.photos[:, 2])
        assert step.noise.shape == (8, 6)
        assert torch.equal(step.labels, step.noise[:, :3].argmax(1))
        assert all(t.shape == () and not t.requires_grad for t in step.terms.values())
    assert loop.index == 3


@pytest.mark.parametrize("views", [False, True])
def test_terms_are_what_the_teachers_say_of_the_images(teachers, encoders, monkeypatch, views):
    """With `views` they are shown turned ones; what is handed out, and spread out, is not."""
    monkeypatch.setattr("dfsbir_lite.synthesis.jitter", lambda images, draw: images.flip(3))
    weights = dict.fromkeys(ESTIMATOR_TERMS, 1.0)
    step = next(start(teachers, weights, encoders=encoders, views=views))
    photos, sketches = (x.flip(3) if views else x for x in (step.photos, step.sketches))
    p, s = teachers.photo(photos, moments=True), teachers.sketch(sketches, moments=True)
    seen = teachers.guidance(photos).logits, teachers.guidance(sketches).logits
    read = [
        network(images) @ encoders.proxies.T
        for network, images in ((encoders.photo, photos), (encoders.sketch, sketches))
    ]
    expected = {
        "one_hot": F.cross_entropy(p.logits, step.labels) + F.cross_entropy(s.logits, step.labels),
        "entropy": losses.entropy(p.logits) + losses.entropy(s.logits),
        "activation": losses.activation(p.features) + losses.activation(s.features),
        "bn": losses.batch_statistics(p.moments) + losses.batch_statistics(s.moments),
        "align": losses.class_alignment(p.logits, s.logits),
        "diversity": losses.diversity(step.photos) + losses.diversity(step.sketches),
        "modal": losses.modality_guidance(*seen),
        "adv": losses.adversarial(read[0], p.logits) + losses.adversarial(read[1], s.logits),
    }
    assert step.terms.keys() == expected.keys() == set(ESTIMATOR_TERMS)
    for name, value in expected.items():
        torch.testing.assert_close(step.terms[name], value, msg=name, atol=1e-4, rtol=1e-4)


def test_the_adversarial_term_waits_and_can_be_masked(teachers, encoders):
    loop = start(teachers, {"adv": 1}, encoders=encoders, adv_after=2, adv_masked=True)
    first, second, third = itertools.islice(loop, 3)
    assert "adv" not in first.terms and "adv" not in second.terms
    expected = sum(
        losses.adversarial(
            getattr(encoders, modality)(images) @ encoders.proxies.T,
            getattr(teachers, modality)(images).logits,
            third.labels,
        )
        for modality, images in (("photo", third.photos), ("sketch", third.sketches))
    )
    torch.testing.assert_close(third.terms["adv"], expected, atol=1e-4, rtol=1e-4)
    assert "adv" not in next(start(teachers, {"adv": 1})).terms  # no encoders, nothing to fool


def test_labels_from_the_teachers(teachers):
    step = next(start(teachers, labels="teacher"))
    p, s = teachers.photo(step.photos).logits, teachers.sketch(step.sketches).logits
    assert torch.equal(step.labels, p.argmax(1))
    expected = F.cross_entropy(p, p.argmax(1)) + F.cross_entropy(s, s.argmax(1))
    torch.testing.assert_close(step.terms["one_hot"], expected)


def test_no_teacher_judges_samples_of_classes_that_it_was_not_taught(make_teacher, teachers):
    photo = make_teacher(("ant", "bee"), 1).widened(("ant", "bee", "cat"))
    sketch = make_teacher(("bee", "cat"), 2).widened(("ant", "bee", "cat"))
    parted = Teachers(photo, sketch, teachers.guidance)
    loop = synthesize(parted, replace(SMALL, weights=Weights(one_hot=1, align=1), batch=32))
    step = next(loop)
    p, s = photo(step.photos).logits, sketch(step.sketches).logits
    by_photo, by_sketch = step.labels != 2, step.labels != 0
    both = by_photo & by_sketch
    assert 0 < both.sum() < by_photo.sum() < 32
    expected = F.cross_entropy(p[by_photo], step.labels[by_photo])
    expected = expected + F.cross_entropy(s[by_sketch], step.labels[by_sketch])
    torch.testing.assert_close(step.terms["one_hot"], expected)
    torch.testing.assert_close(step.terms["align"], losses.class_alignment(p[both], s[both]))


def test_a_batch_that_nobody_can_judge_teaches_nothing(make_teacher, teachers):
    classes = ("ant", "bee", "cat")
    parted = Teachers(
        make_teacher(("ant", "bee"), 1).widened(classes),
        make_teacher(("cat", "ant"), 2).widened(classes),
        teachers.guidance,
    )
    loop = synthesize(parted, replace(SMALL, weights=Weights(one_hot=1, align=1), batch=1), seed=1)
    terms = [next(loop).terms for _ in range(12)]
    assert all(torch.isfinite(value) for step in terms for value in step.values())
    assert any(step["align"] == 0 for step in terms)


def test_noise_is_normal_and_the_wanted_class_louder(teachers):
    loop = start(teachers)
    noise = loop.noise(2000)
    labels = loop.wanted(noise)
    assert noise.shape == (2000, 6) and labels.bincount(minlength=3).min() > 550
    noise[torch.arange(2000), labels] -= LOUDER
    assert torch.equal(noise[:, :3].argmax(1), labels)  # the largest one was raised
    assert noise.mean().abs() < 0.05 and abs(noise.std() - 1) < 0.05
    plain = start(teachers, labels="teacher").noise(2000)
    assert plain.mean().abs() < 0.05 and abs(plain.std() - 1) < 0.05


def test_weights_are_read_at_each_step(teachers):
    loop = start(teachers)
    weights, before = loop.recipe.weights, snapshot(loop)
    weights.one_hot = 0.0  # everything is zero now: nothing is learnt
    step = next(loop)
    assert changed(before, loop) == set() and "modal" not in step.terms
    weights.modal = 1.0
    assert "modal" in next(loop).terms
    assert len(changed(before, loop)) > 10
    weights.modal, before = 0.0, snapshot(loop)
    assert "modal" not in next(loop).terms and changed(before, loop) == set()


@pytest.mark.parametrize("term", ESTIMATOR_TERMS)
def test_every_term_teaches_the_estimators(teachers, encoders, term):
    loop = start(teachers, {term: 1.0}, encoders=encoders)
    before = snapshot(loop)
    next(loop)
    moved = changed(before, loop)
    assert {"photo.to_layers.weight", "sketch.to_layers.weight", "photo.tint.weight"} <= moved


PROJECTIONS = {f"{m}.project.{k}" for m in ("photo", "sketch") for k in ("weight", "bias")}


def test_a_refresh_forgets_the_projections_only(teachers):
    loop = start(teachers, refresh_every=3)
    list(itertools.islice(loop, 3))
    named = dict(loop.estimators.named_parameters())
    assert all(p in loop.optimiser.state for p in named.values())
    before = snapshot(loop)
    loop.recipe.weights.one_hot = 0.0  # so that the next step refreshes and learns nothing
    next(loop)
    assert changed(before, loop) == PROJECTIONS
    forgotten = {k for k, p in named.items() if p not in loop.optimiser.state}
    assert forgotten == PROJECTIONS
    widest = loop.estimators["photo"].project.weight.abs().max()
    assert 0.9 < widest * 6**0.5 <= 1  # as of a new layer of noise_dim inputs
    before = snapshot(loop)
    list(itertools.islice(loop, 2))
    assert changed(before, loop) == set()  # no refresh before step 6
    next(loop)
    assert changed(before, loop) == PROJECTIONS


def test_steps_that_catch_up_are_not_handed_out(teachers):
    loop = start(teachers, refresh_every=2, catch_up=3)
    indices = [step.index for step in itertools.islice(loop, 5)]
    assert indices == [0, 1, 2, 3, 4]
    # 5 steps, and 3 more after each refresh, before steps 2 and 4
    assert loop.optimiser.state[loop.estimators["photo"].tint.bias]["step"] == 5 + 2 * 3


def test_the_loss_goes_down(teachers):
    # each class is a third of the image that is darker than the rest: easy in both modalities
    dark = nn.Linear(3 * 16 * 16, 3)
    with torch.no_grad():
        dark.weight.zero_()
        for i in range(3):
            dark.weight[i].view(3, 16, 16)[:, 5 * i : 5 * i + 5] = -0.02
    easy = Teacher(nn.Sequential(nn.Flatten(), dark), teachers.classes, 16)
    loop = start(Teachers(easy, easy, teachers.guidance), batch=32)
    values = [step.terms["one_hot"].item() for step in itertools.islice(loop, 40)]
    assert values[0] > 2 and sum(values[-5:]) / 5 < 0.7 * values[0]


def test_a_seed_repeats_a_run_and_sampling_does_not_disturb_it(teachers):
    first, second, other = (start(teachers, seed=seed) for seed in (0, 0, 1))
    torch.manual_seed(9)
    for loop in (first, second, other):
        next(loop)
    second.sample(torch.randn(4, 6))
    images = [next(loop).photos for loop in (first, second, other)]
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])


def test_a_sample_is_what_a_step_paints_and_leaves_statistics_alone(teachers):
    loop = start(teachers, {"one_hot": 0})  # the estimators stay as they are
    step = next(loop)
    before = {k: v.clone() for k, v in loop.estimators.named_buffers()}
    photos, sketches = loop.sample(step.noise)
    assert torch.equal(photos, step.photos) and torch.equal(sketches, step.sketches)
    assert before and all(torch.equal(v, before[k]) for k, v in loop.estimators.named_buffers())


def test_one_scene_makes_both_images_of_a_pair(teachers):
    loop = start(teachers, scene=True)
    before = snapshot(loop)
    step = next(loop)
    assert step.photos.shape == step.sketches.shape == (8, 3, 16, 16)
    moved = changed(before, loop)
    # the sketch teacher alone reaches `ink`, the photo teacher alone `tint`, both the masks
    assert {"scene.ink.weight", "scene.tint.weight", "scene.to_masks.weight"} <= moved
    assert all(name.startswith("scene.") for name in before)


def test_the_learning_rate_may_end_at_zero(teachers):
    loop, rates = start(teachers, steps=4), []
    for _ in range(4):
        rates.append(loop.optimiser.param_groups[0]["lr"] / loop.recipe.estimator_lr)
        next(loop)
    # a cosine: 1, (1 + cos 45°) / 2, (1 + cos 90°) / 2, (1 + cos 135°) / 2
    assert rates == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-5)
    before = snapshot(loop)
    next(loop)
    assert not changed(before, loop)


def test_scenes_are_saved_and_loaded(teachers, tmp_path):
    loop = start(teachers, scene=True)
    next(loop)
    path, estimator = tmp_path / "scenes.safetensors", loop.estimators["scene"]
    save_scenes(path, estimator, {"name": "scenes"})
    again, noise = load_scenes(path), loop.noise(8)
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    for was, now in zip(estimator.eval()(noise), again(noise), strict=True):
        torch.testing.assert_close(was, now, atol=0.01, rtol=0)  # weights are rounded


def test_settings_that_make_no_sense(teachers):
    with pytest.raises(UserError, match="'noise' or 'teacher', not 'me'"):
        start(teachers, labels="me")
    with pytest.raises(UserError, match="noise_dim must be at least the 3 classes"):
        start(teachers, noise_dim=2)
    assert next(start(teachers, noise_dim=2, labels="teacher")).noise.shape == (8, 2)


def test_sizes_that_an_estimator_cannot_paint(teachers):
    for teacher in (teachers.photo, teachers.sketch, teachers.guidance):
        teacher.size = 20
    with pytest.raises(UserError, match="20 px"):
        start(teachers.to("cpu"))


# --- the replay memory ------------------------------------------------------------------------


def pairs(*levels):
    """Photos of the given grey levels, and sketches of half of each level."""
    photos = torch.tensor(levels, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    return photos, photos / 2


def levels(replay, n=200):
    """The levels that can be drawn, in hundredths, after checking that pairs are kept."""
    photos, sketches = replay.sample(n, torch.Generator().manual_seed(0))
    assert photos.shape == (n, 3, 4, 4) and sketches.shape == (n, 1, 4, 4)
    torch.testing.assert_close(sketches, photos[:, :1] / 2, atol=1 / 255, rtol=0)
    return sorted({round(100 * x) for x in photos[:, 0, 0, 0].tolist()})


def test_replay_keeps_the_newest_pairs():
    replay = Replay(capacity=2, batch=2, size=4)
    replay.add(*pairs(0.1, 0.2))
    assert len(replay) == 2 and levels(replay) == [10, 20]
    replay.add(*pairs(0.3, 0.4))
    assert len(replay) == 4 and levels(replay) == [10, 20, 30, 40]
    replay.add(*pairs(0.5, 0.6))
    assert len(replay) == 4 and levels(replay) == [30, 40, 50, 60]
    replay.add(*pairs(0.7))  # a smaller batch takes the place of one
    assert levels(replay) == [40, 50, 60, 70]
    replay.add(*pairs(0.8, 0.9))
    assert levels(replay) == [60, 70, 80, 90]
