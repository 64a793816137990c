"""The encoders' loop: exact resume, averaging, the queue, and what must not be touched."""

import copy
import itertools
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfsbir_lite import losses, students
from dfsbir_lite.losses import ENCODER_TERMS
from dfsbir_lite.models import Encoders, expected_proxy
from dfsbir_lite.pipeline import encoders_from_teachers, load_encoders, save_encoders
from dfsbir_lite.runtime import Profile, UserError
from dfsbir_lite.students import Learner, distill, new_encoders
from dfsbir_lite.teachers import Teacher, Teachers
from dfsbir_lite.views import contours, jitter, mix
from dfsbir_lite.widgets.panel import HIGHEST

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
    """Random photos and sketches, logits for each that are rather sure of a random class, maps."""
    draw = torch.Generator().manual_seed(seed)
    photos, sketches = torch.rand(2, n, 3, 16, 16, generator=draw)
    labels = torch.randint(3, (2, n), generator=draw)
    maps = [[torch.rand(n, w, s, s, generator=draw) for w, s in ((8, 8), (16, 4))] for _ in "ps"]
    return photos, sketches, *(4.0 * F.one_hot(labels, 3)), *maps


def equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("k", [1, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(begin, tmp_path, k):
    whole, first, second = (begin(seed=seed, replay=3) for seed in (0, 0, 5))
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
    assert {*ENCODER_TERMS, "one_hot", "bn", "adv"} <= steps[-1].terms.keys()
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


@pytest.mark.parametrize("relabel", [True, False])
def test_the_teachers_answer_for_what_the_encoders_see(begin, teachers, monkeypatch, relabel):
    """Jittered and mixed images of the replay; or those as they are, and a share of contours."""
    loop, seen = begin(relabel=relabel, contours=0 if relabel else 0.25), []
    monkeypatch.setattr(loop.learner, "step", lambda *args: seen.extend(args) or {})
    again = torch.Generator()
    again.set_state(loop.draw.get_state())
    next(loop)
    photos, sketches = loop.replay.sample(8, again)
    if relabel:
        photos = mix(jitter(photos, again), again)
        sketches = mix(jitter(sketches, again), again)
    else:
        sketches[:2] = contours(2, 16, again)
    sketches = sketches.expand(-1, 3, -1, -1)
    assert torch.equal(seen[0], photos) and torch.equal(seen[1], sketches)
    torch.testing.assert_close(seen[2], teachers.photo(photos).logits)
    torch.testing.assert_close(seen[3], teachers.sketch(sketches).logits)
    assert not seen[2].requires_grad and not seen[3].requires_grad
    for hints, teacher, images in zip(seen[4:], (teachers.photo, teachers.sketch), seen):
        torch.testing.assert_close(hints, teacher(images).maps)


def terms_of(encoders, photos, sketches, p_targets, s_targets, p_hints, s_hints):
    """What a learner without a queue should minimise, from the networks' outputs on."""
    (p, p_maps), (s, s_maps) = encoders.photo.read(photos), encoders.sketch.read(sketches)
    own = torch.arange(len(p))
    p, s = p @ encoders.proxies.T, s @ encoders.proxies.T
    p_labels, s_labels = p_targets.softmax(1), s_targets.softmax(1)
    frame = encoders.proxies, encoders.temperature
    p_unit, s_unit = expected_proxy(p, *frame), expected_proxy(s, *frame)
    return {
        "match": losses.matching(p, p_targets) + losses.matching(s, s_targets),
        "hint": losses.hints(p_maps, p_hints) + losses.hints(s_maps, s_hints),
        "proxy": losses.proxy(p, p_labels) + losses.proxy(s, s_labels),
        "contrastive": losses.contrastive(s_unit, p_unit, s_labels, p_labels)
        + losses.contrastive(p_unit, s_unit, p_labels, s_labels),
        "pairs": F.cross_entropy(s_unit @ p_unit.T / 0.07, own)
        + F.cross_entropy(p_unit @ s_unit.T / 0.07, own),
    }


def test_the_learner_returns_its_terms(learner):
    subject, given = learner(queue=0), batch()
    expected = terms_of(copy.deepcopy(subject.encoders), *given)
    terms = subject.step(*given)
    assert terms.keys() == expected.keys()
    for name, term in terms.items():
        assert not term.requires_grad
        torch.testing.assert_close(term, expected[name].detach(), msg=name)


@pytest.mark.parametrize("only", ENCODER_TERMS)
def test_a_weight_of_zero_switches_a_term_off(learner, only):
    subject, given = learner(**{**dict.fromkeys(ENCODER_TERMS, 0.0), only: 2.0}, queue=0), batch()
    twin = copy.deepcopy(subject.encoders)
    terms = subject.step(*given)
    (2 * terms_of(twin, *given)[only]).backward()
    mine, other = (encoders.sketch.stem.weight.grad for encoders in (subject.encoders, twin))
    torch.testing.assert_close(mine, other)
    assert other.abs().sum() > 0
    asked = {"match", "proxy", only}  # the others are left out without a weight
    both = {"contrastive", "pairs"}  # which share their work
    assert terms.keys() == (asked | both if only in both else asked)


def test_without_maps_there_are_no_hints(learner):
    assert "hint" not in learner().step(*batch()[:4])


def test_one_teacher_with_maps_hints_alone(learner):
    *given, _, sketch_maps = batch()
    subject = learner()
    _, maps = copy.deepcopy(subject.encoders).sketch.read(given[1])
    terms = subject.step(*given, (), sketch_maps)
    torch.testing.assert_close(terms["hint"], losses.hints(maps, sketch_maps).detach())


def test_a_narrow_encoder_learns_from_hints_through_adapters(teachers, tiny, tiny_recipe):
    """Of one stage, 8 wide: its map is paired with the teacher's last, of 16."""
    narrow = Encoders((8,), embed_dim=8, classes=3)
    subject = Learner(narrow, tiny_recipe(hint=1.0), 10, CPU, teachers)
    photos, sketches, *targets = batch()[:4]
    *_, p_map = teachers.photo(photos).maps
    *_, s_map = teachers.sketch(sketches).maps
    adapter = subject.networks.adapters["photo"][0]
    assert adapter.weight.shape == (16, 8, 1, 1)
    adapter.weight.data.zero_()
    subject.networks.adapters["sketch"][0].weight.data.zero_()
    terms = subject.step(photos, sketches, *targets, [p_map], [s_map])
    expected = sum(m.square().mean() / m.var() for m in (p_map, s_map))
    torch.testing.assert_close(terms["hint"], expected)
    assert adapter.weight.any()  # it learns too
    assert subject.averaged.state_dict().keys() == narrow.state_dict().keys()


def test_the_learning_rate_follows_a_cosine_to_zero(learner):
    subject, rates = learner(), []
    for _ in range(10):
        rates.append(subject.optimiser.param_groups[0]["lr"] / subject.recipe.encoder_lr)
        subject.step(*batch())
    # half way down at the middle, (1 + cos(0.9 pi)) / 2 = 0.0245 at the last of ten steps
    assert [rates[0], rates[5], rates[9]] == pytest.approx([1, 0.5, 0.024472], rel=1e-3)
    assert rates == sorted(rates, reverse=True)
    assert subject.optimiser.param_groups[0]["lr"] == 0


def test_averaged_encoders(learner):
    subject = learner(ema=0.97)
    average, raw = subject.averaged, subject.encoders
    subject.step(*batch())
    first = raw.photo.fc.weight.detach().clone()
    torch.testing.assert_close(average.photo.fc.weight, first)
    subject.step(*batch(seed=1))
    # a young average keeps 2 / (2 + 10)
    expected = first * 2 / 12 + raw.photo.fc.weight.detach() * 10 / 12
    torch.testing.assert_close(average.photo.fc.weight, expected)
    assert raw.training and not any(m.training for m in average.modules())
    assert not any(p.requires_grad for p in average.parameters())


@pytest.mark.parametrize("count, ema, keep", [(1, 0.97, 2 / 12), (49, 0.5, 0.5), (1, 0.0, 0.0)])
def test_a_young_average_forgets_faster(count, ema, keep):
    averaged, current = [torch.zeros(3)], [torch.ones(3)]
    students._average_of(ema)(averaged, current, torch.tensor(count))
    assert averaged[0].tolist() == pytest.approx([1 - keep] * 3)


def test_the_queue_keeps_the_newest_rows_whatever_the_batch(learner):
    subject, seen = learner(queue=5), []
    for n, mark in ((3, 0.1), (3, 0.2), (2, 0.3), (7, 0.4)):
        photos, sketches, *_ = batch(n)
        # posteriors that tell when a row came, and which row it was
        labels = torch.stack([torch.full((n,), mark), (torch.arange(n) + 1) / 100], 1)
        labels = torch.cat([labels, 1 - labels.sum(1, keepdim=True)], 1)
        subject.step(photos, sketches, labels.log(), labels.log())
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


def test_synthesis_does_not_touch_the_encoders(begin):
    loop = begin(adv=1.0)
    next(loop)
    before = copy.deepcopy([loop.learner.encoders, loop.encoders])
    assert "adv" in next(loop.synthesis).terms  # a pass through the encoders
    assert equal(before[0], loop.learner.encoders) and equal(before[1], loop.encoders)


def test_the_callers_networks_stay_as_they_are(teachers, tiny, tiny_recipe):
    encoders = new_encoders(tiny, 3).eval().requires_grad_(False)
    networks = [encoders, teachers.photo, teachers.sketch, teachers.guidance]
    before = copy.deepcopy(networks)
    list(distill(teachers, tiny_recipe(), encoders, steps=2, width=8))
    assert all(map(equal, before, networks))
    assert not encoders.training and not encoders.proxies.requires_grad
    weights = (network.network.stem.weight for network in (before[1], teachers.photo))
    assert len({weight.stride() for weight in weights}) == 1  # nor is their memory laid out anew


@pytest.fixture
def by_the_clock(teachers, tiny, tiny_recipe, monkeypatch):
    """`by_the_clock()`: a run of six seconds, whose iterations take one and a half."""
    clock = SimpleNamespace(monotonic=itertools.count(step=1.5).__next__)
    monkeypatch.setattr(students, "time", clock)
    encoders = new_encoders(tiny, 3)
    return lambda: distill(teachers, tiny_recipe(), encoders, seconds=6, width=8)


def test_a_run_by_the_clock_ends_in_time_with_its_learning_rate(by_the_clock):
    loop = by_the_clock()
    lr = loop.recipe.encoder_lr
    rates = [loop.learner.optimiser.param_groups[0]["lr"] / lr for _ in loop]
    assert loop.index == 4 and loop.done == 1
    # the last step of an iteration goes by the time at its beginning: 0, 1/4, 1/2, 3/4 of a cosine
    assert rates == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-5)


def test_a_run_by_the_clock_goes_on_with_the_time_that_is_left(by_the_clock, tmp_path):
    loop, again = by_the_clock(), by_the_clock()
    next(loop), next(loop), next(loop)
    loop.save(tmp_path / "state")
    again.resume(tmp_path / "state")
    assert again.done == 0.75 and len(list(again)) == 1


def test_new_encoders_depend_on_the_seed(tiny):
    state = torch.get_rng_state()
    assert equal(new_encoders(tiny, 3, seed=1), new_encoders(tiny, 3, seed=1))
    assert not equal(new_encoders(tiny, 3, seed=1), new_encoders(tiny, 3, seed=2))
    assert torch.equal(torch.get_rng_state(), state)


def test_encoders_from_teachers_start_with_the_teachers_logits(teachers, tiny):
    encoders = encoders_from_teachers(teachers, tiny).eval()
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for modality, teacher in (("photo", teachers.photo), ("sketch", teachers.sketch)):
        logits = teacher(images).logits
        torch.testing.assert_close(
            encoders.class_logits(images, modality), logits, atol=1e-4, rtol=1e-4
        )
    # the proxies are orthonormal: embeddings compare as centred posteriors at the temperature do
    embeddings = encoders.embed(images, "sketch")
    centred = F.normalize((logits / encoders.temperature).softmax(1) - 1 / 3)
    torch.testing.assert_close(embeddings @ embeddings.T, centred @ centred.T, atol=1e-4, rtol=0)


def test_encoders_cannot_start_from_every_teacher(teachers, make_teacher, tiny):
    plain = Teacher(nn.Sequential(nn.Flatten(), nn.Linear(768, 3)), teachers.classes, 16)
    with pytest.raises(UserError, match="photo teacher is Sequential"):
        encoders_from_teachers(Teachers(plain, teachers.sketch, teachers.guidance), tiny)
    nine = make_teacher(tuple("abcdefghi"))
    with pytest.raises(UserError, match="9 classes do not fit into 8 dimensions"):
        encoders_from_teachers(Teachers(nine, nine, teachers.guidance), tiny)
    wide = Profile("wide", 16, (8, 12), 8, 8, 1, 1, 1)
    with pytest.raises(UserError, match=r"photo teacher is .*8, 16.* the encoders are .*12"):
        encoders_from_teachers(teachers, wide)


def test_saved_encoders_come_back_frozen(tiny, tmp_path):
    path, encoders = tmp_path / "student.safetensors", new_encoders(tiny, 3).eval()
    encoders.temperature = 1.5
    card = save_encoders(path, encoders, {"data": "none"})
    assert card["widths"] == [8, 16] and card["embed_dim"] == 8 and card["data"] == "none"
    loaded, images = load_encoders(path), torch.rand(4, 3, 16, 16)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    for modality in ("photo", "sketch"):
        cosines = (loaded.embed(images, modality) * encoders.embed(images, modality)).sum(1)
        assert cosines.min() > 0.999
    assert loaded.temperature == encoders.temperature
    path.with_suffix(".json").write_text('{"sha256": "0"}')
    with pytest.raises(UserError, match=r"student\.safetensors: damaged"):
        load_encoders(path)


# --- no slider can break a run ----------------------------------------------------------------


def sound(loop) -> bool:
    networks = (loop.synthesis.estimators, loop.learner.encoders, loop.encoders)
    return all(value.isfinite().all() for n in networks for value in n.state_dict().values())


def test_all_sliders_at_their_ends(begin):
    loop = begin(**dict.fromkeys(asdict(losses.Weights()), 10**HIGHEST))
    assert len(list(loop)) == 6 and sound(loop)


@pytest.mark.parametrize(
    "loss, term",
    [
        ("batch_statistics", "bn"),
        ("class_alignment", "align"),
        ("contrastive", "contrastive"),
    ],
)
def test_a_term_that_is_no_number_is_named_and_nothing_is_learnt_from_it(
    begin, monkeypatch, loss, term
):
    loop = begin()
    next(loop), next(loop)
    learner = term in ENCODER_TERMS
    network = loop.learner.encoders if learner else loop.synthesis.estimators
    before = [parameter.clone() for parameter in network.parameters()]
    true = getattr(losses, loss)
    with monkeypatch.context() as patch:
        patch.setattr(losses, loss, lambda *given, **named: true(*given, **named) * float("nan"))
        with pytest.raises(FloatingPointError, match=f"^{term} is nan"):
            next(loop)
    assert all(map(torch.equal, before, network.parameters()))
    assert len(list(loop)) == 6 - 2 and sound(loop)
