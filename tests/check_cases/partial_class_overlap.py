"""Answers for notebook 07."""

import torch
from torch.nn import functional as F

from check_cases import Cases
from dfsbir_lite import losses

GROUPS = ("both", "photo alone", "sketch alone")


def align_by_hand(p, s, wanted, p_taught, s_taught):
    """Another right way: sample by sample, from the formula."""
    kept = [n for n, c in enumerate(wanted.tolist()) if p_taught[c] and s_taught[c]]
    p, s = p.softmax(1), s.softmax(1)
    each = [((p[n] - s[n]) * (p[n] / s[n]).log()).sum() / 2 for n in kept]
    return sum(each) / len(each) if each else 0.0


def aligned(keep, scale=lambda kept: 1):
    """Return an answer: `losses.class_alignment` of the rows that `keep` chooses, scaled."""

    def answer(p, s, wanted, p_taught, s_taught):
        kept = keep(p_taught[wanted], s_taught[wanted])
        return losses.class_alignment(p[kept], s[kept]) * scale(kept) if kept.any() else 0.0

    return answer


def both(p, s):
    return p & s


def nan_for_none(p, s, wanted, p_taught, s_taught):
    kept = p_taught[wanted] & s_taught[wanted]
    p, s = p[kept].log_softmax(1), s[kept].log_softmax(1)
    return ((p.exp() - s.exp()) * (p - s)).sum(1).mean() / 2


def by_group(readout):
    """Return as the score of each group one entry of what the read-out gives."""
    return dict(zip(GROUPS, readout(torch.zeros(1, 3, 4, 4), "photo")[0].tolist(), strict=True))


def scoring(*scores):
    """Return a read-out that `by_group` scores so."""
    return lambda images, modality: torch.tensor([scores])


def cases() -> dict[str, Cases]:
    left = (by_group, scoring(0.5, 0.2, 0.1))
    return {
        "alignment": Cases(
            right=[(align_by_hand,), (aligned(both),)],
            wrong=[
                ((aligned(lambda p, s: p | ~p),), "No sample was left out"),
                ((aligned(lambda p, s: p | s),), "One of the two is not enough"),
                ((aligned(both, lambda kept: kept.float().mean()),), "no zeros"),
                ((aligned(both, lambda kept: kept.sum()),), "sums over"),
                ((lambda p, s, *others: F.mse_loss(p, s),), "Take the rows"),
                ((nan_for_none,), "should be 0"),
            ],
        ),
        "bridge": Cases(
            right=[(scoring(0.5, 0.3, 0.1), *left), (scoring(0.41, 0.1, 0.3), *left)],
            wrong=[
                ((scoring(0.3, 0.3, 0.3), *left), "too little of what both know"),
                ((scoring(0.6, 0.2, 0.1), *left), "What do both modalities show"),
            ],
        ),
    }
