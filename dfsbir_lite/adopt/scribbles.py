"""Drawings without data, for a sketch teacher without batch norm: scribbles that evolve.

A scribble is a few strokes of a random hand: blobs, arcs, polygons, lines, zigzags; each hangs on
an earlier one, lies in it, mirrors or repeats it. Nothing in it comes from a drawing of a class.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfsbir_lite.runtime import progress
from dfsbir_lite.strokes import Rendering
from dfsbir_lite.teachers import Teacher

STROKES, POINTS = 14, 24  # of a drawing at most, and of a stroke
START = 12288  # scribbles from which the first drawings are chosen
FIRST = 40  # rounds in which these compete before anything is shown
FINE, DOTS = 4, 6  # sub-pixels a pixel, and dots from point to point


class Scribbler(nn.Module):
    """An estimator of sketches that evolves: noise (N, noise_dim) to images (N, 3, size, size).

    Every second image is a new scribble. The others are children of drawings that `teacher` takes
    for the wanted class, rather than for any other that it knows: strokes are moved, added, left
    out, or taken from another drawing of that class. A child that the teacher finds likelier than
    its parent replaces it. No gradients are needed. What it draws depends only on the noise and on
    the drawings that it has kept.

    Args:
        classes: those of the teacher's that are wanted, in the order in which noise asks for them.
        look: how the teacher knows drawings: their size, how much they fill, how thick lines are.
        each: drawings kept of a class, at least as many as a batch has images.
    """

    def __init__(
        self,
        teacher: Teacher,
        classes: Sequence[str],
        look: Rendering,
        each: int = 128,
        seed: int = 0,
    ):
        super().__init__()
        self.classes, self.each, self.look = tuple(classes), each, look
        places = [teacher.classes.index(name) for name in classes]
        # a function, so that the teacher is no part of this network
        device = teacher.proxies.device
        self.judge = lambda images: teacher(images.to(device)).logits.log_softmax(1)[:, places]
        draw = torch.Generator().manual_seed(seed)
        parts = [scribbles(min(512, START), draw) for _ in range(math.ceil(START / 512))]
        scores = torch.cat([self._judged(ink(*part, look)) for part in parts])
        first = scores.topk(each, dim=0).indices.T.flatten()  # of class 0, of class 1, ...
        points, used = (torch.cat(each) for each in zip(*parts, strict=True))
        self.register_buffer("points", points[first])  # (C * each, STROKES, POINTS, 2)
        self.register_buffer("used", used[first])  # (C * each, STROKES)
        wanted = torch.arange(len(places)).repeat_interleave(each)
        self.register_buffer("score", scores[first, wanted])
        for _ in progress(range(FIRST), desc="scribbles"):
            for each_class in wanted.view(len(places), each):
                self._round(each_class, torch.zeros(each, dtype=torch.bool), draw)

    def _judged(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self.judge(images.expand(-1, 3, -1, -1)).float().cpu()

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)  # bfloat16 is too coarse for places
    def forward(self, noise: Tensor) -> Tensor:
        draw = torch.Generator().manual_seed(int(noise.double().sum().abs() * 2**20))
        wanted = noise[:, : len(self.classes)].argmax(1).cpu()
        if self.training:  # a round whose children compete and are not shown
            self._round(wanted, torch.zeros(len(wanted), dtype=torch.bool), draw)
        images = self._round(wanted, torch.arange(len(wanted)) % 2 == 0, draw)
        return images.to(noise).expand(-1, 3, -1, -1)

    @torch.no_grad()
    def _round(self, wanted: Tensor, new: Tensor, draw: torch.Generator) -> Tensor:
        """Draw a scribble where `new` (N,), else a child; let them compete; return their images."""
        n = len(wanted)
        rows = wanted * self.each + torch.randperm(self.each, generator=draw)[torch.arange(n)]
        points, used = scribbles(n, draw)
        children = self._children(rows[~new], points[~new], used[~new], draw)
        points[~new], used[~new] = children
        images = ink(points, used, self.look)
        score = self._judged(images)[torch.arange(n), wanted]
        if self.training:
            best = score > self.score.cpu()[rows]
            for kept, made in ((self.points, points), (self.used, used), (self.score, score)):
                kept[rows[best]] = made[best].to(kept)
        return images

    def _children(self, rows: Tensor, new: Tensor, new_used: Tensor, draw) -> tuple:
        """Return changed copies of the drawings `rows`, some with strokes of `new` scribbles."""

        def some(drawings: float, strokes: float) -> Tensor:
            chance = torch.rand(len(rows), 1, generator=draw) < drawings
            return chance & (torch.rand(len(rows), STROKES, generator=draw) < strokes)

        mates = rows - rows % self.each + torch.randint(self.each, rows.shape, generator=draw)
        points, used = self.points.cpu()[rows], self.used.cpu()[rows]
        crossed, added, moved, switched = (
            some(0.4, 0.3), some(0.4, 0.12), some(0.7, 0.3), some(0.4, 0.06)
        )  # fmt: skip
        points = torch.where(crossed[..., None, None], self.points.cpu()[mates], points)
        points = torch.where(added[..., None, None], new, points)
        used = torch.where(crossed, self.used.cpu()[mates], used)
        used = torch.where(added, new_used | some(1, 0.5), used) ^ switched
        used[:, 0] |= ~used.any(1)
        turned = _moved(points, 0.15, draw) + 0.12 * _normal((*used.shape, 1, 2), draw)
        points = torch.where(moved[..., None, None], turned, points)
        wobbly = torch.rand(len(rows), 1, 1, 1, generator=draw) < 0.3
        return torch.where(wobbly, _by_hand(points, 0.02, draw), points), used


def _normal(shape, draw: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=draw)


def _between(low: float, high: float, shape, draw: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=draw)


def _moved(points: Tensor, amount: float, draw: torch.Generator) -> Tensor:
    """Turn, stretch and shear each stroke (N, K, M, 2) about its middle by about `amount`."""
    middle = points.mean(2, keepdim=True)
    change = torch.eye(2) + amount * _normal((*points.shape[:2], 2, 2), draw)
    return (points - middle) @ change.mT + middle


def _by_hand(points: Tensor, amount: float, draw: torch.Generator) -> Tensor:
    """Bend whole drawings (N, K, M, 2) by three sines of about `amount`, shear and stretch them."""
    n = len(points)
    waves = points @ (2 * _normal((n, 1, 2, 3), draw)) + _between(0, 7, (n, 1, 1, 3), draw)
    points = points + waves.sin() @ (amount * _normal((n, 1, 3, 2), draw))
    shear = torch.eye(2) + 0.12 * _normal((n, 1, 2, 2), draw)
    return points @ (shear * (0.2 * _normal((n, 1, 2, 1), draw)).exp()).mT


def _strokes(n: int, draw: torch.Generator) -> Tensor:
    """Draw strokes around 0 of a radius of about 1, of several kinds: (n, POINTS, 2)."""
    along = torch.linspace(0, 1, POINTS).expand(n, -1)
    turn = _between(0, 2 * math.pi, (n, 1), draw)
    closed = torch.rand(n, 1, generator=draw) < 0.6
    span = _between(-0.5, 1, (n, 1), draw).abs().masked_fill(closed, 1)
    angle, radius = 2 * math.pi * along * span + turn, torch.ones(n, 1)
    dents = 0.5 * torch.rand(n, 1, generator=draw) ** 2
    for waves in (2, 3, 4, 5):
        phase = _between(0, 2 * math.pi, (n, 1), draw)
        radius = radius + dents / waves * _normal((n, 1), draw) * (waves * angle + phase).cos()
    blob = torch.stack([radius * angle.cos(), radius * angle.sin()], -1)
    across, high = 2 * along - 1, 0.25 * _normal((n, 1), draw)
    line = torch.stack([across, high * (1 - across**2)], -1)
    teeth = along * torch.randint(2, 7, (n, 1), generator=draw)
    zigzag = torch.stack([across, 2 * high * (4 * (teeth % 1 - 0.5).abs() - 1)], -1)
    terms = [
        _normal((n, 1, 2), draw) / k
        * (math.pi * k * along[..., None] + _between(0, 7, (n, 1, 2), draw)).cos()
        for k in (1, 2, 3)
    ]  # fmt: skip
    kinds = torch.stack([blob, _polygons(along, draw), line, sum(terms), zigzag], 1)
    kind = torch.multinomial(torch.tensor([0.36, 0.18, 0.2, 0.14, 0.12]), n, True, generator=draw)
    stretch = (0.25 * _normal((n, 1, 1), draw)).exp()
    stroke = kinds[torch.arange(n), kind] * torch.cat([stretch, 1 / stretch], -1)
    # half of them upright, but for a little
    upright = torch.randint(4, (n, 1), generator=draw) * (math.pi / 2)
    upright = upright + 0.12 * _normal((n, 1), draw)
    turn = torch.where(torch.rand(n, 1, generator=draw) < 0.5, upright, turn)
    across, down = stroke.unbind(-1)
    return torch.stack([turn.cos() * across - turn.sin() * down,
                        turn.sin() * across + turn.cos() * down], -1)  # fmt: skip


def _polygons(along: Tensor, draw: torch.Generator) -> Tensor:
    """Return shapes of three to six corners (n, POINTS, 2), some open, some irregular."""
    n = len(along)
    corners = torch.randint(3, 7, (n, 1), generator=draw)
    corners = corners.masked_fill(torch.rand(n, 1, generator=draw) < 0.4, 4)
    wild = 0.6 * torch.rand(n, 1, generator=draw) ** 2
    angle = (torch.arange(7) + 0.5 + 0.5 * wild * _normal((n, 7), draw)) / corners * 2 * math.pi
    radius = 1 + 0.4 * wild * _normal((n, 7), draw)
    corner = torch.stack([radius * angle.cos(), radius * angle.sin()], -1)
    place = along * (corners - (torch.rand(n, 1, generator=draw) < 0.3).long())
    before = place.long()
    a, b = (corner.take_along_dim((k % corners)[..., None], 1) for k in (before, before + 1))
    return a.lerp(b, (place - before)[..., None])


def scribbles(n: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw random strokes: points (n, STROKES, POINTS, 2) in any unit, and bool (n, STROKES).

    The second tells which strokes are used, mostly few.
    """
    strokes = _strokes(n * STROKES, draw).view(n, STROKES, POINTS, 2)
    every, step = torch.arange(n), torch.zeros(n, 1, 2)
    for k in range(1, STROKES):
        # an early stroke is more often what others hang on
        on = (torch.rand(n, generator=draw) ** 1.7 * k).long()
        parent, (kind, place) = strokes[every, on], torch.rand(2, n, 1, 1, generator=draw)
        middle, radius = _box(parent)
        at = parent[every, torch.randint(POINTS, (n,), generator=draw)][:, None]
        scale = _between(math.log(0.12), math.log(1.3), (n, 1, 1), draw).exp()
        new = strokes[:, k] * radius * scale
        within = middle + (at - middle) * _between(0, 0.8, (n, 1, 1), draw) + 0.6 * new
        around = torch.where(place < 0.65, at + new, within)
        new = torch.where(place < 0.45, at + new - new[:, :1], around)
        last = strokes[:, k - 1]
        if k > 1:  # mirrored or repeated
            axis = _box(strokes[:, 0])[0][..., 0]
            mirrored = torch.stack([2 * axis - last[..., 0], last[..., 1]], -1)
            again = (kind > 0.16) & (kind < 0.36)
            goes_on = torch.rand(n, 1, 1, generator=draw) < 0.7
            goes_on &= (step != 0).any(-1, keepdim=True)
            fresh = 0.6 * radius * _normal((n, 1, 2), draw) * torch.tensor([1, 0.25])
            step = torch.where(goes_on, step, fresh) * again
            new = torch.where(kind < 0.16, mirrored, torch.where(again, last + step, new))
        strokes[:, k] = new
    count = torch.randint(1, STROKES + 1, (2, n), generator=draw).amin(0)
    return _by_hand(strokes, 0.03, draw), torch.arange(STROKES) < count[:, None]


def _box(stroke: Tensor) -> tuple[Tensor, Tensor]:
    """Return the middle (N, 1, 2) and half of the longer side (N, 1, 1) of strokes (N, M, 2)."""
    low, high = stroke.amin(1, keepdim=True), stroke.amax(1, keepdim=True)
    return (low + high) / 2, ((high - low).amax(-1, keepdim=True) / 2).clamp(0.05, 3)


def ink(points: Tensor, used: Tensor, look: Rendering) -> Tensor:
    """Draw the used strokes, centred, in the thickest line: (N, 1, size, size) in [0, 1].

    `points` (N, K, M, 2) are in any unit, `used` is bool (N, K): one at least of each drawing.
    """
    n, side = len(points), look.size * FINE
    absent = ~used[..., None, None]
    low = points.masked_fill(absent, torch.inf).amin((1, 2), keepdim=True)
    high = points.masked_fill(absent, -torch.inf).amax((1, 2), keepdim=True)
    scale = look.fill / (high - low).amax(-1, keepdim=True).clamp(min=0.1)
    places = (((points - (low + high) / 2) * scale + 0.5) * side)[used]  # (strokes, M, 2)
    share = torch.arange(DOTS)[:, None] / DOTS
    dots = places[:, :-1, None].lerp(places[:, 1:, None], share).flatten(1, 2).long()
    radius = look.thickest * side / 2 + 0.25  # so that lines are as wide as OpenCV's
    edge = math.ceil(radius) + 1  # room for lines along the frame
    wide, reach = side + 2 * edge, torch.arange(1 - edge, edge)
    pen = (reach**2 + reach[:, None] ** 2 <= radius**2).nonzero() + 1 - edge
    drawing = torch.arange(n)[:, None].expand(used.shape)[used]
    dots = ((drawing[:, None] * wide + dots[..., 1] + edge) * wide + dots[..., 0] + edge).flatten()
    paper = torch.ones(n * wide * wide, dtype=torch.uint8)
    for y, x in pen.tolist():
        paper[dots + y * wide + x] = 0
    sheet = paper.view(n, 1, wide, wide)[..., edge:-edge, edge:-edge].float()
    return (look.ink + (look.paper - look.ink) * F.avg_pool2d(sheet, FINE)) / 255
