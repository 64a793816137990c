"""What the paper claims, and what we ask beyond it, as comparisons of rows that are judged.

The paper's own figures, in `paper.csv`, are of other benchmarks: shown beside ours, not compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from dfsbir_lite.study.rows import (
    INGREDIENTS,
    MAPPED,
    OURS,
    REAL,
    SHARES,
    TEXTURES,
    UNIMODAL,
    overlap_row,
    with_and_without,
)
from dfsbir_lite.zoo import ASSETS

# the paper's six baselines, and our reading of each
BASELINES = {
    "Classifier only": "teacher features",
    "Uni-modal distillation": UNIMODAL,
    "Gaussian prior": "Gaussian prior",
    "Averaging weights": "averaged weights",
    "Meta-data": "meta-data",
    "Alternative data": "alternative data",
}
METHOD = "CrossX-DFL"  # as the paper calls it
PARTS = ("seen", "unseen")
_REPORTED = pd.read_csv(Path(__file__).with_name("paper.csv"), index_col="method", comment="#")
# mAP@all by method, and by the share of common classes; a column a benchmark
PAPER = _REPORTED.loc[_REPORTED.share.isna(), ["Sketchy", "TU-Berlin", "QuickDraw"]]
PAPER_OVERLAP = _REPORTED.dropna(subset="share").set_index("share")[["Sketchy", "TU-Berlin"]]


def tidy(runs: Sequence[dict], seeds: Sequence[int]) -> pd.DataFrame:
    """Return scores of `rows.compare` as a line a number: seed, row, part, metric, value."""
    lines = [
        (seed, row, part, *score)
        for seed, rows in zip(seeds, runs)
        for row, scores in rows.items()
        for part in PARTS
        for score in scores.get(part, {}).items()
    ]
    return pd.DataFrame(lines, columns=["seed", "row", "part", "metric", "value"])


def stored(bench: str = "claims") -> pd.DataFrame:
    """Return the tidy table of `bench claims`, or another, that ships: ToyBox, three seeds."""
    return pd.read_csv(ASSETS / "laptop" / f"{bench}.csv")


def by_seed(frame: pd.DataFrame, part: str = "seen", metric: str = "map_all") -> pd.DataFrame:
    """Return one metric of a tidy table: a line a row, in the table's order; a column a seed."""
    chosen = frame[(frame.part == part) & (frame.metric == metric)]
    return chosen.pivot(index="row", columns="seed", values="value").loc[pd.unique(chosen.row)]


def interval(values) -> tuple[float, float]:
    """Return the bootstrap's 95 % percentile interval of the mean; nan for fewer than two values.

    It resamples seeds, so it is about students: teachers and test images are the same in all.
    Three seeds say no more than that all three agree, or do not.
    """
    values = np.asarray(values, float)
    if len(values) < 2 or np.isnan(values).any():
        return np.nan, np.nan
    options = {"method": "percentile", "n_resamples": 9999, "random_state": 0}
    return tuple(stats.bootstrap((values,), np.mean, **options).confidence_interval)


def summary(frame: pd.DataFrame, part: str = "seen", metric: str = "map_all") -> pd.DataFrame:
    """Return the mean and 95 % interval of every row over the seeds: columns mean, low, high."""
    values = by_seed(frame, part, metric)
    lines = [(row.mean(), *interval(row.dropna())) for _, row in values.iterrows()]
    return pd.DataFrame(lines, index=values.index, columns=["mean", "low", "high"])


def beside_the_paper(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the summary of the six baselines and the method, and `PAPER`, by the paper's names."""
    names = {row: name for name, row in BASELINES.items()} | {OURS: METHOD}
    return summary(frame).loc[list(names)].rename(index=names), PAPER.loc[list(names.values())]


def effects(frame: pd.DataFrame, part: str = "seen") -> dict[str, pd.DataFrame]:
    """Return what each ingredient adds to the score of the kit and of each mapped regime.

    One table per regime, with its 95 % intervals: columns mean, low, high; nan without the rows.
    """
    values, tables = by_seed(frame, part), {}
    for regime in ("kit", *MAPPED):
        lines = {}
        for ingredient in INGREDIENTS:
            mine, other = values.reindex(with_and_without(regime, ingredient)).to_numpy()
            lines[ingredient] = (np.mean(mine - other), *interval(mine - other))
        tables[regime] = pd.DataFrame(lines, index=["mean", "low", "high"]).T
    return tables


def overlap(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return summaries by the share of common classes: of the student, of teacher posteriors."""
    scores, shares = summary(frame), (*SHARES, 1.0)
    posteriors = [*(overlap_row(s, "posteriors") for s in SHARES), "teacher posteriors"]
    rows = {OURS: [*map(overlap_row, SHARES), OURS], "teacher posteriors": posteriors}
    return {name: scores.loc[chosen].set_axis(shares) for name, chosen in rows.items()}


@dataclass(frozen=True)
class Claim:
    """mAP@all of the row `ours` is more than `share` times that of `other`, plus `margin`."""

    text: str
    ours: str
    other: str | tuple[str, ...]  # a row, or several, of which the best counts
    part: str = "seen"  # or "unseen" classes
    share: float = 1.0
    margin: float = 0.0

    def judge(self, frame: pd.DataFrame) -> dict | None:
        """Return the verdict on a tidy table, with numbers; None if it lacks a row.

        The claim *holds* if the interval of the difference, seed by seed, is above 0; it *does not
        hold* if none of it is; otherwise it is *undecided*.
        """
        others = [self.other] if isinstance(self.other, str) else list(self.other)
        values = by_seed(frame, self.part)
        if not {self.ours, *others} <= set(values.index):
            return None
        values = values.loc[[self.ours, *others]].dropna(axis=1)
        ours, other = values.loc[self.ours], values.loc[values.loc[others].mean(axis=1).idxmax()]
        difference = ours - self.share * other - self.margin
        low, high = interval(difference)
        word = "holds" if low > 0 else "does not hold" if high <= 0 else "undecided"
        verdict = {"claim": self.text, "part": self.part, "verdict": word}
        means = {"ours": ours.mean(), "other": other.mean(), "difference": difference.mean()}
        return {**verdict, **means, "low": low, "high": high}


HALF, KEPT = overlap_row(0.5), 0.38  # .31 / .81 on Sketchy
ONE = "student of a unified teacher"
OF_THE_PAPER = (
    *(Claim(f"better than {row}", OURS, row) for row in BASELINES.values()),
    Claim("leads the best baseline by .10", OURS, tuple(BASELINES.values()), margin=0.1),
    *(Claim(f"{name} matters", OURS, f"no {name}") for name in ("alignment", "guidance")),
    Claim("the adversary matters", OURS, "no adversary"),
    Claim("one-hot (semantic consistency) matters", OURS, "no one-hot"),
    Claim(f"half the classes shared: keeps {KEPT} of its score", HALF, OURS, share=KEPT),
    *(Claim("at least .95 of what real data teach", OURS, REAL, p, share=0.95) for p in PARTS),
)
OF_THE_KIT = (
    *(Claim("better than the teachers' logits", OURS, "teacher logits", p) for p in PARTS),
    *(Claim("better than the teachers' posteriors", OURS, "teacher posteriors", p) for p in PARTS),
    Claim("half the classes shared: better than posteriors", HALF, overlap_row(0.5, "posteriors")),
    Claim("two teachers: at least .95 of a unified one", OURS, ONE, share=0.95),
    Claim("estimators beat random textures", OURS, TEXTURES),
    *(Claim(f"{n} matter", OURS, f"no {n}") for n in ("batch statistics", "hints")),
)


OF_INGREDIENTS = tuple(
    Claim(f"{ingredient}: better with, in {regime}", *with_and_without(regime, ingredient))
    for regime in MAPPED
    for ingredient in INGREDIENTS
)
ALL = OF_THE_PAPER + OF_THE_KIT + OF_INGREDIENTS


def judge(frame: pd.DataFrame, claims: Sequence[Claim] = ALL) -> pd.DataFrame:
    """Return the verdicts on all claims whose rows are in a tidy table, one a line."""
    return pd.DataFrame(filter(None, (claim.judge(frame) for claim in claims)))
