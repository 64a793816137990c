"""What the paper claims, and what we would like to know, as comparisons of rows that are judged.

The paper's figures are those of the authors' poster, on seen classes of other benchmarks than ours:
they are shown beside ours, and not compared with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from dfsbir_lite.study.rows import OURS, REAL, SHARES, UNIMODAL, overlap_row
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
METHOD = "CrossX-DFL"

# mAP@all and Prec@200 in the paper
PAPER = pd.DataFrame(
    [
        ("Classifier only", 0.530, 0.542, 0.330, 0.338, 0.160, 0.180),
        ("Uni-modal distillation", 0.529, 0.537, 0.291, 0.295, 0.130, 0.140),
        ("Gaussian prior", 0.365, 0.391, 0.110, 0.126, 0.080, 0.110),
        ("Averaging weights", 0.625, 0.630, 0.450, 0.473, 0.300, 0.320),
        ("Meta-data", 0.573, 0.576, 0.380, 0.395, 0.200, 0.221),
        ("Alternative data", 0.656, 0.680, 0.510, 0.530, 0.290, 0.330),
        (METHOD, 0.827, 0.831, 0.680, 0.693, 0.400, 0.410),
    ]
).set_index(0)
PAPER.columns = pd.MultiIndex.from_product(
    [("Sketchy", "TU-Berlin", "QuickDraw"), ("map_all", "prec_200")]
)
PAPER.index.name = None

# mAP@all against the share of common classes, read by eye off the authors' chart
PAPER_OVERLAP = pd.DataFrame(
    {
        "Sketchy": [0.12, 0.15, 0.22, 0.24, 0.31, 0.45, 0.59, 0.73, 0.76, 0.81],
        "TU-Berlin": [0.03, 0.09, 0.11, 0.27, 0.30, 0.32, 0.43, 0.59, 0.65, 0.67],
    },
    index=np.arange(1, 11) / 10,
)


# --- tables -----------------------------------------------------------------------------------


def tidy(runs: Sequence[dict], seeds: Sequence[int]) -> pd.DataFrame:
    """Scores of `experiments.compare` as one line a number: seed, row, part, metric, value."""
    lines = []
    for seed, rows in zip(seeds, runs, strict=True):
        for row, scores in rows.items():
            parts = {part: value for part, value in scores.items() if isinstance(value, dict)}
            for part, metrics in parts.items():
                lines += [(seed, row, part, metric, value) for metric, value in metrics.items()]
            if "seconds" in scores:
                lines.append((seed, row, "all", "seconds", scores["seconds"]))
    return pd.DataFrame(lines, columns=["seed", "row", "part", "metric", "value"])


def stored(profile_name: str = "laptop") -> pd.DataFrame:
    """The tidy table of `bench claims` that ships: ToyBox, three seeds."""
    return pd.read_csv(ASSETS / profile_name / "claims.csv")


def by_seed(frame: pd.DataFrame, part: str = "seen", metric: str = "map_all") -> pd.DataFrame:
    """One number of a tidy table: a line a row, in the table's order, and a column a seed."""
    chosen = frame[(frame.part == part) & (frame.metric == metric)]
    order = pd.unique(chosen.row)
    return chosen.pivot(index="row", columns="seed", values="value").loc[order]


def interval(values) -> tuple[float, float]:
    """The bootstrap's 95 % percentile interval of the mean; nan of fewer than two values.

    It resamples seeds, so it is about students: teachers and test images are the same in all.
    Three seeds say no more than that all three agree, or do not.
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return np.nan, np.nan
    if np.ptp(values) == 0:
        return values[0], values[0]
    found = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=9999, random_state=0
    )
    return tuple(found.confidence_interval)


def summary(frame: pd.DataFrame, part: str = "seen", metric: str = "map_all") -> pd.DataFrame:
    """Mean and 95 % interval of every row over the seeds: columns mean, low, high."""
    values = by_seed(frame, part, metric)
    bounds = [interval(row.dropna()) for _, row in values.iterrows()]
    table = pd.DataFrame(bounds, index=values.index, columns=["low", "high"])
    table.insert(0, "mean", values.mean(axis=1))
    return table


def baselines(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The six baselines and the method by the paper's names: our summary, and its mAP@all."""
    names = {row: name for name, row in BASELINES.items()} | {OURS: METHOD}
    ours = summary(frame).loc[list(names)].rename(index=names)
    return ours, PAPER.xs("map_all", axis=1, level=1).loc[ours.index]


def overlap(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Summaries by the share of common classes: of the student, and of the teachers' posteriors."""
    scores, shares = summary(frame), (*SHARES, 1.0)
    posteriors = [*(overlap_row(s, "posteriors") for s in SHARES), "teacher posteriors"]
    rows = {OURS: [*map(overlap_row, SHARES), OURS], "teacher posteriors": posteriors}
    return {name: scores.loc[chosen].set_axis(shares) for name, chosen in rows.items()}


# --- claims -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """mAP@all of the row `ours` is more than `share` times that of `other`, plus `margin`.

    Attributes:
        other: a row, or several, of which the best counts.
        part: on "seen" or on "unseen" classes.
    """

    text: str
    ours: str
    other: str | tuple[str, ...]
    part: str = "seen"
    share: float = 1.0
    margin: float = 0.0

    def judge(self, frame: pd.DataFrame) -> dict | None:
        """The verdict on a tidy table, with numbers; None if it lacks a row.

        It *holds* if the interval of the difference is above 0, *does not hold* if nothing of it
        is, and is *undecided* otherwise. Differences are between equal seeds.
        """
        values = by_seed(frame, self.part) if self.part in set(frame.part) else pd.DataFrame()
        others = (self.other,) if isinstance(self.other, str) else self.other
        if not {self.ours, *others} <= set(values.index):
            return None
        values = values.loc[[self.ours, *others]].dropna(axis=1)
        best = values.loc[list(others)].mean(axis=1).idxmax()
        ours, other = values.loc[self.ours], values.loc[best]
        difference = ours - self.share * other - self.margin
        low, high = interval(difference)
        verdict = "holds" if low > 0 else "does not hold" if high <= 0 else "undecided"
        return {
            "claim": self.text,
            "part": self.part,
            "verdict": verdict,
            "ours": ours.mean(),
            "other": other.mean(),
            "difference": difference.mean(),
            "low": low,
            "high": high,
        }


HALF, KEPT = overlap_row(0.5), 0.38  # .31 / .81 on Sketchy
OF_THE_PAPER = (
    *(Claim(f"better than {row}", OURS, row) for row in BASELINES.values()),
    Claim("leads the best baseline by .10", OURS, tuple(BASELINES.values()), margin=0.1),
    Claim("alignment matters", OURS, "no alignment"),
    Claim("guidance matters", OURS, "no guidance"),
    Claim("the adversary matters", OURS, "no adversary"),
    Claim("one-hot (semantic consistency) matters", OURS, "no one-hot"),
    Claim(f"half the classes shared: keeps {KEPT} of its score", HALF, OURS, share=KEPT),
    *(
        Claim("at least .95 of what real data teach", OURS, REAL, part, share=0.95)
        for part in ("seen", "unseen")
    ),
)
OF_THE_KIT = (
    *(
        Claim(f"better than the teachers' {name}", OURS, f"teacher {name}", part)
        for name in ("logits", "posteriors")
        for part in ("seen", "unseen")
    ),
    Claim("half the classes shared: better than posteriors", HALF, overlap_row(0.5, "posteriors")),
    Claim(
        "two teachers: at least .95 of a unified one",
        OURS,
        "student of a unified teacher",
        share=0.95,
    ),
    Claim("estimators beat random textures", OURS, "textures instead of synthesis"),
    Claim("batch statistics matter", OURS, "no batch statistics"),
    Claim("diversity matters", OURS, "no diversity"),
    Claim("labels from the noise beat arg-max labels", OURS, "arg-max labels"),
    Claim("symmetric alignment beats one-way", OURS, "one-way alignment"),
    Claim("matching scores beats the proxy loss", OURS, "proxy loss"),
    Claim("matching scores beats the contrastive loss", OURS, "contrastive loss"),
    Claim("hints matter", OURS, "no hints"),
    Claim("replay matters", OURS, "no replay"),
    Claim("relabelling matters", OURS, "no relabelling"),
    Claim("contours matter", OURS, "no contours"),
    Claim("one scene, seen in views, beats the recipe", "one scene", OURS),
)
CLAIMS = (*OF_THE_PAPER, *OF_THE_KIT)


def judge(frame: pd.DataFrame, claims: Sequence[Claim] = CLAIMS) -> pd.DataFrame:
    """The verdicts on all claims whose rows are in a tidy table, one a line."""
    return pd.DataFrame(filter(None, (claim.judge(frame) for claim in claims)))
