"""Verdicts, intervals and tables, on numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from dfsbir_lite.study import claims
from dfsbir_lite.study.claims import Claim
from dfsbir_lite.study.rows import ABLATIONS, OURS, OVERLAP, REGIMES, RIVALS, SIZES


def table(**rows) -> pd.DataFrame:
    """A tidy table of seen mAP@all: row → one value a seed."""
    runs = [{row: {"seen": {"map_all": v[n]}} for row, v in rows.items()} for n in range(3)]
    return claims.tidy(runs, range(3))


def verdict(ours, other, **options) -> str:
    return Claim("", "a", "b", **options).judge(table(a=ours, b=other))["verdict"]


def test_intervals():
    # 27 ways to draw three of three: each extreme mean comes up in 1/27 of them, more than 2.5 %
    assert claims.interval([1.0, 2.0, 6.0]) == pytest.approx((1.0, 6.0))
    low, high = claims.interval(np.random.default_rng(0).normal(size=2000))
    assert (high - low) / 2 == pytest.approx(1.96 / 2000**0.5, rel=0.05)  # as of a normal one
    assert claims.interval([0.3, 0.3, 0.3]) == (0.3, 0.3)
    assert np.isnan(claims.interval([0.3])).all()


def test_verdicts():
    assert verdict([0.5, 0.6, 0.7], [0.4] * 3) == "holds"
    assert verdict([0.3, 0.3, 0.4], [0.4] * 3) == "does not hold"
    assert verdict([0.4, 0.4, 0.4], [0.4] * 3) == "does not hold"  # equal is not better
    assert verdict([0.3, 0.5, 0.6], [0.4] * 3) == "undecided"


def test_seeds_are_compared_in_pairs_and_a_margin_and_a_share_count():
    # the two overlap, but each seed is better than its own rival
    assert verdict([0.2, 0.5, 0.9], [0.1, 0.4, 0.8]) == "holds"
    assert verdict([0.5, 0.5, 0.5], [0.45, 0.45, 0.45], margin=0.1) == "does not hold"
    assert verdict([0.4, 0.4, 0.4], [0.5, 0.5, 0.5], share=0.7) == "holds"


def test_of_several_rivals_the_best_on_average_counts():
    judged = Claim("", "a", ("b", "c")).judge(table(a=[0.5] * 3, b=[0.9, 0.1, 0.1], c=[0.4] * 3))
    assert judged["other"] == pytest.approx(0.4) and judged["verdict"] == "holds"


def test_claims_without_their_rows_are_left_out_and_one_seed_decides_nothing():
    scores = {"seen": {"map_all": 0.5}}
    rows = {"data-free student": scores, "teacher features": scores}
    judged = claims.judge(claims.tidy([rows], [0]))
    assert judged[["claim", "verdict"]].to_numpy().tolist() == [
        ["better than teacher features", "undecided"]
    ]


def test_the_stored_table_has_every_row_and_all_that_claims_need():
    frame = claims.stored()
    assert set(frame.seed) == {0, 1, 2}
    for part in ("seen", "unseen"):
        scores = claims.by_seed(frame, part)
        assert not scores.isna().any(axis=None) and scores.stack().between(0, 1).all()
        assert {*RIVALS, *ABLATIONS, *OVERLAP} == set(scores.index)
    of_both = claims.OF_THE_PAPER + claims.OF_THE_KIT
    assert len(claims.judge(frame, of_both)) == len(of_both)


def test_curves_of_overlap_end_in_the_rows_of_all_classes():
    rows = {f"{s}% shared": [s / 200] * 3 for s in (10, 25, 50, 75)}
    rows |= {f"{name}: posteriors": [values[0] / 2] * 3 for name, values in rows.items()}
    rows |= {"data-free student": [0.9] * 3, "teacher posteriors": [0.8] * 3}
    student, posteriors = (
        curve["mean"].round(4) for curve in claims.overlap(table(**rows)).values()
    )
    assert student.to_dict() == {0.1: 0.05, 0.25: 0.125, 0.5: 0.25, 0.75: 0.375, 1.0: 0.9}
    assert posteriors.tolist()[-2:] == [0.1875, 0.8]


def test_baselines_have_the_papers_names_and_figures():
    ours, paper = claims.beside_the_paper(claims.stored())
    assert list(ours.index) == list(paper.index) == [*claims.BASELINES, claims.METHOD]
    assert paper.loc["Averaging weights"].tolist() == [0.625, 0.45, 0.3]
    averaged = claims.by_seed(claims.stored()).loc["averaged weights"].mean()
    assert ours["mean"]["Averaging weights"] == pytest.approx(averaged)


def test_effects_are_what_an_ingredient_adds_whichever_row_has_it():
    scores = {"paper-proxies": 0.2, "paper-proxies+bn": 0.5, "paper-proxies without alignment": 0.3}
    runs = [{row: {"seen": {"map_all": s + n / 10}} for row, s in scores.items()} for n in (0, 1)]
    runs[1]["paper-proxies without alignment"]["seen"]["map_all"] = 0.2
    tables = claims.effects(claims.tidy(runs, (0, 1)))
    plain = tables["paper-proxies"].round(6)
    # without alignment .3, then .2, beside .2, then .3; batch statistics add .3 to both
    assert plain.loc["alignment"].tolist() == [0, -0.1, 0.1]
    assert plain.loc["batch statistics"].tolist() == [0.3, 0.3, 0.3]
    assert tables["paper-proxies+bn"].round(6).loc["batch statistics"].tolist() == [0.3, 0.3, 0.3]
    assert plain.loc["guidance"].isna().all()


def test_effects_in_the_kit_are_those_of_its_ablations():
    runs = [{OURS: {"seen": {"map_all": 0.7}}, "no one-hot": {"seen": {"map_all": 0.6}}}] * 2
    kit = claims.effects(claims.tidy(runs, (0, 1)))["kit"].round(6)
    assert kit.loc["semantic terms"].tolist() == [0.1, 0.1, 0.1]
    assert kit.drop("semantic terms").isna().all(axis=None)


@pytest.mark.parametrize(("bench", "known"), [("regimes", REGIMES), ("students", SIZES)])
def test_other_stored_tables_hold_rows_of_three_seeds(bench, known):
    scores = claims.by_seed(claims.stored(bench))
    assert set(scores.index) <= set(known) and list(scores.columns) == [0, 1, 2]
    assert scores.stack().dropna().between(0, 1).all()
