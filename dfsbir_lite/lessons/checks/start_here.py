"""Checks of notebook 00: average precision, what it tells, and what chance gives."""

import math

import torch

from dfsbir_lite import retrieval
from dfsbir_lite.lessons.checks import Unanswered, Wrong, ask, exercise, explain, number

EARLY = 8  # how many photos one looks at before one gives up
KNOWN = 12  # the first classes of the list are those that were taught


@exercise
def ap_by_hand(answer, hits):
    """The average precision of one ranking, a number from 0 to 1; two digits are enough.

    Args:
        hits: for each rank whether the photo there is right, a list of bools.
    """
    value, hits = number(answer), torch.tensor(hits)
    precision = hits.float().cumsum(0) / torch.arange(1, len(hits) + 1)
    at_hits = precision[hits]
    if _close(value, at_hits.mean()):
        return (
            "The late hit still counts: AP looks at all right photos, not only at the first ones."
        )
    if value > 1:
        raise Wrong("Average precision is a mean of shares: it cannot be above 1. Take the mean.")
    typical = {
        "You divided by the length of the ranking. The mean is over the right photos only.": (
            at_hits.sum() / len(hits)
        ),
        "This is the mean over all ranks. Look only at the ranks where a right photo is.": (
            precision.mean()
        ),
        "This is the share of right photos in the whole ranking; where they are does not matter "
        "to it. Stop at each right photo and note the share up to there.": precision[-1],
        "You took 1 / rank at each right photo. The share up to there has all hits so far above "
        "the line: the second hit counts 2.": (hits / torch.arange(1, len(hits) + 1))[hits].mean(),
        "You stopped at the first right photo. Note the share at each of them.": at_hits[0],
    }
    explain(value, typical)
    raise Wrong("At each right photo: how many right so far, divided by its rank. Then the mean.")


@exercise
def same_precision(better, worse, k, least):
    """Two rankings, lists of eight bools with three True, alike in Prec@k and apart in AP.

    Args:
        k: Prec@k has to be the same. least: how far the APs have to be apart.
    """
    if worse is ... or worse is None:
        raise Unanswered
    rankings = [torch.tensor([bool(hit) for hit in one]) for one in (better, worse)]
    if any(len(one) != 8 or one.sum() != 3 for one in rankings):
        raise Wrong("Each ranking should have eight places, three of them True.")
    if rankings[0][:k].sum() != rankings[1][:k].sum():
        raise Wrong(f"Prec@{k} differs: count the right photos among the first {k} of each.")
    first, second = (float(retrieval.average_precision(one[None])[0]) for one in rankings)
    if first < second:
        raise Wrong("Prec@k is the same, but the second one has the higher AP: swap them.")
    if first - second < least - 1e-6:
        raise Wrong(
            f"Prec@{k} is the same, and the APs are {first:.2f} and {second:.2f}: {least} is "
            "wanted between them. Which order inside the first places is best, which is worst, "
            "and where may the other right photos be? Try another number of hits there, too."
        )
    return (
        f"The APs are {first:.2f} and {second:.2f}. Prec@k forgets the order above rank k, and all "
        "that comes after it; AP sees both. A table should say which of them it shows."
    )


@exercise
def chance(answer, counts):
    """The mAP@all that blind luck gives, as a share.

    Args:
        counts: photos of each class, a list; as many sketches as photos of each class ask.
    """
    value, counts = number(answer), torch.tensor(counts).double()
    shares = counts / counts.sum()
    truth = float(shares @ shares)
    if truth - 0.01 <= value <= _luck(counts) + 0.01:
        return (
            "Large classes are asked more often, and have more photos to find. `retrieval.score` "
            "reports this share as `chance`. A random ranking's mAP comes out a little above it, "
            "the more so the smaller the gallery: AP looks at the hits only, and each of them is "
            "in its own share."
        )
    typical = {
        "This is right if every class is asked equally often. Here the large classes are "
        "asked more often: weigh each share by the sketches that ask for it.": 1 / len(counts),
        "This is chance for sketches of the largest class only.": float(shares.max()),
        "This is chance for sketches of the smallest class only.": float(shares.min()),
        "This is the share of one photo. Each sketch has a whole class to find.": 1 / counts.sum(),
    }
    explain(value, typical)
    if value > 1:
        raise Wrong("A share is wanted, from 0 to 1.")
    raise Wrong(
        "For a sketch of one class, chance is the share of that class in the gallery. Then take "
        "the mean over all sketches."
    )


@exercise
def average_precision(answer):
    """A function (cosines (G,), right bool (G,)) → the AP of the ranking by falling cosine."""
    draw, values, mistakes = torch.Generator().manual_seed(0), [], []
    for size in (4, 9, 30, 200):
        cosines = 2 * torch.rand(size, generator=draw) - 1
        right = torch.rand(size, generator=draw) < 0.4
        right[:2] = torch.tensor([True, False])
        values.append(number(ask(answer, cosines.clone(), right.clone())))
        if not math.isfinite(values[-1]):
            raise Wrong("Yours is nan or infinite: ranks begin with 1, and 0 divides nothing.")
        mistakes.append(_readings(right, cosines.argsort(descending=True)))
    for why in mistakes[0]:
        if all(_close(v, m[why], 1e-3) for v, m in zip(values, mistakes, strict=True)):
            if why == "right":
                break
            raise Wrong(why)
    else:
        raise Wrong(
            "Not the AP that `retrieval.average_precision` gives. Try it on the ranking of section "
            "3, cosines 4, 3, 2, 1 with right, wrong, right, wrong, and print what each line makes."
        )
    return (
        "Four lines, and every table of this series rests on them. The package's version does the "
        "same for many rankings at once."
    )


@exercise
def failures(answer, hits, labels):
    """Five different rows of sketches of taught classes that find nothing right at first.

    Args:
        hits: bool (Q, k), whether each sketch's photo at each rank is right.
        labels: (Q,), the sketches' classes; those before `KNOWN` were taught.
    """
    rows = torch.as_tensor(list(answer)).flatten().tolist()
    if len(set(rows)) != 5:
        raise Wrong(f"Five different sketches are wanted; these are {len(set(rows))}.")
    if any(row != int(row) or not 0 <= row < len(labels) for row in rows):
        raise Wrong(f"Rows of sketches are wanted, whole numbers from 0 to {len(labels) - 1}.")
    rows = [int(row) for row in rows]
    if any(labels[row] >= KNOWN for row in rows):
        raise Wrong("At least one is of a class that was never taught. That it fails is no news.")
    if found := [row for row in rows if hits[row, :EARLY].any()]:
        raise Wrong(f"Sketch {found[0]} finds a right photo among the first {EARLY}.")
    if len({int(labels[row]) for row in rows}) < 3:
        raise Wrong("All true, but of fewer than three classes. Look in the others, too.")
    return (
        "Nothing right among the first eight, five times. The rest is yours: what do these "
        "sketches have in common, and which sketches would show that your guess is wrong?"
    )


def _close(value: float, truth, tolerance: float = 6e-3) -> bool:
    return abs(value - float(truth)) <= tolerance


def _ap(ranked) -> float:
    return float(retrieval.average_precision(ranked[None])[0])


def _readings(right, order) -> dict:
    """What a right function returns for one ranking, and wrong ones, by the mistake."""
    ranked = right[order]
    precision = ranked.float().cumsum(0) / torch.arange(1, len(ranked) + 1)
    return {
        "right": _ap(ranked),
        "The worst photo comes first in your ranking: sort by falling cosine.": _ap(ranked.flip(0)),
        "You took the photos in the order of the gallery: rank them by cosine first.": _ap(right),
        "You sorted the places, not what is there: use the order to pick from `right`.": _ap(
            right[order.argsort()]
        ),
        "You took the mean over all ranks. Keep only the ranks where a right photo is.": (
            precision.mean()
        ),
        "You divided by the whole gallery. Divide by the number of right photos.": (
            (precision * ranked).mean()
        ),
        "You summed the shares. AP is their mean over the right photos.": (
            precision * ranked
        ).sum(),
        "This is the share of right photos, whatever their order.": precision[-1],
        "Cumulated hits have to be divided by the rank, which begins with 1, not with 0.": (
            (ranked.cumsum(0) / torch.arange(len(ranked)).clamp(min=1))[ranked].mean()
        ),
    }


def _luck(counts) -> float:
    """The mean over sketches of what AP a random ranking is expected to have."""
    size = float(counts.sum())
    harmonic = float((1 / torch.arange(1, size + 1).double()).sum()) / size
    one = (counts - 1) / (size - 1) * (1 - harmonic) + harmonic
    return float((counts / size) @ one)
