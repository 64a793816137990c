"""The wrong ways are wrong in the way they say, and nothing but the lessons uses them."""

import itertools

import pytest
import torch
from sklearn.metrics import precision_recall_curve

from dfsbir_lite import losses, widgets
from dfsbir_lite.lessons import pitfalls
from dfsbir_lite.models import Encoders, Normalise
from dfsbir_lite.retrieval import average_precision


def near(value, within=1e-6):
    return pytest.approx(value, abs=within)


def hits(*rows: str):
    """Return rankings from strings: `hits("x.x")` has hits at ranks 1 and 3."""
    return torch.tensor([[c == "x" for c in row] for row in rows])


@pytest.fixture
def rankings():
    """20 queries, 300 photos; 40 to 80 relevant to each, and better ranked than the others."""
    draw = torch.Generator().manual_seed(0)
    relevant = torch.rand(20, 300, generator=draw) < torch.linspace(0.1, 0.3, 20)[:, None]
    scores = torch.randn(20, 300, generator=draw) + relevant
    order = scores.argsort(dim=1, descending=True)
    return relevant.gather(1, order), scores.gather(1, order)


# --- 1: average precision that stops at ten hits ----------------------------------------------


def test_ten_hits_by_hand():
    rows = hits("x.x..", "....x", ".....")
    # (1/1 + 2/3) / 2, 1/5, nothing: with fewer than ten hits it is the plain one
    assert pitfalls.ten_hits_average_precision(rows).tolist() == near([5 / 6, 1 / 5, 0])
    # one hit only: the second costs nothing
    assert pitfalls.ten_hits_average_precision(rows, hits=1).tolist() == near([1, 1 / 5, 0])


def test_ten_hits_forgive_everything_that_comes_later():
    row = hits("x" * 10 + "." * 1800 + "x" * 190)
    assert pitfalls.ten_hits_average_precision(row).item() == 1
    assert average_precision(row).item() == near(0.102, 1e-3)


# --- 2: the queue -----------------------------------------------------------------------------


@pytest.mark.parametrize("size, batch, moves", [(512, 128, True), (128, 512, False), (6, 4, False)])
def test_a_stuck_queue_moves_only_in_whole_batches(size, batch, moves):
    queue = pitfalls.StuckQueue(size, 3)
    before = queue.rows.clone()
    queue.add(torch.ones(batch, 3))
    assert len(queue.rows) == size
    assert torch.equal(queue.rows, before) != moves


@pytest.mark.parametrize("size, batch", [(512, 128), (128, 512), (6, 4)])
def test_a_queue_that_is_not_stuck_keeps_the_newest(size, batch):
    queue = pitfalls.StuckQueue(size, 1, stuck=False)
    old = queue.rows.clone()
    queue.add(torch.arange(batch).float()[:, None].requires_grad_())
    kept = min(size, batch)
    assert queue.rows[:kept, 0].tolist() == list(range(kept))
    assert torch.equal(queue.rows[kept:], old[: size - kept])
    assert not queue.rows.requires_grad


def test_info_nce_by_hand():
    queries = keys = torch.tensor([[1.0, 0.0]])
    loss = pitfalls.info_nce(queries, keys, torch.tensor([[0.0, 1.0]]), temperature=0.5)
    assert loss.item() == near(torch.tensor([2.0, 0.0]).logsumexp(0).item() - 2)


# --- 3: conventions ---------------------------------------------------------------------------


def test_conventions_by_hand():
    tanh, twice, data_set = pitfalls.CONVENTIONS.values()
    white = torch.ones(1, 3, 1, 2)
    assert tanh(white).unique().tolist() == [1] and tanh(0 * white).unique().tolist() == [-1]
    assert data_set(white)[0, 0, 0, 0].item() == near((1 - 0.485) / 0.229)
    black_and_white = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    expected = [(v - 0.485) / 0.229 for v in (-1, 1)]
    assert twice(black_and_white)[:, 0].flatten().tolist() == near(expected, 1e-3)


def test_a_network_is_fed_by_another_convention_and_stays_as_it_was(make_teacher):
    teacher, tanh = make_teacher(("ant", "bee")), pitfalls.CONVENTIONS["raw tanh"]
    images = torch.rand(4, 3, 16, 16)
    before = teacher(images).logits
    with torch.no_grad():
        same = pitfalls.fed(teacher, Normalise())(images).logits
        other = pitfalls.fed(teacher, tanh)(images).logits
    assert torch.allclose(same, before, atol=1e-5)
    assert not torch.allclose(other, before, atol=1e-2)
    assert torch.equal(teacher(images).logits, before)


# --- 4: view(3, -1) ---------------------------------------------------------------------------


def test_view_takes_thirds_of_the_batch_for_channels():
    shades = torch.tensor([0.1, 0.5, 0.9]).view(3, 1, 1, 1)
    images = shades + torch.linspace(-0.1, 0.1, 12).view(1, 3, 2, 2)
    rows = pitfalls.view_standardised(images)
    # one image a row: its brightness is gone, its channels stay apart
    assert rows.mean((1, 2, 3)).abs().max() < 1e-5
    assert rows.mean((0, 2, 3)).abs().max() > 0.5
    right = pitfalls.channel_standardised(images)
    assert right.mean((0, 2, 3)).abs().max() < 1e-5
    assert right.std((0, 2, 3)).tolist() == near([1, 1, 1], 1e-4)


# --- 5: train mode ----------------------------------------------------------------------------


def test_looking_changes_the_statistics_and_no_weight():
    encoders = Encoders((8, 16), 8, 3).eval()
    state = {k: v.clone() for k, v in encoders.state_dict().items()}
    after = pitfalls.polluted(encoders, [(torch.rand(6, 3, 16, 16), torch.ones(6, 3, 16, 16))])
    assert not after.training
    changed = {k for k, v in after.state_dict().items() if not torch.equal(v, state[k])}
    kinds = {name.rpartition(".")[2] for name in changed}
    assert kinds == {"running_mean", "running_var", "num_batches_tracked"}
    assert {name.partition(".")[0] for name in changed} == {"photo", "sketch"}
    # the originals are as before
    assert all(torch.equal(v, state[k]) for k, v in encoders.state_dict().items())


# --- 6: terms ---------------------------------------------------------------------------------


def test_the_adversary_has_no_bound():
    values = [
        pitfalls.unbounded_adversary(gap * torch.tensor([[0.0, 1.0]]), gap * torch.eye(2)[:1])
        for gap in (20, 80, 320)
    ]
    assert [v.item() for v in values] == near([-20, -80, -320], 1e-3)
    bounded = losses.adversarial(320 * torch.tensor([[0.0, 1.0]]), 320 * torch.eye(2)[:1])
    assert bounded.item() == -3


def test_entropy_without_epsilon_is_right_until_it_is_nan():
    logits = torch.zeros(4, 3)
    for gap in (1, 10, 50):
        logits[:, 0] = gap
        ours = losses.entropy(logits).item()
        assert pitfalls.entropy_without_epsilon(logits).item() == near(ours)
    logits[:, 0] = 120
    assert pitfalls.entropy_without_epsilon(logits).isnan()
    assert losses.entropy(logits).item() == near(0)
    with pytest.raises(FloatingPointError, match="entropy is nan"):
        losses.weighted({"entropy": pitfalls.entropy_without_epsilon(logits)}, {"entropy": 1.0})


# --- 7 and the metric lab ---------------------------------------------------------------------


def test_the_loops_are_right(rankings):
    ranked, _ = rankings
    assert torch.allclose(pitfalls.looped_average_precision(ranked), average_precision(ranked))
    assert pitfalls.looped_average_precision(hits("...")).tolist() == [0]


def test_voc_is_the_area_below_the_envelope_of_scikit_learns_curve(rankings):
    ranked, scores = rankings
    for row, score, mine in zip(ranked, scores, pitfalls.voc_average_precision(ranked)):
        precision, recall, _ = precision_recall_curve(row.numpy(), score.numpy())
        # recall falls along the curve: the best precision at that recall or a higher one
        envelope = itertools.accumulate(precision, max)
        area = sum(p * (a - b) for p, a, b in zip(envelope, recall, recall[1:]))
        assert mine.item() == near(area, 1e-5)


def test_voc_by_hand():
    rows = hits("x.x.", "....", "xx..", "..xx")
    # precision at the hits: 1, 2/3; none; 1, 1; 1/3 and 2/4, so that the first counts as 2/4 too
    assert pitfalls.voc_average_precision(rows).tolist() == near([5 / 6, 0, 1, 1 / 2])


def test_variants_differ_on_one_ranking():
    row = hits("x" * 150 + "." * 100 + "x" * 100)
    values = pitfalls.variants(row)
    assert values["mAP@200, by hits found"] == near(1)
    assert values["mAP@200, by min(200, relevant)"] == near(150 / 200)
    assert values["mAP@200, by all relevant"] == near(150 / 250)
    assert values["AP up to ten hits"] == values["Prec@100"] == 1
    assert values["Prec@200"] == near(150 / 200)
    assert values["mAP@all (plain)"] < values["mAP@all (VOC-interpolated)"] < 1


# --- the switches -----------------------------------------------------------------------------


@pytest.fixture
def switches():
    """Two switches, and every set of names that was measured."""
    asked = []

    def measure(on):
        asked.append(on)
        return 0.5 + 0.2 * ("a" in on) - 0.1 * ("b" in on)

    return widgets.Switches(["a", "b"], measure, also=[["b"]]), asked


def test_switches_begin_with_nothing_and_everything(switches):
    board, asked = switches
    assert asked == [set(), {"b"}, {"a", "b"}]
    assert board.tried == near({"nothing on": 0.5, "b": 0.4, "everything on": 0.6})
    shown = "nothing on ≈0.50, b ≈0.40, everything on ≈0.60"
    assert repr(board) == f"Switches(Bars of mAP@all now: everything on: {shown}.)"


def test_a_tick_measures_once_and_leaves_a_still_picture(switches):
    board, asked = switches
    before = bytes(board.picture.value)
    board.boxes["b"].value = False
    assert board.tried["a"] == near(0.7) and len(asked) == 4
    assert bytes(board.picture.value) != before
    bundle, metadata = board._repr_mimebundle_()
    assert bundle["text/plain"] == repr(board) and bundle["image/png"]
    assert metadata["image/png"]["alt"].startswith("Bars of mAP@all now: a: nothing")
    board.boxes["b"].value = True
    assert len(asked) == 4  # known already
