"""Answers to put before the self-checks of notebook 04."""

import torch
from torch.nn import functional as F

from check_cases import Cases
from dfsbir_lite.lessons import projections
from dfsbir_lite.retrieval import similarities


def cases() -> dict[str, Cases]:
    return {
        "gap_by_hand": gap_by_hand(),
        "mix_of_k": mix_of_k(),
        "kept": kept(),
        "torn": torn(),
        "mended": mended(),
    }


def gap_by_hand() -> Cases:
    given = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[-1.0, 0.0], [-3.0, 0.0]])
    return Cases(
        right=[(1.58, *given), (torch.tensor(2.5**0.5), *given)],
        wrong=[
            ((3.04, *given), "a unit vector first"),
            ((2.5, *given), "take the root"),
            ((1.71, *given), "mean distance of all pairs"),
            ((3.16, *given), "summed"),
            ((1.85, *given), "They stay as they are"),
            ((2.0, *given), "added the two coordinates"),
            ((7, *given), "never further apart"),
            ((1.6, *given), "two digits behind the point"),
            ((0.3, *given), "Write down"),
            (("wide", *given), "One number"),
        ],
    )


def others(photos, sketches):
    """Cosines of each sketch to all photos and all other sketches."""
    alike = similarities(sketches, sketches)
    alike[torch.eye(len(sketches), dtype=torch.bool)] = -5
    return torch.cat([similarities(sketches, photos), alike], 1)


def mix_of_k() -> Cases:
    def sorting(photos, sketches, k):
        order = others(photos, sketches).argsort(dim=1, descending=True)[:, :k]
        return (order < len(photos)).sum() / (k * len(sketches))

    def loops(photos, sketches, k):
        rows, is_sketch = projections.joint(photos, sketches)
        hits = 0
        for n in range(len(photos), len(rows)):
            near = (rows @ rows[n]).argsort(descending=True).tolist()
            near.remove(n)
            hits += sum(not is_sketch[i] for i in near[:k])
        return hits / len(sketches) / k

    def with_itself(photos, sketches, k):
        rows = torch.cat([photos, sketches])
        return (similarities(sketches, rows).topk(k).indices < len(photos)).float().mean()

    def plain(photos, sketches, k):
        rows, own = torch.cat([photos, sketches]), len(photos) + torch.arange(len(sketches))
        products = (sketches @ rows.T).scatter(1, own[:, None], -1e9)
        return (products.topk(k).indices < len(photos)).float().mean()

    def any_of_k(photos, sketches, k):
        near = others(photos, sketches).topk(k).indices
        return (near < len(photos)).any(1).float().mean()

    return Cases(
        right=[(sorting,), (loops,)],
        wrong=[
            ((with_itself,), "itself among its neighbours"),
            ((plain,), "inner products"),
            ((lambda p, s, k: 1 - loops(p, s, k),), "share of sketches"),
            ((lambda p, s, k: sorting(p, s, 1),), "nearest one alone"),
            ((any_of_k,), "at least one photo"),
            ((lambda p, s, k: 100 * loops(p, s, k),), "per cent"),
            ((lambda p, s, k: k * loops(p, s, k) if k > 1 else loops(p, s, k),), "divide by k"),
            ((lambda p, s, k: loops(s, p, k),), "started from the photos"),
            ((lambda p, s, k: 0.123,), "another share"),
            ((lambda p, s, k: others(p, s).topk(k).indices < len(p),), "average over"),
        ],
    )


def kept() -> Cases:
    def nearest(rows, points, k):
        near = similarities(rows, rows).fill_diagonal_(-2).topk(k).indices
        far = torch.cdist(points, points).fill_diagonal_(1e9)
        return near, far.topk(k, largest=False).indices

    def sets(rows, points, k):
        pairs = zip(*(x.tolist() for x in nearest(rows, points, k)), strict=True)
        return sum(len(set(a) & set(b)) for a, b in pairs) / len(rows) / k

    def euclid(rows, points, k):
        near = torch.cdist(rows, rows).topk(k + 1, largest=False).indices[:, 1:]
        hits = (near[:, :, None] == nearest(rows, points, k)[1][:, None]).sum()
        return hits / near.numel()

    def with_itself(rows, points, k):
        near = similarities(rows, rows).topk(k).indices.tolist()
        close = torch.cdist(points, points).topk(k, largest=False).indices.tolist()
        return sum(len(set(a) & set(b)) for a, b in zip(near, close)) / len(rows) / k

    def same_rank(rows, points, k):
        near, close = nearest(rows, points, k)
        return (near == close).float().mean()

    def far(rows, points, k):
        near, _ = nearest(rows, points, k)
        close = torch.cdist(points, points).topk(k).indices
        return (near[:, :, None] == close[:, None]).any(2).float().mean()

    def cosines(rows, points, k):
        near, _ = nearest(rows, points, k)
        close = similarities(points, points).fill_diagonal_(-2).topk(k).indices
        return (near[:, :, None] == close[:, None]).any(2).float().mean()

    return Cases(
        right=[(sets,), (euclid,)],
        wrong=[
            ((with_itself,), "leave it out"),
            ((same_rank,), "same rank"),
            ((far,), "largest distances"),
            ((cosines,), "cosines do not"),
            ((lambda *given: given[2] * sets(*given),), "divide by k"),
            ((lambda rows, points, k: 0.5,), "Another share"),
        ],
    )


def torn() -> Cases:
    draw = torch.Generator().manual_seed(0)
    given = [F.normalize(torch.randn(30, 8, generator=draw), dim=1) for _ in range(2)]

    def longer(rows, value):
        return torch.cat([rows, torch.full((len(rows), 1), float(value))], 1)

    def apart(photos, sketches):
        return longer(photos, 2), longer(sketches, -2)

    def two_more(photos, sketches):  # one new direction each, of numpy arrays
        photos, sketches = longer(longer(photos, 9), 0), longer(longer(sketches, 0), 9)
        return photos.numpy(), sketches.numpy()

    shift = 5 * torch.randn(8, generator=draw)
    return Cases(
        right=[(apart, *given), (two_more, *given)],
        wrong=[
            ((lambda p, s: (p, s), *given), "Move the two in opposite ways"),
            ((lambda p, s: (longer(p, 2), longer(s, 2)), *given), "opposite ways"),
            ((lambda p, s: (longer(p, 0.3), longer(s, -0.3)), *given), "More than 1"),
            ((lambda p, s: (p + shift, s - shift), *given), "equally long"),
            ((lambda p, s: (p + 0.03 * shift, s), *given), "equally long"),
            ((lambda p, s: (-p, s), *given), "quite another order"),
            ((lambda p, s: (longer(p, 2), s), *given), "rows of one length"),
            ((lambda p, s: p, *given), "Two sets"),
            ((lambda p, s: (p * 0 + 1, s * 0 - 1), *given), "no ranking"),
        ],
    )


def mended() -> Cases:
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(6).repeat_interleave(10)
    centres = torch.linalg.qr(torch.randn(16, 16, generator=draw)).Q[:6]
    photos, sketches = (
        centres[labels] + 0.1 * torch.randn(60, 16, generator=draw) for _ in range(2)
    )
    turn = torch.linalg.qr(torch.randn(16, 16, generator=draw)).Q
    given = photos, sketches @ turn, labels
    noise = torch.randn(60, 16, generator=draw)
    return Cases(
        right=[
            (lambda rows: rows @ turn.T, *given),
            (lambda rows: (rows @ (centres @ turn).T @ centres).numpy(), *given),
        ],
        wrong=[
            ((lambda rows: rows, *given), "Nothing has changed"),
            ((lambda rows: rows @ turn, *given), "not the second onto the first"),
            ((lambda rows: photos, *given), "not its place"),
            ((lambda rows: rows @ (centres @ turn).T, *given), "came out"),
            ((lambda rows: rows * 0 + noise[0], *given), "Which directions"),
        ],
    )
