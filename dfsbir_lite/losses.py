"""Every loss term, named as in the paper, and the weights that scale them.

All terms are means over the batch, to be minimised, unless a docstring says otherwise. N is the
batch, C the number of classes, E the length of an embedding.
"""

from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from dfsbir_lite.runtime import UserError


@dataclass
class Weights:
    """One float per loss term. Mutable on purpose: a slider writes, each step reads a snapshot.

    The first eight train the estimators, the last five the encoders.
    """

    one_hot: float = 0.0
    entropy: float = 0.0
    activation: float = 0.0
    bn: float = 0.0
    align: float = 0.0
    modal: float = 0.0
    adv: float = 0.0
    diversity: float = 0.0
    match: float = 0.0
    hint: float = 0.0
    proxy: float = 0.0
    contrastive: float = 0.0
    pairs: float = 0.0

    def __post_init__(self):
        for field in fields(self):
            if not 0 <= getattr(self, field.name) < float("inf"):
                value = getattr(self, field.name)
                raise UserError(f"weight {field.name} is {value}: it must be 0 or more")

    def snapshot(self) -> dict[str, float]:
        """Return a copy as a plain dict, so that a step sees the same weights from start to end."""
        return asdict(self)


ENCODER_TERMS = ("match", "hint", "proxy", "contrastive", "pairs")
ESTIMATOR_TERMS = tuple(f.name for f in fields(Weights) if f.name not in ENCODER_TERMS)


def weighted(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """Return the loss: the sum of `terms` (scalars) times their weights; 0 leaves a term out.

    Raises FloatingPointError, naming the term, if one is not finite: a single step along a
    gradient of nan would ruin every parameter.
    """
    used = {name: term for name, term in terms.items() if weights[name]}
    total = sum((weights[name] * term for name, term in used.items()), torch.zeros(()))
    if not torch.isfinite(total):
        for name, term in {**used, "the sum of all terms": total}.items():
            if not torch.isfinite(term):
                raise FloatingPointError(f"{name} is {term.item()}")
    return total


# --- terms of the estimators ------------------------------------------------------------------


def one_hot(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of `logits` (N, C) to the wanted `labels` (N,); DAFL, the paper."""
    return F.cross_entropy(logits, labels)


def entropy(logits: Tensor) -> Tensor:
    """Return minus the entropy of the batch's mean posterior, in [-log C, 0].

    Lowest when all classes appear equally often; DAFL, the paper.
    """
    mean = F.softmax(logits, dim=1).mean(0)
    return (mean * mean.clamp(min=1e-12).log()).sum()  # a class may be out of reach: no log of 0


def activation(features: Tensor) -> Tensor:
    """Return minus the mean absolute feature (N, D), high for real images; DAFL, the paper."""
    return -features.abs().mean()


def batch_statistics(moments: list[tuple[Tensor, Tensor, Tensor, Tensor]]) -> Tensor:
    """Measure how far a batch's statistics are from a teacher's: L_bn of DeepInversion.

    Return the L2 distances of means and of variances, summed over layers; 0 without layers.
    `moments` has batch mean, batch variance, stored mean and stored variance of each (channels,).
    """
    if not moments:
        return torch.zeros(())
    distances = [
        torch.linalg.vector_norm(mean - stored_mean) + torch.linalg.vector_norm(var - stored_var)
        for mean, var, stored_mean, stored_var in moments
    ]
    return torch.stack(distances).sum()


def class_alignment(photo_logits: Tensor, sketch_logits: Tensor) -> Tensor:
    """Return L_align of the paper: the KL divergence of two teachers' posteriors for a pair.

    The mean of both directions. The authors' code has one, from photo to sketch, which leaves the
    photo estimator nearly alone where sure teachers disagree.
    """
    photo, sketch = F.log_softmax(photo_logits, 1), F.log_softmax(sketch_logits, 1)
    ways = (sketch, photo), (photo, sketch)
    return sum(F.kl_div(*way, reduction="batchmean", log_target=True) for way in ways) / 2


def modality_guidance(photo_logits: Tensor, sketch_logits: Tensor) -> Tensor:
    """Return L_modal of the paper: the binary cross-entropy of the guidance network d.

    Both are d's logits (N, 2), in the order photo, sketch, for images of the photo estimator and of
    the sketch estimator.
    """
    sketchness = torch.cat([photo_logits, sketch_logits]).diff(dim=1).squeeze(1)
    target = torch.zeros_like(sketchness)
    target[len(photo_logits) :] = 1
    return F.binary_cross_entropy_with_logits(sketchness, target)


def adversarial(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None, limit: float = 3.0
) -> Tensor:
    """Return L_adv of the paper, metric-agnostic: lower the more the encoder disagrees.

    Minus KL(teacher ‖ student), where `student_logits` (N, C) read the encoder's point through the
    class proxies. Each sample's KL is clamped at `limit`, because the term is unbounded. With
    `labels`, samples that the teacher does not classify as wanted do not count: they are
    disagreements about nothing.
    """
    student, teacher = F.log_softmax(student_logits, 1), F.log_softmax(teacher_logits, 1)
    kl = F.kl_div(student, teacher, reduction="none", log_target=True).sum(1).clamp(max=limit)
    if labels is not None:
        kl = kl * (teacher_logits.argmax(1) == labels)
    return -kl.mean()


def diversity(images: Tensor) -> Tensor:
    """Return minus the mean pixel distance of neighbours in the batch, in [-1, 0]."""
    return -(images - images.roll(1, 0)).abs().mean()


# --- terms of the encoders (L_metric) ---------------------------------------------------------


def matching(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return the mean squared distance of class scores (N, C), up to a constant per sample.

    Asks for the whole answer of the teacher, the unlikely classes too, where a cross-entropy to
    its posteriors soon gives no more gradient (Ba and Caruana, 2014; Kim et al., 2021).
    """
    student = student_logits - student_logits.mean(1, keepdim=True)
    return F.mse_loss(student, teacher_logits - teacher_logits.mean(1, keepdim=True))


def hints(student_maps: list[Tensor], teacher_maps: list[Tensor]) -> Tensor:
    """Measure how far the stages' maps (N, channels, H, W) are from the teacher's: FitNets.

    The sum over stages of the mean squared distance, in units of the variance of the teacher's map.
    Of maps of different sizes the larger one is averaged.
    """
    distances = []
    for mine, theirs in zip(student_maps, teacher_maps, strict=True):
        if mine.shape[-2:] != theirs.shape[-2:]:
            side = min(mine.shape[-1], theirs.shape[-1])
            mine, theirs = (F.adaptive_avg_pool2d(maps, side) for maps in (mine, theirs))
        distances.append(_mean_square(mine - theirs) / _variance(theirs).clamp(min=1e-6))
    return torch.stack(distances).sum()


def _mean_square(values: Tensor) -> Tensor:
    """Return the mean square; norms are the fastest way to it, forth and back."""
    wide = torch.promote_types(values.dtype, torch.float32)
    return torch.linalg.vector_norm(values, dtype=wide).square() / values.numel()


def _variance(values: Tensor) -> Tensor:
    n, wide = values.numel(), torch.promote_types(values.dtype, torch.float32)
    return (_mean_square(values) - values.mean(dtype=wide).square()) * (n / (n - 1))


def proxy(class_logits: Tensor, posteriors: Tensor) -> Tensor:
    """Return the cross-entropy of inner products with the proxies (N, C) to posteriors (N, C)."""
    return F.cross_entropy(class_logits, posteriors)


def contrastive(
    queries: Tensor,
    keys: Tensor,
    query_posteriors: Tensor,
    key_posteriors: Tensor,
    temperature: float = 0.1,
) -> Tensor:
    """Return the cross-modal contrastive loss with soft labels.

    Cosines of unit-length `queries` (N, E) to `keys` (M, E) should be large in proportion to the
    probability that both show the same class: the inner product of their posteriors (N, C) and
    (M, C). With one-hot posteriors this is the supervised contrastive loss (Khosla et al., 2020).
    """
    same = query_posteriors @ key_posteriors.T
    target = same / same.sum(1, keepdim=True).clamp(min=1e-8)
    return F.cross_entropy(queries @ keys.T / temperature, target)


def pairs(
    queries: Tensor,
    keys: Tensor,
    query_posteriors: Tensor | None = None,
    key_posteriors: Tensor | None = None,
    temperature: float = 0.07,
) -> Tensor:
    """Return InfoNCE, the loss of the authors' encoders (van den Oord et al., 2018).

    Each of the unit-length `queries` (N, E) should be closest to the key (M, E) in its own place,
    of the same noise; the others repel it. With posteriors, those of the same class do not.
    """
    cosines, own = queries @ keys.T / temperature, torch.arange(len(queries), device=keys.device)
    if query_posteriors is not None:
        same = query_posteriors @ key_posteriors.T > 0.5
        same[own, own] = False
        cosines = cosines.masked_fill(same, -torch.inf)
    return F.cross_entropy(cosines, own)
