"""Verdicts, intervals and tables, on numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from dfsbir_lite.study import claims
from dfsbir_lite.study.bench import BACKBONE
from dfsbir_lite.study.claims import Claim
from dfsbir_lite.study.rows import ABLATIONS, OVERLAP, RIVALS


def table(**rows) -> pd.DataFrame:
    """A tidy table of seen mAP@all: row → one value a seed."""
    runs = [
        {row: {"seen": {"map_all": values[seed]}} for row, values in rows.items()}
        for seed in range(3)
    ]
    return claims.tidy(runs, range(3))


def verdict(ours, other, **options) -> str:
    return Claim("", "a", "b", **options).judge(table(a=ours, b=other))["verdict"]


def test_scores_become_one_line_a_number():
    scores = {"seen": {"map_all": 0.5, "chance": 0.1}, "seconds": 3.0, "course": [[3.0, 0.5]]}
    frame = claims.tidy([{"a": scores}], [7])
    assert frame.to_dict("records") == [
        {"seed": 7, "row": "a", "part": "seen", "metric": "map_all", "value": 0.5},
        {"seed": 7, "row": "a", "part": "seen", "metric": "chance", "value": 0.1},
        {"seed": 7, "row": "a", "part": "all", "metric": "seconds", "value": 3.0},
    ]


def test_rows_keep_their_order_and_seeds_their_columns():
    frame = claims.by_seed(table(z=[1, 2, 3], a=[4, 5, 6]))
    assert list(frame.index) == ["z", "a"] and frame.loc["a"].tolist() == [4, 5, 6]


def test_the_interval_of_three_values_is_their_range():
    # 27 ways to draw three of three: each extreme mean comes up in 1/27 of them, more than 2.5 %
    assert claims.interval([1.0, 2.0, 6.0]) == pytest.approx((1.0, 6.0))


def test_the_interval_of_many_values_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(size=2000)
    low, high = claims.interval(values)
    assert (high - low) / 2 == pytest.approx(1.96 / 2000**0.5, rel=0.05)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.003)


def test_equal_values_and_single_ones_have_no_spread_to_draw_from():
    assert claims.interval([0.3, 0.3, 0.3]) == (0.3, 0.3)
    assert np.isnan(claims.interval([0.3])).all()


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ([0.5, 0.6, 0.7], "holds"),
        ([0.3, 0.3, 0.4], "does not hold"),
        ([0.4, 0.4, 0.4], "does not hold"),  # equal is not better
        ([0.3, 0.5, 0.6], "undecided"),
    ],
)
def test_verdicts(ours, expected):
    assert verdict(ours, [0.4, 0.4, 0.4]) == expected


def test_seeds_are_compared_in_pairs():
    # the two overlap, but each seed is better than its own rival
    assert verdict([0.2, 0.5, 0.9], [0.1, 0.4, 0.8]) == "holds"


def test_a_margin_and_a_share_count():
    assert verdict([0.5, 0.5, 0.5], [0.45, 0.45, 0.45], margin=0.1) == "does not hold"
    assert verdict([0.4, 0.4, 0.4], [0.5, 0.5, 0.5], share=0.7) == "holds"


def test_one_seed_decides_nothing():
    frame = claims.tidy([{"a": {"seen": {"map_all": 1.0}}, "b": {"seen": {"map_all": 0.0}}}], [0])
    assert Claim("", "a", "b").judge(frame)["verdict"] == "undecided"


def test_of_several_rivals_the_best_on_average_counts():
    frame = table(a=[0.5] * 3, b=[0.9, 0.1, 0.1], c=[0.4] * 3)
    told = Claim("", "a", ("b", "c")).judge(frame)
    assert told["other"] == pytest.approx(0.4) and told["verdict"] == "holds"


def test_claims_without_their_rows_are_left_out():
    frame = table(**{"data-free student": [0.5] * 3, "teacher features": [0.1] * 3})
    assert claims.judge(frame).claim.tolist() == ["better than teacher features"]


def test_the_stored_table_is_whole():
    frame = claims.stored()
    assert set(frame.seed) == {0, 1, 2}
    for part in ("seen", "unseen"):
        scores = claims.by_seed(frame, part)
        assert not scores.isna().any(axis=None) and scores.stack().between(0, 1).all()
    assert set(RIVALS | ABLATIONS | OVERLAP) - {BACKBONE} == set(scores.index)
    assert len(claims.judge(frame)) == len(claims.CLAIMS)


def test_curves_of_overlap_end_in_the_rows_of_all_classes():
    rows = {f"{s}% shared": [s / 200] * 3 for s in (10, 25, 50, 75)}
    rows |= {f"{name}: posteriors": [values[0] / 2] * 3 for name, values in rows.items()}
    rows |= {"data-free student": [0.9] * 3, "teacher posteriors": [0.8] * 3}
    curves = claims.overlap(table(**rows))
    assert curves["data-free student"]["mean"].to_dict() == pytest.approx(
        {0.1: 0.05, 0.25: 0.125, 0.5: 0.25, 0.75: 0.375, 1.0: 0.9}
    )
    assert curves["teacher posteriors"]["mean"].tolist()[-2:] == pytest.approx([0.1875, 0.8])


def test_baselines_have_the_papers_names_and_figures():
    ours, paper = claims.baselines(claims.stored())
    assert list(ours.index) == list(paper.index) == list(claims.PAPER.index)
    assert paper.loc["Averaging weights"].tolist() == [0.625, 0.45, 0.3]
    averaged = claims.by_seed(claims.stored()).loc["averaged weights"].mean()
    assert ours["mean"]["Averaging weights"] == pytest.approx(averaged)


def test_the_papers_lead_is_what_it_reports():
    rivals = claims.PAPER.drop(index=claims.METHOD).max()
    lead = claims.PAPER.loc[claims.METHOD] - rivals
    reported = [lead[name, "map_all"] for name in ("Sketchy", "TU-Berlin", "QuickDraw")]
    assert reported == pytest.approx([0.171, 0.170, 0.100])
    assert set(claims.BASELINES) == set(claims.PAPER.index) - {claims.METHOD}


def test_what_is_kept_at_half_the_classes_is_the_papers_share():
    curve = claims.PAPER_OVERLAP["Sketchy"]
    assert pytest.approx(curve[0.5] / curve[1.0], abs=0.005) == claims.KEPT
