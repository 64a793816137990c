"""The measures of evaluation and search, in tiny."""

import numpy as np
import pytest
import torch

from dfsbir_lite.retrieval import score
from dfsbir_lite.study.speed import measures, ranking
from dfsbir_lite.study.speed.measures import peak_extra


def test_embeddings_lie_around_one_direction_a_class():
    rows, labels = ranking.embeddings(2000, 100, seed=0)
    assert torch.allclose(rows.norm(dim=1), torch.ones(2000), atol=1e-5)
    cosines, same = rows @ rows.T, labels[:, None] == labels
    apart, alike = cosines[~same], cosines[same & ~torch.eye(2000).bool()]
    assert (apart.mean().abs(), apart.std()) == (
        pytest.approx(0, abs=0.02),
        pytest.approx(0.12, abs=0.02),
    )
    assert (alike.mean(), alike.std()) == (
        pytest.approx(0.68, abs=0.04),
        pytest.approx(0.23, abs=0.04),
    )
    other, _ = ranking.embeddings(2000, 100, seed=1)
    assert (other[:5] - rows[:5]).abs().max() > 0.1


def test_the_loops_give_what_score_gives():
    queries, labels = ranking.embeddings(12, 3, seed=1)
    gallery, gallery_labels = ranking.embeddings(80, 3, seed=2)
    whole = score(queries, labels, gallery, gallery_labels).map_all
    for loop in ranking.LOOPS.values():
        assert np.mean(loop(queries, labels, gallery, gallery_labels)) == pytest.approx(
            whole, abs=1e-6
        )


def test_a_walk_by_hand():
    assert ranking.walk(np.array([7, 1, 7]), 7) == pytest.approx((1 + 2 / 3) / 2)
    assert ranking.walk(np.array([1, 1]), 7) == 0


def test_evaluation_in_tiny():
    found = {m.name: m for m in ranking.measure_evaluation(40, 200, 4, looped=5, rounds=1)}
    assert {m.part for m in found.values()} == {"evaluation"}
    assert found["away from sklearn, at most"].met
    assert [m.least for m in found.values() if m.unit == "×"] == [None] * 4 + [100] * 3
    assert all(m.value > 0 for m in found.values() if m.unit in ("×", "ms", "s"))


def test_search_in_tiny(monkeypatch):
    found = {m.name: m for m in ranking.measure_search(3000, 10, k=5, searched=4)}
    assert found["exact, 1 query in 3,000"].most == 50
    pytest.importorskip("faiss")
    assert found["faiss, recall@5"].value > 0.9 and found["exact / faiss"].least == 5
    monkeypatch.setattr(ranking, "find_spec", lambda name: None)
    assert len(ranking.measure_search(300, 10, k=5, searched=2)) == 3


def takes(megabytes: int):
    """A call that holds and lets go of that much memory; its inputs are larger."""
    inputs = np.ones(60_000_000, np.uint8)
    return lambda: np.full(megabytes * 1_000_000, inputs[0]).sum()


@pytest.mark.skipif(not measures.PROCESS.exists(), reason="only Linux tells it closely")
@pytest.mark.parametrize("megabytes", [0, 200])
def test_the_peak_of_a_call_is_what_it_takes_beyond_its_inputs(megabytes):
    assert peak_extra(takes, megabytes) / 1e6 == pytest.approx(megabytes, abs=20)


def test_where_the_system_does_not_tell_the_peak_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(measures, "PROCESS", tmp_path / "none")
    monkeypatch.setattr(measures, "peak_memory", lambda device: 0)
    assert measures._peak_of(torch.get_num_threads(), takes, (1,)) is None
