"""The paper's baselines (our reading of each), and students of images that no estimator made."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite import losses
from dfsbir_lite.models import Encoders
from dfsbir_lite.recipes import Recipe
from dfsbir_lite.retrieval import ReadOut
from dfsbir_lite.runtime import UserError, autocast, progress
from dfsbir_lite.students import Learner, teach
from dfsbir_lite.teachers import Teacher, Teachers
from dfsbir_lite.views import blobs, contours, jitter

# (n, size, draw) -> photos and sketches, each (n, 3, size, size) in [0, 1]; all randomness comes
# from the generator `draw`.
Source = Callable[[int, int, torch.Generator], tuple[Tensor, Tensor]]


def averaged_weights(teachers: Teachers) -> ReadOut:
    """Return features of one network for both modalities: the paper's "averaging weights".

    Its weights are the means of the two teachers' weights. Raises UserError for teachers of
    different architectures.
    """
    mean = copy.deepcopy(teachers.photo)
    mine, other = mean.network.state_dict(), teachers.sketch.network.state_dict()
    if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in other.items()}:
        raise UserError("weights of teachers of different architectures cannot be averaged")
    for name, value in mine.items():
        if value.is_floating_point():
            value.add_(other[name]).div_(2)
    return lambda images, modality: mean(images).features


@dataclass
class FedStudent(Iterator[Encoders]):
    """Teach copies of `encoders` on images from `source`, as the data-free student learns.

    An iterator over optimisation steps; each gives the averaged encoders.
    """

    source: Source
    teachers: Teachers
    recipe: Recipe
    encoders: Encoders  # where to start; from then on the averaged ones, frozen
    _: KW_ONLY
    steps: int
    device: torch.device | str = "cpu"
    seed: int = 0

    def __post_init__(self):
        self.teachers = self.teachers.folded()
        learner = self.encoders, self.recipe, self.steps, torch.device(self.device)
        self.learner = Learner(*learner, self.teachers)
        self.encoders = self.learner.averaged
        self.draw = torch.Generator(self.device).manual_seed(self.seed)

    def __len__(self) -> int:
        return self.steps

    @torch.enable_grad()
    def __next__(self) -> Encoders:
        if self.learner.index >= self.steps:
            raise StopIteration
        images = self.source(self.recipe.batch, self.teachers.size, self.draw)
        teach(self.learner, self.teachers, *images, self.draw)
        return self.encoders


# --- images that no estimator made ------------------------------------------------------------


def gaussian(n: int, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return Gaussian noise, in colour and grey: the paper's "Gaussian prior"."""
    options = {"generator": draw, "device": draw.device}
    noise = [torch.randn(n, channels, size, size, **options) for channels in (3, 1)]
    return tuple((x / 4 + 0.5).clamp(0, 1).expand(-1, 3, -1, -1) for x in noise)


def clouds(n: int, size: int, draw: torch.Generator) -> Tensor:
    """Draw coloured noise of several scales, (n, 3, size, size) from 0 to 1 in each image."""
    images = sum(blobs(n, 3, cells, size, draw) / cells**0.5 for cells in (2, 4, 8, 16, size))
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low)


def textures(n: int, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return random pictures that mean nothing: coloured clouds, and contours."""
    return clouds(n, size, draw), contours(n, size, draw).expand(-1, 3, -1, -1)


def alternative(n: int, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return real images of something else: the paper's "alternative data".

    Photos are random crops of two photographs, a temple and a flower, a tenth to two thirds as
    wide as these are high; sketches are handwritten digits, dark on white. scikit-learn has both.
    """
    from torchvision.ops import roi_align  # takes seconds, and few need it

    (scenes, digits), device = _unrelated(), draw.device
    which = torch.randint(len(scenes), (n,), generator=draw, device=device)
    height, width = scenes.shape[2:]
    side = height * (torch.rand(n, generator=draw, device=device) * 0.57 + 0.1)
    x, y = torch.rand(2, n, generator=draw, device=device)
    left, top = x * (width - side), y * (height - side)
    boxes = torch.stack([which, left, top, left + side, top + side], 1)
    photos = roi_align(scenes.to(device), boxes, size, sampling_ratio=1, aligned=True)
    pick = torch.randint(len(digits), (n,), generator=draw, device=device)
    sketches = F.interpolate(digits[pick.cpu()].to(device), size=size, mode="bicubic").clamp(0, 1)
    return photos, jitter(sketches, draw).expand(-1, 3, -1, -1)


@cache
def _unrelated() -> tuple[Tensor, Tensor]:
    """Return two photographs (2, 3, 427, 640) and 1,797 digits (1797, 1, 10, 10), in [0, 1]."""
    from sklearn.datasets import load_digits, load_sample_images  # a second that few need

    scenes = torch.stack([torch.tensor(i).permute(2, 0, 1) for i in load_sample_images().images])
    digits = 1 - torch.tensor(load_digits().images).float()[:, None] / 16
    return scenes.float() / 255, F.pad(digits, (1, 1, 1, 1), value=1.0)


def metadata(
    teachers: Teachers, seed: int = 0, batches: int = 16, batch: int = 128, steps: int = 40
) -> Source:
    """Return a source of images made from the teachers' statistics: the paper's "meta-data".

    The pixels of noise images are optimised until a batch has the means and variances that the
    teacher's batch-norm layers have stored. There are `batches` batches of each modality, and the
    source draws from them.
    """
    pools, draw = [], torch.Generator(teachers.photo.proxies.device).manual_seed(seed)
    for teacher, channels in ((teachers.photo, 3), (teachers.sketch, 1)):
        shape = (batch, channels, teachers.size, teachers.size)
        turns = progress(range(batches), desc="inverting pixels")
        pools.append(torch.cat([_inverted(teacher, shape, draw, steps) for _ in turns]))

    def source(n: int, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        picks = (torch.randint(len(p), (n,), generator=draw, device=p.device) for p in pools)
        return tuple(p[k].expand(-1, 3, -1, -1) for p, k in zip(pools, picks))

    return source


def _inverted(teacher: Teacher, shape: tuple, draw: torch.Generator, steps: int) -> Tensor:
    """Return images of that shape that excite `teacher` as its training images did on average."""
    logits = torch.randn(shape, generator=draw, device=draw.device, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1, betas=(0.5, 0.9))
    for _ in range(steps):
        with autocast(draw.device):
            reading = teacher(logits.sigmoid().expand(-1, 3, -1, -1), moments=True)
        optimiser.zero_grad()
        losses.batch_statistics(reading.moments).backward()
        optimiser.step()
    return logits.detach().sigmoid()
