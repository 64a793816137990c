"""Self-checks of notebook 08: traps to work out, to mend, to build, and to catch with a test."""

from contextlib import suppress

import torch
from torch.nn import functional as F

from dfsbir_lite.lessons.checks import Unanswered, Wrong, ask, exercise, number
from dfsbir_lite.retrieval import average_precision, score
from dfsbir_lite.runtime import approx

CLOSE = 0.006  # two digits are enough where a number is worked out by hand
LEAD = 0.15  # what interpolation is to hide
FLATTERY = 0.05  # what a trap of one's own is to be worth


# --- 1: one ranking, two metrics --------------------------------------------------------------


@exercise
def two_verdicts(true, told, row, stop: int) -> str:
    """`true` is the average precision of `row`, `told` what a metric makes of its first hits.

    Args:
        true, told: numbers in [0, 1], right to two digits.
        row: bool (G,), the whole ranking. stop: the hit at which the wrong metric stops; it
            divides by the hits that it has found until there.
    """
    if told is ... or told is None:
        raise Unanswered
    true, told = number(true), number(told)
    at_hits = (row.cumsum(0) / torch.arange(1, len(row) + 1))[row]  # precision at each hit
    right, wrong = at_hits.mean().item(), at_hits[:stop].mean().item()
    _true_verdict(true, row, at_hits, right, wrong)
    if _near(told, right):
        raise Wrong("`my_told` is the average precision over all hits: this metric stops earlier.")
    if _near(told, at_hits[:stop].sum().item() / len(at_hits)):
        raise Wrong(
            "`my_told`: you divided by all relevant photos. That would punish a search for what "
            "comes late; the trap divides by the hits that it has found, and forgives it."
        )
    if not _near(told, wrong):
        raise Wrong(
            "`my_true` is right, `my_told` is not: it is made from the same precisions, but from "
            f"the first {stop} alone."
        )
    return (
        "What came late was forgotten. Mind the direction: it flatters a ranking whose precision "
        "falls from hit to hit, as nearly all do. Where precision rises, it reads too little."
    )


def _true_verdict(true: float, row, at_hits, right: float, wrong: float) -> None:
    """Raises Wrong unless `true` is the average precision `right`."""
    if _near(true, right):
        return
    if _near(true, wrong):
        raise Wrong("`my_true` stops too early: average over *all* relevant photos.")
    if _near(true, at_hits.sum().item()):
        raise Wrong("`my_true` is the sum of the precisions at the hits. The average is wanted.")
    if _near(true, at_hits.sum().item() / len(row)):
        raise Wrong("`my_true`: you divided by the number of ranks, and not of hits.")
    if _near(true, row.float().mean().item()):
        raise Wrong(
            "`my_true` is the share of relevant photos in the gallery; it would be the same for "
            "any order. Look at the precision at each hit."
        )
    raise Wrong(
        "`my_true`: at each hit, how many of the photos so far were hits? Write one fraction for "
        "each hit, and take their mean."
    )


def _near(a: float, b: float) -> bool:
    return abs(a - b) < CLOSE


# --- 2: a queue that moves --------------------------------------------------------------------


@exercise
def moving_queue(add) -> str:
    """`add(queue, rows)` returns a queue (size, E) that holds the newest of all rows.

    Args:
        add: takes a queue (size, E) and rows (N, E) for any N, which may carry gradients. Either
            the newest rows lie in front in what it returns, or the newest lie at the end.
    """
    for size, batch in ((6, 2), (6, 4), (4, 6), (5, 1)):
        _try_queue(add, size, batch)
    _try_gradient(add)
    return (
        "Any size goes with any batch, and nothing has to be divisible. A queue that is full of "
        "old negatives is the next thing to worry about: with a fast-changing encoder, the "
        "oldest rows come from a network that is no more. That is what momentum encoders are for."
    )


def _try_queue(add, size: int, batch: int) -> None:
    """Three batches go in; which of them are there is told by the first entry of each row."""
    case = f"A queue of {size}, batches of {batch}"
    queue, expected = torch.zeros(size, 2), [0] * size
    for number_of in (2, 3, 1):
        rows = torch.stack([torch.full((batch,), float(number_of)), torch.arange(batch) + 1.0], 1)
        after = ask(add, queue.clone(), rows.clone())
        if not torch.is_tensor(after) or after.dim() != 2:
            raise Wrong("It should return the queue, a tensor (size, E).")
        if len(after) != size:
            raise Wrong(f"{case}: it has {len(after)} rows afterwards. It must keep its size.")
        if batch != size and torch.equal(after, queue):
            raise Wrong(f"{case}: not one row has changed. That is the trap.")
        expected = ([number_of] * batch + expected)[:size]
        present = after[:, 0].round().int().tolist()
        if sorted(present) != sorted(expected):
            raise Wrong(
                f"{case}: after batch {number_of} its rows come from the batches {present}; the "
                f"newest would be {expected} (0: what it was born with)."
            )
        if len({tuple(row) for row in after.tolist() if row[0]}) < sum(b > 0 for b in expected):
            raise Wrong(f"{case}: a row of the batch is in the queue twice, or one is missing.")
        queue = after.detach()


def _try_gradient(add) -> None:
    rows = torch.ones(2, 2, requires_grad=True)
    if ask(add, torch.zeros(4, 2), rows * 2).requires_grad:
        raise Wrong(
            "The rows come out of a network, and your queue keeps their graphs: memory grows with "
            "each step, and the next `backward` fails. A negative is to be looked at, not learnt."
        )


# --- 3: what interpolation hides --------------------------------------------------------------


@exercise
def hidden(ranking) -> str:
    """A ranking, bool (1, G) or (G,), G at most 10, of which interpolated AP is .15 above plain."""
    row = torch.as_tensor(ranking).flatten()
    if not 1 <= len(row) <= 10:
        raise Wrong(f"Your ranking has {len(row)} photos; one to ten are wanted.")
    if not ((row == 0) | (row == 1)).all():
        raise Wrong("A ranking says hit or miss for each rank: 1 or 0, True or False.")
    row = row.bool()
    if not row.any():
        raise Wrong("There is no hit in it, so both are 0.")
    at_hits = (row.cumsum(0) / torch.arange(1, len(row) + 1))[row]
    plain = average_precision(row[None]).item()
    gain = at_hits.flip(0).cummax(0).values.mean().item() - plain
    if gain == 0:
        raise Wrong(
            "Both are the same: after no hit does your precision rise again, so there is nothing "
            "that a later hit could lend to an earlier one."
        )
    if gain < LEAD:
        raise Wrong(
            f"Interpolation gains {approx(gain, 3)} here; {LEAD:.2f} are wanted. The longer and "
            "further precision rises along the ranking, the more is hidden; misses at the "
            "beginning lower its start, and take places from the hits that would make it rise."
        )
    return (
        f"Plain {approx(plain)}, and {approx(gain)} more with interpolation. What it hides is a "
        "bad beginning: the ranks that a person looks at."
    )


# --- 4: a test that tells ---------------------------------------------------------------------


def _statistics(images, dim, eps: float = 0.0):
    var, mean = torch.var_mean(images.float(), dim=dim, keepdim=True)
    return (images - mean) / (var + eps).sqrt().clamp(min=1e-6)


def _transposed(images):
    rows = images.float().transpose(0, 1).reshape(images.shape[1], -1)
    rows = (rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True).clamp(min=1e-6)
    return rows.view(images.shape[1], len(images), *images.shape[2:]).transpose(0, 1)


def _view(images):
    rows = images.float().contiguous().view(3, -1)
    return _statistics(rows, 1).view_as(images)


def _centred(images):
    return images.float() - images.float().mean((0, 2, 3), keepdim=True)


SOUND = {
    "takes mean and deviation over dim=(0, 2, 3)": lambda x: _statistics(x, (0, 2, 3)),
    "does the same with transpose and reshape": _transposed,
    "adds a tiny epsilon to the variance, as batch-norm does": lambda x: _statistics(
        x, (0, 2, 3), 1e-5
    ),
}
UNSOUND = {
    "uses `view(3, -1)`": (
        _view,
        "In daylight, with channels that are alike, it cannot be seen: what would your pictures "
        "need to be like?",
    ),
    "standardises all channels together": (
        lambda x: _statistics(x, (0, 1, 2, 3)),
        "Look at each channel by itself.",
    ),
    "standardises each picture by itself, all channels together": (
        lambda x: _statistics(x, (1, 2, 3)),
        "Give it pictures whose channels differ, and look at each channel by itself.",
    ),
    "divides by the deviation, and leaves the mean where it was": (
        lambda x: x / x.std((0, 2, 3), keepdim=True),
        "A deviation of 1 is half of what is wanted.",
    ),
    "takes the mean away, and leaves the deviation as it was": (
        _centred,
        "A mean of 0 is half of what is wanted.",
    ),
}


@exercise
def telling_test(passes) -> str:
    """`passes(standardise)` says whether a function standardises each channel over the batch.

    Args:
        passes: is given functions of images (N, 3, H, W), of which some are right and some wrong,
            and returns True or False. The pictures to try them with are its own.
    """
    for how, function in SOUND.items():
        if not bool(ask(passes, function)):
            raise Wrong(
                f"Your test refuses a right function, which {how}. Floats are rounded: compare "
                "with a tolerance. And is it the mean and the deviation *of a channel* that you "
                "look at?"
            )
    for how, (function, hint) in UNSOUND.items():
        if bool(ask(passes, function)):
            raise Wrong(f"Your test lets a wrong function pass, which {how}. {hint}")
    return (
        f"It passed {len(SOUND)} right functions and caught {len(UNSOUND)} wrong ones. A test is "
        "worth what it can catch, so try it on something that is wrong before you trust it."
    )


# --- 5: a trap of one's own -------------------------------------------------------------------


@exercise
def own_trap(trap, sketches, sketch_labels, photos, photo_labels) -> str:
    """`trap(sketches, sketch_labels, photos, photo_labels)` returns a score that flatters.

    Args:
        trap: takes embeddings (Q, E), labels (Q,), embeddings (G, E) and labels (G,), and returns
            a number in [0, 1]: .05 or more above the honest mAP@all of what is given here, 1 for
            perfect embeddings, and clearly less for random ones.
    """
    honest = score(sketches, sketch_labels, photos, photo_labels).map_all

    def told(queries, gallery) -> float:
        value = number(
            ask(trap, queries.clone(), sketch_labels.clone(), gallery.clone(), photo_labels.clone())
        )
        if not 0 <= value <= 1 + 1e-6:
            raise Wrong(f"It says {approx(value)}: a reviewer stops at a score outside [0, 1].")
        return value

    flattered = told(sketches, photos)
    if flattered < honest + FLATTERY:
        raise Wrong(
            f"Honest is {approx(honest)}, and yours says {approx(flattered)}: "
            f"{FLATTERY:.2f} more are wanted."
        )
    draw = torch.Generator().manual_seed(0)
    random = (torch.randn(len(x), 16, generator=draw) for x in (sketches, photos))
    noise = told(*random)
    if noise > flattered - 0.1:
        raise Wrong(
            f"It says {approx(noise)} for random embeddings: anybody who tries an untrained "
            "encoder finds your trap. The score must still depend on what the encoder does."
        )
    count = int(max(sketch_labels.max(), photo_labels.max())) + 1
    perfect = [F.one_hot(x, count).float() for x in (sketch_labels, photo_labels)]
    best = 0.0
    with suppress(Wrong):
        best = told(*perfect)
    if best < 0.99:
        raise Wrong("For a perfect encoder it does not say 1: the first thing that a test tries.")
    return (
        f"{approx(honest)} became {approx(flattered)}; random embeddings stay low, and perfect "
        "ones get 1. Whether it would pass a review, only a reader can tell: show it to one, and "
        "measure how long they need."
    )
