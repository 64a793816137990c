"""Answers for notebook 04."""

import torch

from check_cases import Cases
from dfsbir_lite.retrieval import similarities


def gap_by_hand() -> Cases:
    arrows = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[-1.0, 0.0], [-3.0, 0.0]])
    return Cases(
        right=[(1.58, *arrows), (torch.tensor(2.5**0.5), *arrows)],
        wrong=[
            ((3.04, *arrows), "a unit vector first"),
            ((2.5, *arrows), "take the root"),
            ((0.3, *arrows), "Write down"),
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

    return Cases(
        right=[(sets,), (euclid,)],
        wrong=[
            ((with_itself,), "leave it out"),
            ((lambda rows, points, k: k * sets(rows, points, k),), "divide by k"),
            ((lambda rows, points, k: 0.5,), "Another share"),
        ],
    )


def mended() -> Cases:
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(6).repeat_interleave(10)
    centres, turn = (torch.linalg.qr(torch.randn(16, 16, generator=draw)).Q for _ in range(2))
    noise = 0.1 * torch.randn(2, 60, 16, generator=draw)
    photos, sketches = centres[labels] + noise
    pictures = photos, sketches @ turn, labels
    named = (centres[:6] @ turn).T @ centres[:6]  # the six directions, found from each other
    return Cases(
        right=[(lambda x: x @ turn.T, *pictures), (lambda x: (x @ named).numpy(), *pictures)],
        wrong=[
            ((lambda x: x, *pictures), "onto the same of the other"),
            ((lambda x: x @ turn, *pictures), "onto the same of the other"),
            ((lambda x: photos, *pictures), "not its place"),
        ],
    )


def cases() -> dict[str, Cases]:
    return {"gap_by_hand": gap_by_hand(), "kept": kept(), "mended": mended()}
