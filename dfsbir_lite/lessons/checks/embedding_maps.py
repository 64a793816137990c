"""Self-checks of notebook 04: gaps, neighbours, and what a ranking hangs on."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite import retrieval
from dfsbir_lite.lessons import projections
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, explain, number
from dfsbir_lite.runtime import approx


@exercise
def gap_by_hand(answer, photos: Tensor, sketches: Tensor) -> str:
    """The centroid gap of `photos` and `sketches` (N, 2), a number to two digits."""
    mine = number(answer)
    if not math.isclose(mine, projections.centroid_gap(photos, sketches), abs_tol=0.01):
        raise Wrong(_gap_mistake(mine, photos, sketches))
    return (
        "Only directions count: twice as long an arrow changes nothing. And note that a mean of "
        "unit vectors is shorter than 1, the more so the more they spread."
    )


def _gap_mistake(mine: float, photos: Tensor, sketches: Tensor) -> str:
    p, s = F.normalize(photos, dim=1), F.normalize(sketches, dim=1)
    difference = p.mean(0) - s.mean(0)
    known = {
        "Make every row a unit vector first: the gap compares directions.": (
            (photos.mean(0) - sketches.mean(0)).norm()
        ),
        "That is the squared distance: take the root.": difference.square().sum(),
        "That is the mean distance of all pairs; the gap is the distance of the means.": (
            torch.cdist(p, s).mean()
        ),
        "You summed the rows. The mean divides by how many there are.": (
            p.sum(0) - s.sum(0)
        ).norm(),
        "You made the means unit vectors, too. They stay as they are.": (
            F.normalize(p.mean(0), dim=0) - F.normalize(s.mean(0), dim=0)
        ).norm(),
        "You added the two coordinates. A distance is the root of the sum of squares.": (
            difference.abs().sum()
        ),
        "That is the cosine of the two means, not their distance.": (
            F.cosine_similarity(p.mean(0), s.mean(0), dim=0)
        ),
    }
    explain(mine, known, 0.01)
    if math.isclose(mine, difference.norm(), abs_tol=0.06):
        return "Nearly: give it to two digits behind the point."
    if not 0 <= mine <= 2:
        return "Two means of unit vectors are never further apart than 2, nor nearer than 0."
    return "Write down the unit vectors, then the mean of each set, and then the distance."


@exercise
def mix_of_k(answer) -> str:
    """`answer(photos (P, E), sketches (S, E), k)`: the photos' share of the k nearest, a number."""
    for seed, k in ((0, 1), (1, 4), (2, 7)):
        draw = torch.Generator().manual_seed(seed)
        photos, sketches = (torch.randn(n, 3, generator=draw) for n in (30, 20))
        sketches = sketches + torch.tensor([1.0, 0, 0])  # apart, but not wholly
        photos = photos * (0.2 + torch.rand(30, 1, generator=draw))  # of any length
        mine = ask(answer, photos.clone(), sketches.clone(), k)
        if isinstance(mine, Tensor) and mine.numel() > 1:
            raise Wrong(f"Yours has shape {tuple(mine.shape)}: average over sketches, and over k.")
        mine, right = number(mine), _mix(_cosines(photos, sketches), len(photos), k)
        if not math.isclose(mine, right, abs_tol=1e-3):
            raise Wrong(_mix_mistake(mine, photos, sketches, k))
    return (
        "Where modalities mix, it is near the photos' share of all pictures, whatever k is. Where "
        "it grows with k, each picture has its own modality around it, and the other one behind."
    )


def _cosines(photos: Tensor, sketches: Tensor) -> Tensor:
    """Cosines (S, P + S) of each sketch to all photos and to all other sketches."""
    to_others = retrieval.similarities(sketches, sketches).fill_diagonal_(-2)
    return torch.cat([retrieval.similarities(sketches, photos), to_others], 1)


def _mix(cosines: Tensor, photos: int, k: int) -> float:
    return float((cosines.topk(k, dim=1).indices < photos).float().mean())


def _mix_mistake(mine: float, photos: Tensor, sketches: Tensor, k: int) -> str:
    cosines, right = _cosines(photos, sketches), _mix(_cosines(photos, sketches), len(photos), k)
    itself = retrieval.similarities(sketches, torch.cat([photos, sketches]))
    plain = torch.cat([sketches @ photos.T, (sketches @ sketches.T).fill_diagonal_(-1e9)], 1)
    near = cosines.topk(k, dim=1).indices < len(photos)
    known = {
        "Each of your sketches has itself among its neighbours.": _mix(itself, len(photos), k),
        "You compare inner products of rows of any length: the long ones win.": (
            _mix(plain, len(photos), k)
        ),
        "That is the share of sketches among the neighbours; the photos' is wanted.": 1 - right,
        "You started from the photos: it is each sketch that looks around.": 1
        - _mix(_cosines(sketches, photos), len(sketches), k),
        "You started from the photos, and counted sketches.": (
            _mix(_cosines(sketches, photos), len(sketches), k)
        ),
        "That is a count for each sketch: divide by k.": right * k,
        "That is the share of sketches with at least one photo near them. Count how many of the k "
        "are photos.": near.any(1).float().mean(),
        "Yours looks at the nearest one alone, whatever k is.": _mix(cosines, len(photos), 1),
        "That is in per cent; a share in [0, 1] is wanted.": 100 * right,
        "Those are the most distant ones: the nearest have the largest cosines.": (
            _mix(-cosines.where(cosines > -2, 9.0), len(photos), k)
        ),
    }
    explain(mine, known, 1e-3)
    return (
        f"With k = {k} another share is right. For each sketch: cosines to all other pictures, the "
        "k largest, and how many of those are photos."
    )


@exercise
def kept(answer) -> str:
    """`answer(rows (N, E), points (N, 2), k)`: the share of neighbours kept on the map, a number.

    Of the k nearest others in the space, by cosine, how many are among the k nearest others on
    the map, by distance; averaged over all N.
    """
    for seed, k in ((0, 5), (1, 3)):
        draw = torch.Generator().manual_seed(seed)
        rows = F.normalize(torch.randn(40, 3, generator=draw), dim=1)
        points = rows[:, :2] + 0.1 * torch.randn(40, 2, generator=draw) + 1
        mine = ask(answer, rows.clone(), points.clone(), k)
        if isinstance(mine, Tensor) and mine.numel() > 1:
            raise Wrong(f"Yours has shape {tuple(mine.shape)}: average it, one number is wanted.")
        mine, (near, close) = number(mine), _both(rows, points)
        if not math.isclose(mine, _overlap(near, close, k), abs_tol=1e-3):
            raise Wrong(_kept_mistake(mine, rows, points, k))
    return (
        "A map that keeps every neighbour has 1, a random one about k / N. Any map can be judged "
        "like that, whoever drew it."
    )


def _both(rows: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """How near each pair is (N, N), in the space and on the map; nobody is near itself."""
    cosines = retrieval.similarities(rows, rows).fill_diagonal_(-9)
    return cosines, (-torch.cdist(points, points)).fill_diagonal_(-1e9)


def _overlap(near: Tensor, close: Tensor, k: int) -> float:
    """The share of the k largest in each row of `near` that are so in `close`."""
    a, b = near.topk(k, 1).indices, close.topk(k, 1).indices
    return float((a[:, :, None] == b[:, None]).any(2).float().mean())


def _kept_mistake(mine: float, rows: Tensor, points: Tensor, k: int) -> str:
    near, close = _both(rows, points)
    with_self = near.clone().fill_diagonal_(2), close.clone().fill_diagonal_(1)
    order = near.topk(k, 1).indices == close.topk(k, 1).indices
    known = {
        "Each point has itself among its neighbours: leave it out on both sides.": (
            _overlap(*with_self, k)
        ),
        "You ask for the same neighbour at the same rank. Being among the k is enough.": (
            order.float().mean()
        ),
        "On the map you take the largest distances. Near means small there.": (
            _overlap(near, (-close).fill_diagonal_(-1e9), k)
        ),
        "On a map, distances count; its origin means nothing, so cosines do not.": (
            _overlap(near, retrieval.similarities(points, points).fill_diagonal_(-9), k)
        ),
        "That is a count for each point: divide by k.": k * _overlap(near, close, k),
    }
    explain(mine, known, 1e-3)
    return (
        "Another share is right. For each point: its k nearest others in the space, its k nearest "
        "others on the map, and how many are in both."
    )


@exercise
def torn(answer, photos: Tensor, sketches: Tensor) -> str:
    """`answer(photos (P, E), sketches (S, E))`: both again, far apart, every ranking as before.

    The rows may have another length. The centroid gap must be above 1, and for each sketch the
    photos must have the same order by cosine.
    """
    made = ask(answer, photos.clone(), sketches.clone())
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise Wrong("Two sets are wanted: `return photos, sketches`, after whatever you did.")
    p, s = (torch.as_tensor(part).detach().double().cpu() for part in made)
    if len(p) != len(photos) or len(s) != len(sketches):
        raise Wrong("There must be as many photos and sketches as before, photos first.")
    if p.ndim != 2 or s.ndim != 2 or p.shape[1] != s.shape[1]:
        raise Wrong("Photos and sketches need rows of one length, or no cosine can be taken.")
    was = retrieval.similarities(sketches.double(), photos.double())
    now = retrieval.similarities(s, p)
    gap = projections.centroid_gap(p, s)
    in_order = now.gather(1, was.argsort(dim=1, descending=True, stable=True))
    if in_order.diff(dim=1).max() > 1e-7:
        raise Wrong(_order_lost(p, was, now))
    if (in_order.diff(dim=1) == 0).float().mean() > 0.01:
        raise Wrong("Now nearly all photos are equally near to a sketch: that is no ranking.")
    if gap <= 1:
        raise Wrong(
            f"The rankings are as they were, but the gap is {approx(gap)}. More than 1 is wanted."
            + (" Move the two in opposite ways." if gap < 0.5 else "")
        )
    return (
        f"The gap is {approx(gap)}, the neighbour mix "
        f"{approx(projections.neighbour_mix(p, s))}, and not one ranking has changed. "
        "A gap can be as wide as you like and cost nothing."
    )


def _order_lost(photos: Tensor, was: Tensor, now: Tensor) -> str:
    lengths = photos.norm(dim=1)
    if torch.corrcoef(torch.stack([was.flatten(), now.flatten()]))[0, 1] < 0.5:
        return "The sketches rank the photos in quite another order than before."
    if lengths.std() > 1e-4 * lengths.mean():
        return (
            "Nearly: some photos have changed places. A cosine divides by lengths, and the photos' "
            "lengths now differ. Move them in a way that leaves all equally long."
        )
    return "Nearly: some photos have changed places in the rankings."


@exercise
def mended(answer, photos: Tensor, sketches: Tensor, labels: Tensor) -> str:
    """`answer(sketch features (N, D))`: rows (N, D) that can be compared with photo features.

    Sketches and photos have the same `labels`. mAP@all must be above 0.5, and each row must be
    made from that row, not from its place.
    """
    rows = torch.as_tensor(ask(answer, sketches.clone())).detach().float().cpu()
    if rows.shape != sketches.shape:
        told = f"{tuple(sketches.shape)} came in, {tuple(rows.shape)} came out"
        raise Wrong(f"{told}: rows in the frame of the photos, one a sketch, are wanted.")
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    again = torch.as_tensor(ask(answer, sketches[order])).detach().float().cpu()
    if not torch.allclose(again, rows[order], atol=1e-3):
        raise Wrong("In another order the same sketches get other rows: use a row, not its place.")
    before = retrieval.score(sketches, labels, photos, labels).map_all
    after = retrieval.score(rows, labels, photos, labels).map_all
    told = f"mAP@all was {approx(before)} and is {approx(after)}."
    if after <= 0.5:
        hint = "Nothing has changed." if abs(after - before) < 0.02 else "That is not yet enough."
        raise Wrong(
            f"{told} {hint} Which directions of the one teacher and of the other mean the same? "
            "Turn the first onto the second, not the second onto the first."
        )
    return (
        f"{told} The features lacked nothing but a common frame. The rest is up to you: which "
        "knowledge did yours need, and who has it?"
    )
