"""Answers for notebook 04."""

import torch

from check_cases import Cases


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
    return {"gap_by_hand": gap_by_hand(), "mended": mended()}
