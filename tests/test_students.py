"""The encoders' loop: exact resume, averaging, the queue, and what must not be touched."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfsbir_lite import losses, students
from dfsbir_lite.runtime import Profile, UserError
from dfsbir_lite.students import (
    Learner,
    distill,
    encoders_from_teachers,
    load_encoders,
    new_encoders,
    save_encoders,
)
from dfsbir_lite.teachers import Teacher, Teachers

CPU = torch.device("cpu")


@pytest.fixture
def begin(teachers, tiny, tiny_recipe):
    """`begin(steps, **changes of the recipe)`: a fresh distillation."""

    def make(steps=6, seed=0, **changes):
        encoders = new_encoders(tiny, 3)
        return distill(teachers, tiny_recipe(**changes), encoders, steps=steps, width=8, seed=seed)

    return make


@pytest.fixture
def learner(tiny, tiny_recipe):
    """`learner(**changes of the recipe)`: a fresh learner for ten steps."""
    return lambda **changes: Learner(new_encoders(tiny, 3), tiny_recipe(**changes), 10, CPU)


def batch(n=6, seed=0):
    """Random photos, sketches and one-hot posteriors for each."""
    draw = torch.Generator().manual_seed(seed)
    photos, sketches = torch.rand(2, n, 3, 16, 16, generator=draw)
    labels = torch.randint(3, (2, n), generator=draw)
    return photos, sketches, *F.one_hot(labels, 3).float()


def equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("k", [1, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(begin, tmp_path, k):
    whole, first, second = begin(), begin(), begin(seed=5)
    for _ in range(k):
        next(whole), next(first)
    first.save(tmp_path / "state")
    next(second)  # whatever it did before is forgotten
    second.resume(tmp_path / "state")
    assert second.index == k
    for was, now in zip(whole, second, strict=True):
        assert was.index == now.index and was.terms.keys() == now.terms.keys()
        assert all(torch.equal(was.terms[name], now.terms[name]) for name in was.terms)
    assert whole.index == second.index == 6
    assert equal(whole.encoders, second.encoders)
    assert equal(whole.learner.encoders, second.learner.encoders)


def test_a_run_ends_and_shows_what_it_did(begin):
    loop = begin(steps=3)
    assert len(loop) == 3
    steps = list(loop)
    assert [step.index for step in steps] == [0, 1, 2]
    assert {"proxy", "contrastive", "one_hot", "bn", "adv"} <= steps[-1].terms.keys()
    assert steps[-1].made.photos.shape == (8, 3, 16, 16)
    assert steps[-1].made.index == 5  # two estimator steps each
    assert steps[-1].encoders is loop.encoders
    assert loop.learner.index == 6  # two encoder steps each
    with pytest.raises(StopIteration):
        next(loop)


def test_a_run_works_in_bfloat16(begin, monkeypatch):
    monkeypatch.setattr("dfsbir_lite.runtime.has_bfloat16", lambda device: True)
    loop = begin(steps=2)
    terms = [step.terms for step in loop][-1]
    assert all(term.isfinite() and term.dtype == torch.float32 for term in terms.values())
    assert all(p.isfinite().all() for p in loop.encoders.parameters())


def test_the_teachers_label_what_the_encoders_see(begin, teachers, monkeypatch):
    """With relabelling, posteriors are those of the scrambled images; without, of the replay."""
    for relabel in (True, False):
        loop, seen = begin(relabel=relabel), []
        monkeypatch.setattr(loop.learner, "step", lambda *args: seen.append(args) or {})  # noqa: B023
        made = next(loop).made
        photos, sketches, photo_posteriors, sketch_posteriors = seen[0]
        torch.testing.assert_close(photo_posteriors, teachers.photo.posteriors(photos))
        torch.testing.assert_close(sketch_posteriors, teachers.sketch.posteriors(sketches))
        for given, images in ((photos, made.photos), (sketches, made.sketches)):
            kept = (images * 255).round() / 255
            as_made = [any(torch.allclose(x, k) for k in kept) for x in given]
            assert not any(as_made) if relabel else all(as_made)


def test_the_learner_returns_its_terms(learner):
    subject, (photos, sketches, p_labels, s_labels) = learner(queue=0), batch()
    encoders = subject.encoders
    p, s = encoders.embed(photos, "photo").detach(), encoders.embed(sketches, "sketch").detach()
    by_proxy = losses.proxy(encoders.class_logits(p), p_labels)
    by_proxy = by_proxy + losses.proxy(encoders.class_logits(s), s_labels)
    by_contrast = losses.contrastive(s, p, s_labels, p_labels)
    by_contrast = by_contrast + losses.contrastive(p, s, p_labels, s_labels)
    terms = subject.step(photos, sketches, p_labels, s_labels)
    torch.testing.assert_close(terms["proxy"], by_proxy.detach())
    torch.testing.assert_close(terms["contrastive"], by_contrast.detach())


def test_the_learner_learns(learner):
    subject, given = learner(ema=0), batch(12)
    values = [sum(subject.step(*given).values()).item() for _ in range(10)]
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize("only", ["proxy", "contrastive"])
def test_a_weight_of_zero_switches_a_term_off(learner, only):
    weights = {"proxy": 0.0, "contrastive": 0.0, only: 1.0}
    subject = learner(**weights)
    subject.step(*batch())
    moved = subject.encoders.proxies.grad.abs().sum() > 0
    assert moved == (only == "proxy")
    assert subject.encoders.photo.fc.weight.grad.abs().sum() > 0


def test_the_learning_rate_follows_a_cosine_to_almost_zero(learner):
    subject, rates = learner(), []
    for _ in range(10):
        subject.step(*batch())
        rates.append(subject.optimiser.param_groups[0]["lr"])
    top = subject.recipe.encoder_lr
    # half way down at the middle, (1 + cos(0.9 pi)) / 2 = 0.0245 at the last of ten steps
    assert rates[0] == pytest.approx(top) and rates[5] == pytest.approx(top / 2)
    assert rates[9] == pytest.approx(0.024472 * top, rel=1e-3)
    assert rates == sorted(rates, reverse=True)


def test_averaged_encoders(learner):
    subject = learner(ema=0.97)
    average, raw = subject.averaged, subject.encoders
    start = raw.photo.fc.weight.detach().clone()
    subject.step(*batch())
    first = raw.photo.fc.weight.detach().clone()
    # a young average keeps 1 / (1 + 10), then 2 / (2 + 10)
    expected = start / 11 + first * 10 / 11
    torch.testing.assert_close(average.photo.fc.weight, expected)
    subject.step(*batch(seed=1))
    expected = expected * 2 / 12 + raw.photo.fc.weight.detach() * 10 / 12
    torch.testing.assert_close(average.photo.fc.weight, expected)
    assert not equal(average, raw)
    assert raw.training and not any(m.training for m in average.modules())
    assert not any(p.requires_grad for p in average.parameters())
    assert average.photo.bn.num_batches_tracked == 2


def test_without_averaging_the_raw_encoders_are_handed_out(learner):
    subject = learner(ema=0)
    for seed in range(3):
        subject.step(*batch(seed=seed))
    assert equal(subject.averaged, subject.encoders)


@pytest.mark.parametrize("k, keep", [(1, 0.5), (50, 0.5), (1, 0.0)])
def test_a_decay_is_never_exceeded(learner, k, keep):
    subject = learner(ema=keep)
    subject.index = k
    with torch.no_grad():
        subject.averaged.proxies.zero_()
        subject.encoders.proxies.fill_(1)
    subject._average()
    assert subject.averaged.proxies.unique().tolist() == pytest.approx(
        [1 - min(keep, k / (k + 10))]
    )


def test_the_queue_keeps_the_newest_rows_whatever_the_batch(learner):
    subject, seen = learner(queue=5), []
    for n, mark in ((3, 0.1), (3, 0.2), (2, 0.3), (7, 0.4)):
        photos, sketches, *_ = batch(n)
        # posteriors that tell when a row came, and which row it was
        labels = torch.stack([torch.full((n,), mark), torch.arange(n) / 100], 1)
        labels = torch.cat([labels, 1 - labels.sum(1, keepdim=True)], 1)
        subject.step(photos, sketches, labels, labels)
        rows, posteriors = subject.queues["sketch"]
        assert len(rows) == len(posteriors) <= 5 and not rows.requires_grad
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
        seen.append([round(x, 2) for x in posteriors[:, 0].tolist()])
    assert seen == [[0.1] * 3, [0.2] * 3 + [0.1] * 2, [0.3] * 2 + [0.2] * 3, [0.4] * 5]


def test_the_queue_serves_as_further_keys(learner, monkeypatch):
    subject, sizes = learner(queue=5), []
    contrastive = losses.contrastive

    def spy(queries, keys, query_posteriors, key_posteriors):
        assert len(keys) == len(key_posteriors)
        sizes.append((len(queries), len(keys)))
        return contrastive(queries, keys, query_posteriors, key_posteriors)

    monkeypatch.setattr(students.losses, "contrastive", spy)
    for n in (3, 4, 2):
        subject.step(*batch(n))
    # this batch's rows and at most five earlier ones: 3 + 0, 4 + 3, 2 + 5
    assert sizes == [(3, 3), (3, 3), (4, 7), (4, 7), (2, 7), (2, 7)]


def test_no_queue(learner):
    subject = learner(queue=0)
    subject.step(*batch())
    assert subject.queues == {"photo": [], "sketch": []}


def test_synthesis_does_not_touch_the_encoders(begin):
    loop = begin(adv=1.0)
    next(loop)
    before = {
        id(network): {k: v.clone() for k, v in network.state_dict().items()}
        for network in (loop.learner.encoders, loop.encoders)
    }
    assert "adv" in next(loop.synthesis).terms  # a pass through the encoders
    for network in (loop.learner.encoders, loop.encoders):
        assert all(torch.equal(v, before[id(network)][k]) for k, v in network.state_dict().items())


def test_new_encoders_depend_on_the_seed(tiny):
    state = torch.get_rng_state()
    assert equal(new_encoders(tiny, 3, seed=1), new_encoders(tiny, 3, seed=1))
    assert not equal(new_encoders(tiny, 3, seed=1), new_encoders(tiny, 3, seed=2))
    assert torch.equal(torch.get_rng_state(), state)


def test_encoders_from_teachers_compare_as_logits_do(teachers, tiny):
    encoders = encoders_from_teachers(teachers, tiny).eval()
    draw = torch.Generator().manual_seed(0)
    photos, sketches = torch.rand(2, 6, 3, 16, 16, generator=draw)
    with torch.no_grad():
        embeddings = encoders.embed(sketches, "sketch"), encoders.embed(photos, "photo")
        logits = (
            F.normalize(teachers.sketch(sketches).logits),
            F.normalize(teachers.photo(photos).logits),
        )
        read = encoders.class_logits(embeddings[1]) / encoders.scale
    torch.testing.assert_close(
        embeddings[0] @ embeddings[1].T, logits[0] @ logits[1].T, atol=1e-4, rtol=0
    )
    torch.testing.assert_close(read, logits[1], atol=1e-4, rtol=0)  # the proxies are the axes


def test_encoders_cannot_start_from_every_teacher(teachers, make_teacher, tiny):
    plain = Teacher(nn.Sequential(nn.Flatten(), nn.Linear(768, 3)), teachers.classes, 16)
    with pytest.raises(UserError, match="photo teacher is a Sequential"):
        encoders_from_teachers(Teachers(plain, teachers.sketch, teachers.guidance), tiny)
    nine = make_teacher(tuple("abcdefghi"))
    with pytest.raises(UserError, match="9 classes do not fit into 8 dimensions"):
        encoders_from_teachers(Teachers(nine, nine, teachers.guidance), tiny)
    wide = Profile("wide", 16, (4, 12), 8, 8, 1, 1, 1)
    with pytest.raises(UserError, match=r"photo teacher has widths 4, 8"):
        encoders_from_teachers(teachers, wide)


def test_a_state_of_another_run_is_refused(
    begin, make_teacher, teachers, tiny, tiny_recipe, tmp_path
):
    path = tmp_path / "run.state"
    loop = begin(steps=6)
    next(loop)
    loop.save(path)
    with pytest.raises(UserError, match=r"run\.state: a run of 6 steps, this one has 7"):
        begin(steps=7).resume(path)
    others = make_teacher(("ant", "bee", "dog"))
    other = distill(
        Teachers(others, others, teachers.guidance), tiny_recipe(), new_encoders(tiny, 3), steps=6
    )
    with pytest.raises(UserError, match=r"run\.state: a run for other classes \(ant, bee, cat\)"):
        other.resume(path)
    wider = Profile("wide", 16, (4, 12), 8, 8, 1, 1, 1)
    other = distill(teachers, tiny_recipe(), new_encoders(wider, 3), steps=6, width=8)
    with pytest.raises(UserError, match=r"run\.state: does not hold"):
        other.resume(path)
    with pytest.raises(UserError, match=r"nothing\.state: no such file"):
        begin().resume(tmp_path / "nothing.state")


def test_saved_encoders_come_back_frozen(tiny, tmp_path):
    path, encoders = tmp_path / "student.safetensors", new_encoders(tiny, 3).eval()
    card = save_encoders(path, encoders, {"data": "none"})
    assert card["widths"] == [4, 8] and card["embed_dim"] == 8 and card["data"] == "none"
    loaded, images = load_encoders(path), torch.rand(4, 3, 16, 16)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    for modality in ("photo", "sketch"):
        cosines = (loaded.embed(images, modality) * encoders.embed(images, modality)).sum(1)
        assert cosines.min() > 0.999
    assert math.isclose(loaded.scale, encoders.scale)
    path.with_suffix(".json").write_text('{"sha256": "0"}')
    with pytest.raises(UserError, match=r"student\.safetensors: damaged"):
        load_encoders(path)
