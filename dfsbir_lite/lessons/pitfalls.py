"""The wrong ways, for the lab alone: traps that a run falls into without an error message.

Each is a trap of the method's released code or of published evaluations, written anew in a few
lines so that notebook 08 can switch it on and measure what it does. Nothing else in the package
may import this module; a test holds that. What the kit does instead is named in each docstring.

A ranking is bool (Q, G): for each query, whether the gallery item at each rank is relevant.
"""

import copy
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from dfsbir_lite import losses
from dfsbir_lite.adopt import IMAGENET
from dfsbir_lite.models import Encoders, Normalise
from dfsbir_lite.retrieval import average_precision
from dfsbir_lite.teachers import Teacher

# --- 1: a metric with the wrong name ----------------------------------------------------------


def ten_hits_average_precision(relevant: Tensor, hits: int = 10) -> Tensor:
    """Wrong as mAP@all: looks at the ranks up to the tenth hit, and divides by the hits found.

    Relevant items that come late, or never, cost nothing. Returns (Q,) for rankings (Q, G); 0
    where nothing is relevant. Right: `retrieval.average_precision`.
    """
    found = relevant.cumsum(1)
    counted = relevant & (found <= hits)
    precision = found / torch.arange(1, relevant.shape[1] + 1, device=relevant.device)
    return (precision * counted).sum(1) / counted.sum(1).clamp(min=1)


def precision_by_name(relevant: Tensor, k: int = 100) -> Tensor:
    """Wrong as Prec@k: the same figure over the first `k` ranks. Right: `precision_at`."""
    return ten_hits_average_precision(relevant[:, :k])


# --- 2: a queue that never moves --------------------------------------------------------------


class StuckQueue:
    """Negatives for a contrastive loss, of which not one is ever replaced.

    `add` gives up without a word if `size` is not a multiple of the batch, so the negatives stay
    the random vectors that they began as. `stuck=False` keeps the newest `size` rows whatever the
    batch is, as `students.Learner` does.

    Attributes:
        rows: (size, dim), of unit length.
    """

    def __init__(self, size: int, dim: int, stuck: bool = True, seed: int = 0):
        draw = torch.Generator().manual_seed(seed)
        self.rows = F.normalize(torch.randn(size, dim, generator=draw), dim=1)
        self.stuck = stuck

    def add(self, rows: Tensor) -> None:
        """Takes a batch of embeddings (N, dim) in, or does not."""
        size = len(self.rows)
        if self.stuck and size % len(rows):
            return  # neither an error nor a warning
        self.rows = torch.cat([rows.detach(), self.rows])[:size]


def info_nce(queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float = 0.1) -> Tensor:
    """The usual contrastive loss: row i of `keys` belongs to row i of `queries`, both (N, E).

    All of `negatives` (M, E) should be far from every query. Not wrong; what it teaches depends on
    the negatives. Rows have unit length.
    """
    positive = (queries * keys).sum(1, keepdim=True)
    logits = torch.cat([positive, queries @ negatives.T], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


# --- 3: three input conventions ---------------------------------------------------------------


def tanh_range(images: Tensor) -> Tensor:
    """[0, 1] to [-1, 1]: how a generator that ends in tanh hands its images to the teachers."""
    return 2 * images - 1


def dataset_normalised(images: Tensor) -> Tensor:
    """Less the data set's mean, by its deviation, a channel each: how test images are read.

    They are ImageNet's, which most code takes for "the data set's".
    """
    return Normalise(**IMAGENET).to(images.device)(images)


def standardised_twice(images: Tensor) -> Tensor:
    """Standardised over the batch, then normalised as if still in [0, 1]: what encoders see."""
    return dataset_normalised(channel_standardised(images))


CONVENTIONS = {
    "raw tanh": tanh_range,
    "batch, then data set": standardised_twice,
    "data set": dataset_normalised,
}


class _Convention(nn.Module):
    def __init__(self, convention):
        super().__init__()
        self.convention = convention

    def forward(self, images: Tensor) -> Tensor:
        return self.convention(images)


def fed(model: nn.Module, convention) -> nn.Module:
    """A copy of `model` whose images, in [0, 1], are prepared by `convention` alone.

    Wrong unless the model was trained so. Right: normalisation is the first layer of a network,
    `models.Normalise`, and is saved with it; this takes that layer out.
    """
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Normalise):
                setattr(module, name, _Convention(convention))
    return model


# --- 4: a view that mixes samples with channels -----------------------------------------------


def channel_standardised(images: Tensor) -> Tensor:
    """(N, 3, H, W) with mean 0 and deviation 1 in each channel of the batch. Right."""
    var, mean = torch.var_mean(images, dim=(0, 2, 3), keepdim=True)
    return (images - mean) / var.sqrt().clamp(min=1e-6)


def view_standardised(images: Tensor) -> Tensor:
    """Wrong: takes the rows of `view(3, -1)` for the channels of (N, 3, H, W).

    Samples come first in memory, so the three rows are three thirds of the *batch*, all channels
    together: a picture is standardised by whoever happens to lie in its third.
    """
    rows = images.contiguous().view(3, -1)
    var, mean = torch.var_mean(rows, dim=1, keepdim=True)
    return ((rows - mean) / var.sqrt().clamp(min=1e-6)).view_as(images)


# --- 5: statistics learnt by looking ----------------------------------------------------------


def polluted(encoders: Encoders, batches: list[tuple[Tensor, Tensor]]) -> Encoders:
    """A copy of `encoders` through which estimator steps ran in train mode.

    Not one weight changes; but each pass of (photos, sketches), (N, 3, H, W) in [0, 1], moves the
    batch-norm layers' stored means and variances towards those of the pictures. Right: what is
    only read is in eval mode, as `students.Learner.averaged` is and a `Teacher` always.
    """
    encoders = copy.deepcopy(encoders).train()
    with torch.no_grad():
        for photos, sketches in batches:
            encoders.photo(photos.float())
            encoders.sketch(sketches.float())
    return encoders.eval()


# --- 6: terms that stand still, run away, or are not a number ---------------------------------


def one_way_alignment(photo_logits: Tensor, sketch_logits: Tensor) -> Tensor:
    """Wrong as alignment: KL(photo teacher ‖ sketch teacher) alone, of logits (N, C).

    Where the photo teacher is quite sure, the gradient for the photo estimator is nearly zero: it
    stands still, and the sketch estimator does all the work. Right: both ways.
    """
    return losses.class_alignment(photo_logits, sketch_logits, one_way=True)


def unbounded_adversary(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Wrong: minus KL(teacher ‖ student) of logits (N, C), in (-inf, 0].

    It can always fall further, and soon outweighs all other terms. Right: `losses.adversarial`,
    which clamps each sample.
    """
    student, teacher = F.log_softmax(student_logits, 1), F.log_softmax(teacher_logits, 1)
    return -F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def entropy_without_epsilon(logits: Tensor) -> Tensor:
    """Wrong: p log p of the mean posterior, where p may be 0; then nan. Right: `losses.entropy`."""
    mean = F.softmax(logits, dim=1).mean(0)
    return (mean * mean.log()).sum()


# --- 7: work that nobody needs ----------------------------------------------------------------


def recording(teacher: Teacher) -> Teacher:
    """A copy of `teacher` whose weights still ask for gradients, though nobody trains it."""
    return copy.deepcopy(teacher).requires_grad_(True)


def read_twice(teacher: Teacher, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (N, C) by one pass, features (N, D) by another. Right: one `Reading` has both."""
    return teacher(images).logits, teacher(images).features


def looped_average_precision(relevant: Tensor) -> Tensor:
    """Average precision (Q,) as two Python loops. Right in value, wrong in seconds."""
    values = []
    for row in relevant:
        hits, total = 0, 0.0
        for rank, hit in enumerate(row.tolist(), 1):
            if hit:
                hits += 1
                total += hits / rank
        values.append(total / max(hits, 1))
    return torch.tensor(values)


# --- 8: one name for two things ---------------------------------------------------------------

CHECKPOINT = "checkpoint.safetensors"


def save_under_one_name(folder: Path, network: nn.Module) -> None:
    """Wrong: every script saves under the same name, and says nowhere what it saved."""
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, Path(folder) / CHECKPOINT)


def resume_under_one_name(folder: Path, network: nn.Module) -> None:
    """Wrong: loads whatever fits. Right: a file a network, and a model card beside it."""
    network.load_state_dict(load_file(Path(folder) / CHECKPOINT))


# --- 9 and the metric lab: one ranking, many numbers ------------------------------------------


def precision_at(relevant: Tensor, k: int) -> Tensor:
    """Prec@k: the share of hits among the first `k` ranks, or among all if there are fewer."""
    return relevant[:, :k].float().mean(1)


def voc_average_precision(relevant: Tensor) -> Tensor:
    """Interpolated average precision, as PASCAL VOC has it since 2010.

    The precision at a rank is the best one at that rank *or later*, so that it never rises along
    the ranking. Never below the plain one. SAKE and ZSE-SBIR report it.
    """
    precision = relevant.cumsum(1) / torch.arange(1, relevant.shape[1] + 1, device=relevant.device)
    envelope = precision.flip(1).cummax(1).values.flip(1)
    return (envelope * relevant).sum(1) / relevant.sum(1).clamp(min=1)


DIVISORS = ("reachable", "found", "relevant")


def average_precision_at(relevant: Tensor, k: int, divide_by: str = "reachable") -> Tensor:
    """Average precision over the first `k` ranks, by one of three divisors in use.

    Args:
        divide_by: "reachable" divides by min(k, relevant items), as the kit does; "found" by the
            hits among the first `k`; "relevant" by all relevant items, so that a class of more
            than `k` never reaches 1.
    """
    if divide_by not in DIVISORS:
        raise ValueError(f"divide_by must be one of {', '.join(DIVISORS)}, not {divide_by!r}")
    reachable = relevant.sum(1).clamp(min=1, max=k)
    total = {"found": relevant[:, :k].sum(1), "relevant": relevant.sum(1)}.get(divide_by, reachable)
    return average_precision(relevant, k) * reachable / total.clamp(min=1)


def subsample(relevant: Tensor, queries: int, seed: int = 0) -> Tensor:
    """`queries` rows of a ranking, drawn without replacement: what a hasty evaluation scores."""
    draw = torch.Generator().manual_seed(seed)
    return relevant[torch.randperm(len(relevant), generator=draw)[:queries]]


def variants(relevant: Tensor) -> dict[str, float]:
    """One set of rankings (Q, G), scored by each well-known variant: name → mean over queries."""
    values = {
        "mAP@all (plain)": average_precision(relevant),
        "mAP@all (VOC-interpolated)": voc_average_precision(relevant),
        "mAP@200, by min(200, relevant)": average_precision_at(relevant, 200),
        "mAP@200, by hits found": average_precision_at(relevant, 200, "found"),
        "mAP@200, by all relevant": average_precision_at(relevant, 200, "relevant"),
        "AP up to ten hits": ten_hits_average_precision(relevant),
        "Prec@100": precision_at(relevant, 100),
        "Prec@200": precision_at(relevant, 200),
    }
    return {name: float(value.mean()) for name, value in values.items()}
