"""Self-checks of notebook 07."""

from collections.abc import Callable

import torch
from torch import Tensor

from dfsbir_lite import adopt, losses, toybox
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, explain, number
from dfsbir_lite.runtime import approx
from dfsbir_lite.study.rows import split_classes
from dfsbir_lite.teachers import Teacher

SAMPLES = 1200  # of exercise 1


@exercise
def counts(answer) -> str:
    """Who judges how many of 1,200 samples, with three of twelve classes common.

    Args:
        answer: three numbers: those the photo teacher judges, the sketch teacher, both.
    """
    try:
        photo, sketch, both = map(number, answer)
    except (TypeError, ValueError):
        raise Wrong("Three numbers are wanted: photo teacher, sketch teacher, both.") from None
    lists = split_classes(toybox.SEEN, 0.25)
    each = SAMPLES // len(toybox.SEEN)
    known = [each * len(taught) for taught in lists]
    common = each * len(set(lists[0]) & set(lists[1]))
    given = [photo, sketch, both]
    if given == [*known, common]:
        return (
            "No sample is without a judge: each class has a teacher. But only a quarter of the "
            "samples can tell the estimators whether a photo and a sketch belong together."
        )
    if max(given) <= len(toybox.SEEN):
        raise Wrong("Those are classes, or shares. How many samples ask for them?")
    if both != common:
        raise Wrong("Both judge the samples of the classes that both know, and no others.")
    if [photo, sketch] == [n - common for n in known]:
        raise Wrong("A teacher knows its own classes and the common ones.")
    if [sketch, photo] == known:
        raise Wrong("Nine classes are no even number: who gets the odd one?")
    if photo + sketch - both > SAMPLES:
        raise Wrong(
            "Those are more samples than there are. Each of the nine others has one teacher only, "
            "so photo + sketch, with the common ones counted once, are 1,200."
        )
    if photo == sketch:
        raise Wrong("Nine other classes cannot be divided evenly: one teacher has one more.")
    raise Wrong("Nine others are dealt out in turn, the photo teacher first; add the common ones.")


@exercise
def firm(answer) -> str:
    """Posteriors for all classes that say a firm no to those that a teacher was not taught.

    Args:
        answer: a function (narrow, places, count): logits (N, K) of the taught classes, the place
            of each among all `count` of them; returns posteriors (N, count).
    """
    draw = torch.Generator().manual_seed(0)
    for n, places, count in ((5, [0, 2, 3, 6], 8), (3, [4, 1, 0], 5)):
        logits = 2 * torch.randn(n, len(places), generator=draw)
        given = ask(answer, logits.clone(), list(places), count)
        if not isinstance(given, Tensor) or given.shape != (n, count):
            shape = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
            raise Wrong(f"A tensor ({n}, {count}) is wanted, a row a sketch, and not {shape}.")
        given, strange = given.cpu().float(), [k for k in range(count) if k not in places]
        if (given[:, strange] > 1e-6).any():
            padded = torch.zeros(n, count)
            padded[:, places] = logits
            if torch.allclose(given, padded.softmax(1), atol=1e-4):
                raise Wrong("A score of 0 is not a no: after the softmax it gets its share.")
            raise Wrong("A class that was not taught still has some probability.")
        if torch.allclose(given[:, places], logits.softmax(0), atol=1e-4):
            raise Wrong("That softmax goes down the sketches. Each row should sum to 1.")
        if not torch.allclose(given.sum(1), torch.ones(n), atol=1e-4):
            raise Wrong("Each row should sum to 1: these are probabilities of one sketch.")
        if not torch.allclose(given[:, places], logits.softmax(1), atol=1e-4):
            raise Wrong("The probabilities are not in their places: column k belongs to places[k].")
    return (
        "Whatever is drawn, the known classes share all of the probability. A student learns from "
        "it that a strange sketch is *certainly* one of them."
    )


@exercise
def alignment(answer) -> str:
    """L_align of the samples that both teachers may judge.

    Args:
        answer: a function (photo_logits, sketch_logits, wanted, photo_taught, sketch_taught) of
            logits (N, C) twice, classes (N,) and booleans (C,) twice; returns a scalar, 0 if
            there is no such sample.
    """
    draw = torch.Generator().manual_seed(0)
    taught = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0]]).bool()
    for wanted in (torch.arange(6).repeat(3), torch.randint(6, (11,), generator=draw)):
        logits = torch.randn(2, len(wanted), 6, generator=draw)
        given = number(ask(answer, *logits.clone(), wanted.clone(), *taught.clone()))
        p, s = (mine[wanted] for mine in taught)
        right = float(losses.class_alignment(*logits[:, p & s]))
        share = float((p & s).float().mean())
        slips = {
            "Nobody was left out.": float(losses.class_alignment(*logits)),
            "One of the two is not enough: both.": (
                float(losses.class_alignment(*logits[:, p | s]))
            ),
            "You asked the photo teacher alone.": float(losses.class_alignment(*logits[:, p])),
            "You asked the sketch teacher alone.": float(losses.class_alignment(*logits[:, s])),
            "It divides by all samples. Samples that do not count are no zeros: "
            "with few common classes they would make the term vanish.": right * share,
            "It sums over the samples, where a mean is wanted.": right * share * len(wanted),
            "One way only: the kit's term is the mean of both directions.": (
                float(losses.class_alignment(*logits[:, p & s], one_way=True))
            ),
        }
        if abs(given - right) < 1e-4 * max(1, right):
            continue
        explain(given, slips, 1e-4, 1e-4)
        raise Wrong(
            "Take the rows, not the columns, whose wanted class both were taught, and "
            "class_alignment of those."
        )
    empty = number(ask(answer, *logits.clone(), wanted * 0 + 2, *taught.clone()))
    if empty != 0:
        raise Wrong(f"If nobody may judge, the term should be 0; yours is {empty}.")
    return (
        "A batch without a common class is rare, and one nan in a loss is enough to end a run: "
        "`Synthesis._where` asks for it, too."
    )


@exercise
def only_common(answer, photo: Teacher, sketch: Teacher) -> str:
    """Two teachers, narrowed to what both know.

    Args:
        answer: a function (photo, sketch) that returns both with the same classes, in one order.
        photo, sketch: teachers with lists of their own.
    """
    size = photo.size
    images = torch.rand(6, 3, size, size, generator=torch.Generator().manual_seed(0))
    images = images.to(photo.proxies.device)
    for theirs in (sketch, sketch.only(sketch.classes[::-1])):
        pair = ask(answer, photo, theirs)
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise Wrong("It should return both teachers: photo, sketch.")
        if not all(isinstance(one, Teacher) for one in pair):
            raise Wrong("Both should be teachers: `only` and `widened` give such.")
        common = set(photo.classes) & set(theirs.classes)
        for name, one, whole in zip(("photo", "sketch"), pair, (photo, theirs), strict=True):
            if extra := set(one.classes) - common:
                raise Wrong(
                    f"The {name} teacher still has {min(extra)!r}, which the other was not taught."
                )
            if missing := common - set(one.classes):
                raise Wrong(f"The {name} teacher lost {min(missing)!r}, which both know.")
            places = [whole.classes.index(c) for c in one.classes]
            if not torch.allclose(one(images).logits, whole(images).logits[:, places], atol=1e-3):
                raise Wrong(f"The {name} teacher's scores are not those of its classes any more.")
        if pair[0].classes != pair[1].classes:
            raise Wrong(
                "Same classes in two orders: column 3 would be one class for photos and another "
                "for sketches, and nothing would complain."
            )
    shared = adopt.match(photo, sketch, adopt.shipped_guidance(size))
    return (
        f"{len(shared.classes)} classes are left. `adopt.match` does this, and forgives spelling."
    )


@exercise
def bridge(answer, by_group: Callable, posteriors: Callable) -> str:
    """A read-out that finds more of what one teacher alone knows than widened posteriors do.

    Args:
        answer: a function (images (N, 3, H, W), "photo" or "sketch") that returns rows (N, E).
        by_group: the lesson's: scores of a read-out for queries of the three groups.
        posteriors: the read-out to beat.
    """
    if not callable(answer):
        raise Wrong("A read-out is a function of images and their modality.")

    def rows(images, modality):
        found = ask(answer, images, modality)
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
            raise Wrong("It should return a tensor with a row for each image, (N, E).")
        return found

    mine, theirs = by_group(rows), by_group(posteriors)
    alone = [sum(v for k, v in scores.items() if k != "both") / 2 for scores in (mine, theirs)]
    if mine["both"] < 0.8 * theirs["both"]:
        raise Wrong(
            f"It finds too little of what both know: {approx(mine['both'])} where posteriors have "
            f"{approx(theirs['both'])}. A bridge should keep four fifths of that."
        )
    if alone[0] <= alone[1] + 0.005:
        raise Wrong(
            f"Queries that one teacher alone knows: {approx(alone[0])} on average, and widened "
            f"posteriors have {approx(alone[1])}. What do both modalities show of such a thing?"
        )
    return (
        f"{approx(alone[0])} where posteriors have {approx(alone[1])}. Whether the idea is why, "
        "only an experiment that could refute it can tell: that part is yours."
    )
