"""What a student is compared with: the teachers as they are, and a student that saw real data."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite import losses
from dfsbir_lite.models import Encoders
from dfsbir_lite.recipes import Recipe
from dfsbir_lite.retrieval import ReadOut
from dfsbir_lite.runtime import UserError, autocast, progress, unbroken
from dfsbir_lite.students import Distillation, Learner, distill, teach
from dfsbir_lite.teachers import Teacher, Teachers
from dfsbir_lite.views import clouds, contours, jitter

# A source maps (n, size, draw) to photos and sketches, each (n, 3, size, size) in [0, 1]; `draw`
# is the generator that all randomness comes from.
Source = Callable[[int, int, torch.Generator], tuple[Tensor, Tensor]]


def averaged_weights(teachers: Teachers) -> ReadOut:
    """The paper's baseline "averaging weights" (our reading): one network, for both modalities.

    Its weights are the means of the two teachers' weights; its features are compared. Raises
    UserError for teachers of different architectures.
    """
    mean = copy.deepcopy(teachers.photo)
    mine, other = mean.network.state_dict(), teachers.sketch.network.state_dict()
    if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in other.items()}:
        raise UserError("weights of teachers of different architectures cannot be averaged")
    for name, value in mine.items():
        if value.is_floating_point():
            value.add_(other[name]).div_(2)
    return lambda images, modality: mean(images).features


def unimodal(teachers: Teachers, recipe: Recipe, encoders: Encoders, **options) -> Distillation:
    """The paper's baseline "uni-modal distillation" (our reading): nothing ties the modalities.

    Both encoders learn from synthesised images as ours do, without alignment, guidance and
    adversarial estimation. Their *features* are what to compare: class scores would tie them
    after all, by the names of the classes. `options` are those of `distill`.
    """
    apart = replace(recipe.weights, align=0.0, modal=0.0, adv=0.0)
    return distill(teachers, replace(recipe, weights=apart), encoders, **options)


class FedStudent(Iterator[Encoders]):
    """The same encoders, losses, views and steps, taught on images that no estimator made.

    `sources` has those of three of the paper's baselines and of the control for what synthesis
    adds. An iterator over optimisation steps; each gives the averaged encoders.
    """

    def __init__(
        self,
        source: Source,
        teachers: Teachers,
        recipe: Recipe,
        encoders: Encoders,
        *,
        steps: int,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ):
        self.source, self.teachers, self.steps = source, teachers.folded(), steps
        self.learner = Learner(encoders, recipe, steps, torch.device(device))
        self.draw = torch.Generator(device).manual_seed(seed)

    def __len__(self) -> int:
        return self.steps

    @unbroken()
    @torch.enable_grad()
    def __next__(self) -> Encoders:
        if self.learner.index >= self.steps:
            raise StopIteration
        images = self.source(self.learner.recipe.batch, self.teachers.size, self.draw)
        teach(self.learner, self.teachers, *images, self.draw)
        return self.learner.averaged


# --- images that no estimator made ------------------------------------------------------------


def gaussian(n: int, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images of Gaussian noise, colour and grey, each (n, 3, size, size) in [0, 1]."""
    shape = {"generator": draw, "device": draw.device}
    photos = torch.randn(n, 3, size, size, **shape)
    sketches = torch.randn(n, 1, size, size, **shape).expand(-1, 3, -1, -1)
    return tuple((x / 4 + 0.5).clamp(0, 1) for x in (photos, sketches))


def textures(n: int, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random pictures that mean nothing, each (n, 3, size, size) in [0, 1]."""
    return clouds(n, size, draw), contours(n, size, draw).expand(-1, 3, -1, -1)


def alternative(n: int, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """The paper's baseline "alternative data" (our reading): real images of something else.

    Photos are random crops, a tenth to two thirds as wide as the photo is high, of the two
    photographs that scikit-learn ships (a temple, a flower); sketches are its handwritten digits,
    dark on white, with a random turn and shift. Both need no download.
    """
    scenes, digits = _unrelated()
    device = draw.device
    which = torch.randint(len(scenes), (n,), generator=draw, device=device)
    height, width = scenes.shape[2:]
    zoom = torch.rand(n, generator=draw, device=device) * 0.57 + 0.1
    corner = (torch.rand(2, n, generator=draw, device=device) * 2 - 1) * (
        1 - torch.stack([zoom * height / width, zoom])
    )
    frames = torch.zeros(n, 2, 3, device=device)
    frames[:, 0, 0], frames[:, 1, 1] = zoom * height / width, zoom
    frames[:, 0, 2], frames[:, 1, 2] = corner
    grid = F.affine_grid(frames, [n, 3, size, size], align_corners=False)
    photos = torch.cat(
        [
            F.grid_sample(scenes[k : k + 1].to(device), g[None], align_corners=False)
            for k, g in zip(which.tolist(), grid, strict=True)
        ]
    )
    pick = torch.randint(len(digits), (n,), generator=draw, device=device)
    sketches = F.interpolate(digits[pick.cpu()].to(device), size=size, mode="bicubic").clamp(0, 1)
    return photos, jitter(sketches, draw).expand(-1, 3, -1, -1)


@cache
def _unrelated() -> tuple[Tensor, Tensor]:
    """Two photographs (2, 3, 427, 640) and 1,797 digits (1797, 1, 10, 10), in [0, 1]."""
    from sklearn.datasets import load_digits, load_sample_images  # a second that few need

    scenes = torch.stack([torch.tensor(i).permute(2, 0, 1) for i in load_sample_images().images])
    digits = 1 - torch.tensor(load_digits().images).float()[:, None] / 16
    return scenes.float() / 255, F.pad(digits, (1, 1, 1, 1), value=1.0)


def metadata(
    teachers: Teachers, draw: torch.Generator, batches: int = 16, batch: int = 128, steps: int = 40
) -> Source:
    """The paper's baseline "meta-data" (our reading): images from the teachers' stored statistics.

    The pixels of noise images are optimised until a batch has the means and variances that each
    teacher's batch-norm layers have stored: no estimator, no classes, no shared noise. Makes
    `batches` batches of each modality at once; the source draws from those.
    """
    size = teachers.size
    with progress(desc="inverting pixels", total=2 * batches) as bar:
        pools = []
        for teacher, channels in ((teachers.photo, 3), (teachers.sketch, 1)):
            made = []
            for _ in range(batches):
                start = torch.randn(batch, channels, size, size, generator=draw, device=draw.device)
                made.append(_inverted(teacher, start, steps))
                bar.update()
            pools.append(torch.cat(made))

    def source(n: int, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        picks = (torch.randint(len(p), (n,), generator=draw, device=p.device) for p in pools)
        return tuple(p[k].expand(-1, 3, -1, -1) for p, k in zip(pools, picks, strict=True))

    return source


def _inverted(teacher: Teacher, start: Tensor, steps: int) -> Tensor:
    """Images (N, channels, H, W) that excite `teacher` as its training images did on average."""
    logits = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.1, betas=(0.5, 0.9))
    for _ in range(steps):
        with autocast(start.device):
            reading = teacher(logits.sigmoid().expand(-1, 3, -1, -1), moments=True)
        optimiser.zero_grad()
        losses.batch_statistics(reading.moments).backward()
        optimiser.step()
    return logits.detach().sigmoid()
