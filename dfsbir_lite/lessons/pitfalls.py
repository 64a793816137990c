"""Wrong ways that raise no error: traps for notebook 08, and for nothing else.

Each is a trap of the method's released code or of published evaluations, written anew in a few
lines, so that one can switch it on and measure what it does. A test makes sure that nothing but
the lessons imports this module. "Right" in a docstring names what the kit does instead.

A ranking is bool (Q, G): for each query, whether the gallery item at each rank is relevant.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfsbir_lite.adopt import IMAGENET
from dfsbir_lite.models import Encoders, Normalise
from dfsbir_lite.retrieval import average_precision

# --- trap 1: a metric with the wrong name -----------------------------------------------------


def ten_hits_average_precision(relevant: Tensor, hits: int = 10) -> Tensor:
    """Average precision that stops at the tenth hit, and divides by the hits found: wrong.

    Relevant items that come late, or never, cost nothing. Return (Q,) for rankings (Q, G); 0
    where nothing is relevant. Right: `retrieval.average_precision`.
    """
    counted = relevant & (relevant.cumsum(1) <= hits)
    return (_precision(relevant) * counted).sum(1) / counted.sum(1).clamp(min=1)


def _precision(relevant: Tensor) -> Tensor:
    """Return the precision (Q, G) at each rank."""
    return relevant.cumsum(1) / torch.arange(1, relevant.shape[1] + 1, device=relevant.device)


# --- trap 2: a queue that never moves ---------------------------------------------------------


class StuckQueue:
    """A queue of negatives for a contrastive loss, none of which is ever replaced.

    `add` returns without a word if `size` is not a multiple of the batch, so that `rows`
    (size, dim) stay the random unit vectors that they began as. `stuck=False` keeps the newest
    rows whatever the batch is, as `students.Learner` does.
    """

    def __init__(self, size: int, dim: int, stuck: bool = True, seed: int = 0):
        draw = torch.Generator().manual_seed(seed)
        self.rows = F.normalize(torch.randn(size, dim, generator=draw), dim=1)
        self.stuck = stuck

    def add(self, rows: Tensor) -> None:
        """Take in a batch of embeddings (N, dim), or do nothing."""
        size = len(self.rows)
        if self.stuck and size % len(rows):
            return  # neither an error nor a warning
        self.rows = torch.cat([rows.detach(), self.rows])[:size]


def info_nce(queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float = 0.1) -> Tensor:
    """Return the usual contrastive loss. It is right; what it teaches depends on the negatives.

    Row i of `keys` (N, E) belongs to row i of `queries` (N, E), and all of `negatives` (M, E)
    should be far from every query. Rows have unit length.
    """
    positive = (queries * keys).sum(1, keepdim=True)
    logits = torch.cat([positive, queries @ negatives.T], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


# --- trap 3: three input conventions ----------------------------------------------------------

# What images in [0, 1] become before the first convolution. "The data set" is ImageNet.
CONVENTIONS: dict[str, nn.Module] = {
    "raw tanh": Normalise(0.5, 0.5),
    "batch, then data set": nn.Sequential(
        nn.BatchNorm2d(3, affine=False, track_running_stats=False), Normalise(**IMAGENET)
    ),
    "data set": Normalise(**IMAGENET),
}


def fed(model: nn.Module, convention: nn.Module) -> nn.Module:
    """Return a copy of `model` that prepares its images by `convention` alone.

    Wrong unless it was trained so. Right: `models.Normalise`, the first layer of each network, is
    saved and loaded with it. This replaces that layer.
    """
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Normalise):
                setattr(module, name, copy.deepcopy(convention).to(child.mean.device))
    return model


# --- trap 4: a view that mixes samples with channels ------------------------------------------


def channel_standardised(images: Tensor) -> Tensor:
    """Standardise each channel of images (N, 3, H, W) over the batch: right."""
    return _standardised(images, (0, 2, 3))


def view_standardised(images: Tensor) -> Tensor:
    """Standardise the rows of `view(3, -1)` as if they were the channels of (N, 3, H, W): wrong.

    Samples come first in memory, so the rows are three thirds of the *batch*, all channels
    together: a picture is standardised by those that happen to lie in its third.
    """
    return _standardised(images.contiguous().view(3, -1), 1).view_as(images)


def _standardised(values: Tensor, dim) -> Tensor:
    var, mean = torch.var_mean(values, dim=dim, keepdim=True)
    return (values - mean) / var.sqrt().clamp(min=1e-6)


# --- trap 5: statistics learnt by looking -----------------------------------------------------


def polluted(encoders: Encoders, batches: list[tuple[Tensor, Tensor]]) -> Encoders:
    """Return a copy of `encoders` through which estimator steps ran in train mode.

    No weight changes; but each pass of (photos, sketches), (N, 3, H, W) in [0, 1], moves the
    batch-norm layers' stored means and variances towards those of the pictures. Right: networks
    that are only read are in eval mode, `students.Learner.averaged` and each `Teacher`.
    """
    encoders = copy.deepcopy(encoders).train()
    with torch.no_grad():
        for photos, sketches in batches:
            encoders.photo(photos.float())
            encoders.sketch(sketches.float())
    return encoders.eval()


# --- trap 6: terms that run away or are not a number ------------------------------------------
def one_way_alignment(photo_logits: Tensor, sketch_logits: Tensor) -> Tensor:
    """Return KL(photo ‖ sketch) alone, as the released code has it: photos stand still."""
    photo, sketch = photo_logits.log_softmax(1), sketch_logits.log_softmax(1)
    return F.kl_div(sketch, photo, reduction="batchmean", log_target=True)


def unbounded_adversary(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return minus KL(teacher ‖ student) of logits (N, C), in (-inf, 0]: wrong.

    It can always fall further, and soon outweighs all other terms. Right: `losses.adversarial`,
    which clamps each sample.
    """
    return -one_way_alignment(teacher_logits, student_logits)


def entropy_without_epsilon(logits: Tensor) -> Tensor:
    """Return the sum of p log p of the mean posterior, which is nan if a p is 0: wrong."""
    mean = F.softmax(logits, dim=1).mean(0)
    return (mean * mean.log()).sum()


# --- trap 7: work that nobody needs -----------------------------------------------------------


def looped_average_precision(relevant: Tensor) -> Tensor:
    """Return average precision (Q,) by two Python loops: right in value, wrong in seconds."""

    def one(row: list[bool]) -> float:
        ranks = [rank for rank, hit in enumerate(row, 1) if hit]
        return sum(n / rank for n, rank in enumerate(ranks, 1)) / max(1, len(ranks))

    return torch.tensor([one(row) for row in relevant.tolist()])


# --- the metric lab: one ranking, many numbers ------------------------------------------------


def voc_average_precision(relevant: Tensor) -> Tensor:
    """Return interpolated average precision (Q,), as PASCAL VOC has it since 2010.

    The precision at a rank is the best one at that rank *or later*, so that it never rises along
    the ranking. Never below the plain one. SAKE and ZSE-SBIR report it.
    """
    envelope = _precision(relevant).flip(1).cummax(1).values.flip(1)
    return (envelope * relevant).sum(1) / relevant.sum(1).clamp(min=1)


def variants(relevant: Tensor) -> dict[str, float]:
    """Score rankings (Q, G) by each well-known variant: name → mean over queries."""
    total, found = relevant.sum(1).clamp(min=1), relevant[:, :200].sum(1).clamp(min=1)
    at_200 = average_precision(relevant, 200)
    at_hits = at_200 * total.clamp(max=200)  # sum of the precisions at the hits up to rank 200
    values = {
        "mAP@all (plain)": average_precision(relevant),
        "mAP@all (VOC-interpolated)": voc_average_precision(relevant),
        "mAP@200, by min(200, relevant)": at_200,
        "mAP@200, by hits found": at_hits / found,
        "mAP@200, by all relevant": at_hits / total,
        "AP up to ten hits": ten_hits_average_precision(relevant),
        "Prec@100": relevant[:, :100].float().mean(1),
        "Prec@200": relevant[:, :200].float().mean(1),
    }
    return {name: float(value.mean()) for name, value in values.items()}
