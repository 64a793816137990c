"""Answers to the exercises of notebook 07."""

import torch
from torch.nn import functional as F

from check_cases import Cases
from dfsbir_lite import adopt, losses, retrieval, toybox, zoo
from dfsbir_lite.data import toybox_set
from dfsbir_lite.runtime import profile
from dfsbir_lite.study.rows import split_classes


def firm_by_infinity(narrow, places, count):
    scores = torch.full((len(narrow), count), float("-inf"))
    scores[:, places] = narrow
    return scores.softmax(1)


def firm_by_zero(narrow, places, count):
    scores = torch.zeros(len(narrow), count)
    scores[:, places] = narrow
    return scores.softmax(1)


def _placed(shares, places, count):
    rows = torch.zeros(len(shares), count)
    rows[:, places] = shares
    return rows


def firm_down(narrow, places, count):
    return _placed(narrow.softmax(0), places, count)


def firm_to_the_left(narrow, places, count):
    return F.pad(narrow.softmax(1), (0, count - len(places)))


def no_opinion(narrow, places, count):
    scores = narrow.mean(1, keepdim=True).repeat(1, count)
    scores[:, places] = narrow
    return scores.softmax(1)


def unscaled(narrow, places, count):
    return _placed(narrow.exp(), places, count)


def align_by_hand(p, s, wanted, p_taught, s_taught):
    """Another right way: sample by sample, from the formula."""
    kept = [n for n, c in enumerate(wanted.tolist()) if p_taught[c] and s_taught[c]]
    p, s = p.softmax(1), s.softmax(1)
    each = [((p[n] - s[n]) * (p[n] / s[n]).log()).sum() / 2 for n in kept]
    return sum(each) / len(each) if each else 0.0


def _aligned(keep, then=lambda term, wanted, kept: term, **options):
    """`losses.class_alignment` of the rows that `keep` chooses."""

    def answer(p, s, wanted, p_taught, s_taught):
        kept = keep(p_taught[wanted], s_taught[wanted])
        if not kept.any():
            return 0.0
        return then(losses.class_alignment(p[kept], s[kept], **options), wanted, kept)

    return answer


def both(p, s):
    return p & s


def nan_for_none(p, s, wanted, p_taught, s_taught):
    kept = p_taught[wanted] & s_taught[wanted]
    p, s = p[kept].log_softmax(1), s[kept].log_softmax(1)
    return ((p.exp() - s.exp()) * (p - s)).sum(1).mean() / 2


def narrow(photo, sketch):
    """In the sketch teacher's order: as right as the photo teacher's."""
    common = [c for c in sketch.classes if c in photo.classes]
    return photo.only(common), sketch.only(common)


def narrow_each(photo, sketch):
    return (
        photo.only([c for c in photo.classes if c in sketch.classes]),
        sketch.only([c for c in sketch.classes if c in photo.classes]),
    )


def narrow_one(photo, sketch):
    return photo.only([c for c in photo.classes if c in sketch.classes]), sketch


def widen(photo, sketch):
    return photo.widened(toybox.SEEN), sketch.widened(toybox.SEEN)


def rename(photo, sketch):
    """Gives the first columns the names of the common classes."""
    common = [c for c in photo.classes if c in sketch.classes]
    firsts = (list(teacher.classes[: len(common)]) for teacher in (photo, sketch))
    return tuple(t.only(first, names=common) for t, first in zip((photo, sketch), firsts))


def cases() -> dict[str, Cases]:
    lists = split_classes(toybox.SEEN, 0.5)
    shipped = zoo.load_teachers("laptop")
    photo, sketch = (t.only(c) for t, c in zip((shipped.photo, shipped.sketch), lists))
    matched = adopt.match(photo, sketch, shipped.guidance)
    tests = {m: toybox_set(m, "val", profile("laptop"), per_class=10) for m in ("photo", "sketch")}
    common = set(lists[0]) & set(lists[1])
    groups = {"both": common, "photo alone": set(lists[0]) - common}
    groups["sketch alone"] = set(lists[1]) - common

    def by_group(readout):
        gallery = retrieval.embed(readout, tests["photo"].images, "photo")
        rows = retrieval.embed(readout, tests["sketch"].images, "sketch")
        labels, scores = tests["sketch"].labels, {}
        for name, members in groups.items():
            mine = torch.tensor([toybox.SEEN[k] in members for k in labels])
            found = retrieval.score(rows[mine], labels[mine], gallery, tests["photo"].labels)
            scores[name] = found.map_all
        return scores

    wide = {"photo": photo.widened(toybox.SEEN), "sketch": sketch.widened(toybox.SEEN)}

    def posteriors(images, modality):
        return wide[modality].posteriors(images)

    def narrowed(images, modality):
        return getattr(matched, modality).posteriors(images)

    def together(images, modality):
        return torch.cat([posteriors(images, modality), 2 * narrowed(images, modality)], 1)

    def pixels(images, modality):
        return F.avg_pool2d(images, 4).flatten(1)

    left = (by_group, posteriors)
    return {
        "counts": Cases(
            right=[((800, 700, 300),), (torch.tensor([800.0, 700.0, 300.0]),)],
            wrong=[
                ((800,), "Three numbers"),
                (((8, 7, 3),), "How many samples"),
                (((500, 400, 300),), "the common ones"),
                (((700, 800, 300),), "the odd one"),
                (((750, 750, 300),), "evenly"),
                (((900, 900, 300),), "more samples than there are"),
                (((800, 700, 1200),), "both know"),
                (((1000, 500, 300),), "dealt out"),
            ],
        ),
        "firm": Cases(
            right=[(firm_by_infinity,), (lambda n, p, c: _placed(n.softmax(1), p, c),)],
            wrong=[
                ((firm_by_zero,), "A score of 0"),
                ((firm_down,), "down the sketches"),
                ((firm_to_the_left,), "was not taught"),
                ((no_opinion,), "was not taught"),
                ((unscaled,), "sum to 1"),
                ((lambda narrow, places, count: narrow.softmax(1),), "(5, 8)"),
            ],
        ),
        "alignment": Cases(
            right=[(align_by_hand,), (_aligned(both),)],
            wrong=[
                ((_aligned(lambda p, s: p | ~p),), "Nobody was left out"),
                ((_aligned(lambda p, s: p),), "photo teacher alone"),
                ((_aligned(both, lambda t, w, k: t * k.float().mean()),), "no zeros"),
                ((_aligned(both, lambda t, w, k: t * k.sum()),), "sums over"),
                ((_aligned(both, one_way=True),), "One way only"),
                ((nan_for_none,), "should be 0"),
            ],
        ),
        "only_common": Cases(
            right=[
                (narrow, photo, sketch),
                (lambda p, s: [*reversed(narrow(s, p))], photo, sketch),
            ],
            wrong=[
                ((narrow_each, photo, sketch), "two orders"),
                ((narrow_one, photo, sketch), "sketch teacher still has"),
                ((widen, photo, sketch), "photo teacher still has"),
                ((rename, photo, sketch), "not those of its classes"),
                ((lambda p, s: p.only(["mug", "key"]), photo, sketch), "both teachers"),
                (
                    (lambda p, s: (p.only(["mug"]), s.only(["mug"])), photo, sketch),
                    "photo teacher lost",
                ),
            ],
        ),
        "bridge": Cases(
            right=[(narrowed, *left), (together, *left)],
            wrong=[
                ((pixels, *left), "too little of what both know"),
                ((posteriors, *left), "What do both modalities show"),
                ((lambda images, modality: images, *left), "(N, E)"),
                ((posteriors(torch.rand(2, 3, 32, 32), "photo"), *left), "is a function"),
            ],
        ),
    }
