"""Every loss term against a number worked out by hand, and against its own limits."""

from dataclasses import fields
from math import e, exp, inf, log, nan

import pytest
import torch
from pytorch_metric_learning.losses import SupConLoss
from torch.nn import functional as F

from dfsbir_lite import losses
from dfsbir_lite.lessons import pitfalls
from dfsbir_lite.losses import ENCODER_TERMS, ESTIMATOR_TERMS, Weights
from dfsbir_lite.runtime import UserError

# softmax([ln 3, 0]) = (3/4, 1/4): the logits that most cases below are made of
A, B = [log(3), 0.0], [0.0, log(3)]
EVEN = [0.0, 0.0]


def near(value):
    return pytest.approx(value, abs=1e-5)


def test_one_hot():
    # -(ln 3/4 + ln 1/2) / 2
    assert losses.one_hot(torch.tensor([A, EVEN]), torch.tensor([0, 1])) == near(log(8 / 3) / 2)


def test_entropy_is_that_of_the_mean_posterior():
    # (3/4, 1/4) and (1/4, 3/4): the mean is even, although neither image is
    assert losses.entropy(torch.tensor([A, B])) == near(-log(2))
    assert losses.entropy(torch.tensor([A, A])) == near(0.75 * log(0.75) + 0.25 * log(0.25))


def test_entropy_has_a_gradient_where_a_class_is_impossible():
    logits = torch.tensor([[1000.0, 0.0]], requires_grad=True)
    losses.entropy(logits).backward()
    assert logits.grad.isfinite().all()


def test_activation():
    # |1| + |-2| + |3| + |0| = 6, over 4 features
    assert losses.activation(torch.tensor([[1.0, -2], [3, 0]])) == near(-1.5)


def test_batch_statistics():
    # means (3, 4) apart: 5; variances equal; second layer: variances 2 and 1/2 apart: 1.5
    zero, one = torch.zeros(2), torch.ones(2)
    first = (torch.tensor([3.0, 4]), one, zero, one)
    second = (zero[:1], torch.tensor([2.0]), zero[:1], torch.tensor([0.5]))
    assert losses.batch_statistics([first, second]) == near(6.5)


def test_class_alignment():
    # p = (3/4, 1/4), q = (1/2, 1/2): KL(p, q), and KL(q, p); their sum is 1/4 ln 3
    forth, back = 0.75 * log(1.5) - 0.25 * log(2), 0.5 * log(2) - 0.5 * log(1.5)
    p, q = torch.tensor([A]), torch.tensor([EVEN])
    assert losses.class_alignment(p, q) == losses.class_alignment(q, p) == near(log(3) / 8)
    assert pitfalls.one_way_alignment(p, q) == near(forth)
    assert pitfalls.one_way_alignment(q, p) == near(back)
    # a second pair that agrees, up to a constant, halves the mean
    p, q = torch.tensor([A, B]), torch.tensor([EVEN, B]) + 3
    assert losses.class_alignment(p, q) == near(log(3) / 16)


def test_modality_guidance():
    # photo read as (3/4, 1/4): ln 4/3; sketch read as (1/2, 1/2): ln 2
    photo, sketch = torch.tensor([A]), torch.tensor([EVEN])
    assert losses.modality_guidance(photo, sketch) == near(log(8 / 3) / 2)
    # the photo read as (1/4, 3/4): ln 4; two sketches read as (1/4, 3/4): ln 4/3 each
    photo, sketch = torch.tensor([B]), torch.tensor([B, B])
    assert losses.modality_guidance(photo, sketch) == near((log(4) + 2 * log(4 / 3)) / 3)


def test_adversarial():
    # KL(teacher (3/4, 1/4), student (1/2, 1/2)) = 3/4 ln 3/2 + 1/4 ln 1/2
    kl = 0.75 * log(1.5) + 0.25 * log(0.5)
    student, teacher = torch.tensor([EVEN, EVEN]), torch.tensor([A, A])
    assert losses.adversarial(student, teacher) == near(-kl)
    # wanted were 0 and 1, the teacher sees 0 and 0: only the first counts
    assert losses.adversarial(student, teacher, torch.tensor([0, 1])) == near(-kl / 2)
    # what the student sees does not matter: 3/4 ln 3 - 1/4 ln 3
    student = torch.tensor([B, B])
    assert losses.adversarial(student, teacher, torch.tensor([0, 0])) == near(-log(3) / 2)


def test_adversarial_clamps_each_image():
    # the first image disagrees by about 100, the second not at all: (3 + 0) / 2, not min(50, 3)
    student = torch.tensor([[0.0, 100], [0, 0]])
    teacher = torch.tensor([[100.0, 0], [0, 0]])
    assert losses.adversarial(student, teacher) == near(-1.5)
    assert losses.adversarial(student, teacher, limit=1.0) == near(-0.5)


def test_diversity():
    # grey levels 0, 1, 1/2 in a ring differ by 1, 1/2 and 1/2
    images = torch.tensor([0.0, 1.0, 0.5]).view(3, 1, 1, 1).expand(3, 3, 4, 4)
    assert losses.diversity(images) == near(-2 / 3)
    assert losses.diversity(images[:1].expand(5, -1, -1, -1)) == 0
    # neighbours, and not those after them: black and white in turn differ by 1 everywhere
    assert losses.diversity(images[:2].repeat(2, 1, 1, 1)) == near(-1)


def test_matching():
    # without their means (4, -2, -2) and (-1, 2, -1): (5² + 4² + 1²) / 3
    student, teacher = torch.tensor([[6.0, 0, 0]]), torch.tensor([[0.0, 3, 0]])
    assert losses.matching(student, teacher) == near(14)
    # (1, -1) to (0, 0) and (0, 0) to (-2, 2): (1 + 1 + 4 + 4) / 4
    student, teacher = torch.tensor([[3.0, 1], EVEN]), torch.tensor([EVEN, [1.0, 5]])
    assert losses.matching(student, teacher) == near(2.5)


def test_hints_measure_each_stage_in_units_of_the_teachers_variance():
    theirs = torch.tensor([1.0, 3, 5, 7]).view(2, 1, 2, 1)  # variance (9 + 1 + 1 + 9) / 3
    mine = theirs + torch.tensor([2.0, 0, 0, 0]).view(2, 1, 2, 1)  # mean squared distance 4 / 4
    assert losses.hints([mine], [theirs]) == near(3 / 20)
    for scale in (10, 0.01):
        assert losses.hints([scale * mine], [scale * theirs]) == near(3 / 20)
    twice = losses.hints(
        [mine, theirs.new_zeros(1, 2, 1, 1)], [theirs, torch.tensor([[[[1.0]], [[-1]]]])]
    )
    assert twice == near(3 / 20 + 1 / 2)  # a second stage: mean square 1, variance 2
    assert losses.hints([theirs], [theirs]) == 0


def test_hints_of_a_silent_teacher_stay_finite():
    silent = torch.zeros(1, 1, 2, 2)
    assert losses.hints([silent], [silent]) == 0
    assert losses.hints([silent + 1], [silent]).isfinite()


def test_proxy():
    # -(1/2 ln 3/4 + 1/2 ln 1/4)
    loss = losses.proxy(torch.tensor([A]), torch.tensor([[0.5, 0.5]]))
    assert loss == near(-0.5 * log(3 / 16))


def test_contrastive():
    query, keys = torch.tensor([[1.0, 0]]), torch.eye(2)  # cosines 1 and 0
    first, either = torch.tensor([[1.0, 0]]), torch.tensor([[0.5, 0.5]])
    # -ln(e / (e + 1)), at temperature 1 and 1/2
    assert losses.contrastive(query, keys, first, keys, 1.0) == near(log(e + 1) - 1)
    assert losses.contrastive(query, keys, first, keys, 0.5) == near(log(exp(2) + 1) - 2)
    # the targets are (1/2, 1/2): ln(e + 1) - (1 + 0) / 2
    assert losses.contrastive(query, keys, either, keys, 1.0) == near(log(e + 1) - 0.5)
    # two keys of the wanted class share the target
    assert losses.contrastive(query, keys, first, first.expand(2, 2), 1.0) == near(log(e + 1) - 0.5)


def test_contrastive_with_one_hot_posteriors_is_the_supervised_contrastive_loss():
    torch.manual_seed(0)
    queries, keys = F.normalize(torch.randn(12, 6)), F.normalize(torch.randn(20, 6))
    labels, key_labels = torch.arange(12) % 4, torch.randint(4, (20,))
    ours = losses.contrastive(
        queries, keys, F.one_hot(labels, 4).float(), F.one_hot(key_labels, 4).float()
    )
    theirs = SupConLoss(temperature=0.1)(queries, labels, ref_emb=keys, ref_labels=key_labels)
    assert ours == near(theirs.item())


def test_contrastive_targets_sum_to_one_however_unlikely_they_are():
    query, keys = torch.tensor([[1.0, 0]]), torch.eye(2)
    rare = torch.tensor([[0.01, 0.99, 0]]), torch.tensor([[0.1, 0, 0.9]] * 2)
    assert losses.contrastive(query, keys, *rare, 1.0) == near(log(e + 1) - 0.5)


def test_contrastive_without_a_partner_is_zero_not_nan():
    query, posterior = torch.tensor([[1.0, 0]]), torch.tensor([[1.0, 0]])
    assert losses.contrastive(query, torch.eye(2), posterior, torch.tensor([[0.0, 1]] * 2)) == 0


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_weights_reject(bad):
    with pytest.raises(UserError, match="weight align"):
        Weights(align=bad)


def test_snapshot_is_a_copy_of_every_weight():
    weights = Weights(align=2)
    seen = weights.snapshot()
    weights.align = 5
    assert seen["align"] == 2 and seen.keys() == {f.name for f in fields(Weights)}


def test_every_weight_belongs_to_one_side():
    assert sorted(ENCODER_TERMS + ESTIMATOR_TERMS) == sorted(f.name for f in fields(Weights))


def test_the_loss_is_the_weighted_sum_without_terms_that_are_off():
    terms = {"bn": torch.tensor(3.0), "align": torch.tensor(2.0), "modal": torch.tensor(inf)}
    assert losses.weighted(terms, {"bn": 2.0, "align": 0.5, "modal": 0.0}) == 7
    assert losses.weighted(terms, dict.fromkeys(terms, 0.0)) == 0


def test_a_loss_that_is_not_finite_names_its_term():
    terms = {"bn": torch.tensor(3.0), "align": torch.tensor(nan)}
    with pytest.raises(FloatingPointError, match="align is nan"):
        losses.weighted(terms, {"bn": 1.0, "align": 1.0})
    with pytest.raises(FloatingPointError, match="the sum of all terms is inf"):
        losses.weighted({"bn": torch.tensor(3e38)}, {"bn": 100.0})


# --- gradients --------------------------------------------------------------------------------


def rows(seed: int, *shape: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def moments_of(images: torch.Tensor) -> torch.Tensor:
    var, mean = torch.var_mean(images, dim=(0, 2, 3))
    stored = rows(9, 3), rows(8, 3).exp()
    return losses.batch_statistics([(mean, var, *stored)])


LABELS = torch.tensor([0, 1, 2, 1])
LOGITS, OTHERS, IMAGES = rows(1, 4, 3), rows(2, 4, 3), rows(3, 4, 3, 2, 2)
GRADIENTS = {
    "one_hot": (lambda x: losses.one_hot(x, LABELS), LOGITS),
    "entropy": (losses.entropy, LOGITS),
    "activation": (losses.activation, LOGITS),
    "bn": (moments_of, IMAGES),
    "align": (losses.class_alignment, LOGITS, OTHERS),
    "modal": (losses.modality_guidance, LOGITS[:, :2], OTHERS[:, :2]),
    "adv": (losses.adversarial, LOGITS, OTHERS),
    "diversity": (losses.diversity, IMAGES),
    "hint": (lambda x: losses.hints([x], [rows(4, 4, 3, 2, 2)]), IMAGES),
    "match": (losses.matching, LOGITS, OTHERS),
    "proxy": (lambda x: losses.proxy(x, OTHERS.softmax(1)), LOGITS),
    "contrastive": (
        lambda q, k: losses.contrastive(
            F.normalize(q, dim=1), F.normalize(k, dim=1), LOGITS.softmax(1), OTHERS.softmax(1)
        ),
        *(LOGITS, OTHERS),
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_those_of_finite_differences(name):
    loss, *inputs = GRADIENTS[name]
    torch.autograd.gradcheck(loss, [x.clone().requires_grad_() for x in inputs])


def test_hints_in_bfloat16_are_about_right():
    mine, theirs = rows(6, 2, 8, 6, 5, 5).bfloat16().unbind()
    found = losses.hints([mine], [theirs])
    expected = (mine.double() - theirs.double()).square().mean() / theirs.double().var()
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=2e-3)


def test_the_variance_behind_hints_is_right_far_from_zero():
    theirs = 30 + rows(7, 16, 8, 12, 12).float()
    found = losses.hints([theirs + 1], [theirs])
    assert found.item() == pytest.approx(1 / theirs.double().var().item(), rel=1e-3)


def test_pairs():
    """Two sketches at 0 and 90 degrees, their photos at 0 and 60, and one more key at 90."""
    sketches = torch.tensor([[1.0, 0], [0, 1]])
    photos = torch.tensor([[1, 0], [0.5, 0.75**0.5], [0, 1]])
    cosines = [[1, 0.5, 0], [0, 0.75**0.5, 1]]
    rows = [[exp(c / 0.07) for c in row] for row in cosines]
    expected = -sum(log(row[n] / sum(row)) for n, row in enumerate(rows)) / 2
    assert losses.pairs(sketches, photos) == near(expected)
    # the third key shows what the second sketch shows: it does not repel that one
    mine, keys = torch.eye(2), torch.tensor([[1.0, 0], [0.6, 0.4], [0.2, 0.8]])
    expected -= log(rows[1][1] / sum(rows[1][:2])) / 2 - log(rows[1][1] / sum(rows[1])) / 2
    first = log(rows[0][0] / (rows[0][0] + rows[0][2])) - log(rows[0][0] / sum(rows[0]))
    assert losses.pairs(sketches, photos, mine, keys) == near(expected - first / 2)
