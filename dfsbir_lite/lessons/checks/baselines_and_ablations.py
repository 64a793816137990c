"""Self-checks of notebook 06."""

import torch
from torch import Tensor

from dfsbir_lite.lessons import audit
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, explain, number
from dfsbir_lite.runtime import approx
from dfsbir_lite.study import claims
from dfsbir_lite.study.baselines import gaussian
from dfsbir_lite.study.claims import Claim
from dfsbir_lite.study.rows import OURS
from dfsbir_lite.teachers import Teacher, Teachers

WORDS = ("holds", "undecided", "does not hold")
MORE = 1.5  # how much more opinions of a source have to differ than those of Gaussian noise


@exercise
def lead(answer, ours) -> str:
    """By how much the student leads the best of the six baselines, on seen classes.

    Args:
        answer: a number, to two digits. ours: `claims.summary` of the table.
    """
    means, given = ours["mean"], number(answer)
    rivals = means[list(claims.BASELINES.values())]
    best = means[OURS] - rivals.max()
    slips = {
        "The sign: ours minus theirs.": -best,
        "That is the student's score. By how much is it above the best baseline's?": means[OURS],
        "That is the lead over the mean of the six. Take the best.": means[OURS] - rivals.mean(),
        "That is the lead over the weakest of the six.": means[OURS] - rivals.min(),
        "A ratio tells how many times; a difference is wanted.": means[OURS] / rivals.max(),
        "Posteriors are none of the paper's six.": means[OURS] - means["teacher posteriors"],
        "Logits are none of the paper's six.": means[OURS] - means["teacher logits"],
        "Those are the textures, which are none of the paper's six.": (
            means[OURS] - means["textures instead of synthesis"]
        ),
        "That is what the claim of section 5 has left when its .10 is taken off, and about the "
        "lead on unseen classes. The whole lead on seen classes is wanted.": best - 0.1,
        "In per cent? Scores here go from 0 to 1, and so do their differences.": 100 * best,
    }
    if abs(given - best) < 0.006:
        return (
            f"The best of the six is *{rivals.idxmax()}*. A lead is only as good as its rivals: "
            "with the posteriors among them there would be none."
        )
    explain(given, slips)
    raise Wrong("Take the means over the seeds, on seen classes, and the largest of six rivals.")


@exercise
def own_claim(answer, frame) -> str:
    """The claim that textures alone give four fifths of the student's score on unseen classes.

    Args:
        answer: a `claims.Claim`. frame: the tidy table that it is judged on.
    """
    if not isinstance(answer, Claim):
        raise Wrong(f"A claims.Claim is wanted, not a {type(answer).__name__}.")
    textures, whole = "textures instead of synthesis", (OURS, (OURS,))
    if answer.ours == OURS:
        raise Wrong("`ours` is the row that the claim speaks for: here, that of the textures.")
    if answer.ours != textures or answer.other not in whole:
        rows = ", ".join(claims.by_seed(frame).index[:10])
        raise Wrong(f"Two rows by their names in the table are wanted. It begins: {rows}, ...")
    if answer.part != "unseen":
        raise Wrong("The claim is about unseen classes: see `part`.")
    if answer.share == 1:
        raise Wrong("That says *better than the student*. Four fifths of it is a `share`.")
    if abs(answer.share - 0.8) > 1e-6 or answer.margin:
        raise Wrong("Four fifths are a `share` of the other row's score, without a `margin`.")
    verdict = answer.judge(frame)["verdict"]
    seen = Claim(answer.text, textures, OURS, share=0.8).judge(frame)["verdict"]
    return (
        f"On unseen classes it {verdict}; on seen classes the same claim is {seen}. Where nothing "
        "was synthesised for a class, random pictures cost less."
    )


@exercise
def seeds(answer) -> str:
    """The fewest fair coins that all fall on the named side less than one time in twenty."""
    given = number(answer)
    if given != int(given) or given < 1:
        raise Wrong("A whole number of seeds is wanted.")
    if 0.5**given >= 0.05:
        raise Wrong(f"{given:.0f} coins do so one time in {2**given:.0f}: that is too often.")
    if 0.5 ** (given - 1) < 0.05:
        raise Wrong("That is enough, and one seed fewer is enough, too. Look for the fewest.")
    return (
        f"One time in {2**given:.0f}. Three seeds agree by luck one time in eight, which is more "
        "than convention allows: a small difference that *holds* here is a reason to run more."
    )


# ours, other: what each pair of triples is there for
_CLEAR = ((0.70, 0.52, 0.61), (0.66, 0.49, 0.56))  # agrees seed by seed, and the ranges overlap
_SPLIT = ((0.60, 0.62, 0.58), (0.61, 0.50, 0.47))  # better on average, and one seed disagrees
_LOST = ((0.40, 0.42, 0.44), (0.60, 0.58, 0.45))
_EQUAL = ((0.50, 0.60, 0.70), (0.50, 0.60, 0.70))


@exercise
def verdict(answer) -> str:
    """The verdict on three seeds, as `claims` gives it.

    Args:
        answer: a function of two tensors (3,), scores of equal seeds; returns one of the three
            words "holds", "undecided" and "does not hold".
    """
    for pair in (_CLEAR, _SPLIT, _LOST, _EQUAL, *_random_pairs()):
        ours, other = (torch.tensor(scores, dtype=torch.float64) for scores in pair)
        given = ask(answer, ours.clone(), other.clone())
        if given not in WORDS:
            raise Wrong(f"It should return one of {', '.join(map(repr, WORDS))}, not {given!r}.")
        low, high = claims.interval(ours - other)
        if given != (true := WORDS[0] if low > 0 else WORDS[2] if high <= 0 else WORDS[1]):
            raise Wrong(_slip(pair, given, true, ours - other))
    return (
        "Paired differences take out what both rows share: the luck of a seed. Two clouds of "
        "points may overlap while every single pair agrees."
    )


def _random_pairs() -> list:
    draw = torch.Generator().manual_seed(0)
    return torch.rand(12, 2, 3, generator=draw, dtype=torch.float64).tolist()


def _slip(pair, given: str, true: str, difference: Tensor) -> str:
    if pair is _CLEAR:
        return (
            "In one example every seed is better with ours, and you call it "
            f"{given!r}. Equal seeds belong together: compare them one by one."
        )
    if pair is _SPLIT:
        return (
            "In one example ours is better on average, and one seed of three disagrees: you call "
            f"it {given!r}. What does the lower end of the interval say?"
        )
    if pair is _EQUAL:
        return "Two rows with equal scores: nothing of the difference is above 0, so what is it?"
    above = int((difference > 0).sum())
    return f"{above} of three differences are above 0; you call that {given!r}, and it is {true!r}."


@exercise
def source(answer, teachers: Teachers) -> str:
    """A source of pictures that needs no data, and of which the teachers think many things.

    Args:
        answer: a function (n, size, draw) -> photos, sketches, as in `sources.py`.
        teachers: who are asked.
    """
    device, size = teachers.photo.proxies.device, teachers.size
    draw = torch.Generator(device).manual_seed(0)
    with audit.watch() as touched:
        pair = _pictures(ask(answer, 128, size, draw), 128, size)
        later = _pictures(ask(answer, 128, size, draw), 128, size)
        _pictures(ask(answer, 5, size, draw), 5, size)
        again = _pictures(ask(answer, 128, size, draw.manual_seed(0)), 128, size)
    if not touched.clean:
        raise Wrong(f"That is not data-free: it touched {touched.images[0]}.")
    if not all(map(torch.equal, pair, again)):
        raise Wrong("One seed gave two sets of pictures: take all randomness from `draw`.")
    if any(map(torch.equal, pair, later)):
        raise Wrong("It paints the same pictures each time. Draw new ones with every call.")
    told = []
    noise = gaussian(128, size, draw)
    for modality, mine, dull in zip(("photo", "sketch"), pair, noise, strict=True):
        teacher = getattr(teachers, modality)
        mine, dull = _opinions(teacher, mine), _opinions(teacher, dull)
        if mine < MORE * dull:
            raise Wrong(
                f"The {modality} teacher's opinions of your pictures differ by {approx(mine)} nats,"
                f" those of Gaussian noise by {approx(dull)}: too much alike to learn from. It "
                "should be half as much again, at least."
            )
        told.append(f"{approx(mine)} nats for {modality} (noise: {approx(dull)})")
    return (
        f"The teachers' opinions differ, by {' and '.join(told)}. That is needed, not enough: only "
        "a student tells what they are worth."
    )


def _pictures(made, n: int, size: int) -> tuple[Tensor, Tensor]:
    """What a source made, if it has the right form."""
    if not isinstance(made, (tuple, list)) or len(made) != 2:
        raise Wrong("It should return two tensors: photos, sketches.")
    for name, images in zip(("photos", "sketches"), made, strict=True):
        if not isinstance(images, Tensor) or not images.is_floating_point():
            raise Wrong(f"The {name} should be a tensor of floats.")
        if images.shape != (n, 3, size, size):
            raise Wrong(
                f"The {name} are {tuple(images.shape)}, where ({n}, 3, {size}, {size}) was asked."
            )
        if not (images.min() >= 0 and images.max() <= 1):
            raise Wrong(f"The {name} leave the range 0 to 1, where a teacher's images live.")
    return tuple(made)


def _opinions(teacher: Teacher, images: Tensor) -> float:
    """How much a teacher's opinions of `images` differ: the mean KL from their mean, in nats."""
    posteriors = teacher.posteriors(images)
    mean = posteriors.mean(0, keepdim=True)
    ratio = posteriors.clamp(min=1e-12).log() - mean.clamp(min=1e-12).log()
    return float((posteriors * ratio).sum(1).mean())
