"""Who recognises what a run has painted? Both functions belong into `zoo`."""

from torch import Tensor

from dfsbir_lite.teachers import Teacher, Teachers


def recognised(judge: Teacher, images: Tensor, wanted: Tensor) -> float:
    """The share of `images` (N, 3, H, W) that `judge` takes for the `wanted` class (N,)."""
    return (judge.posteriors(images).argmax(1) == wanted).float().mean().item()


def judged(
    pairs: tuple[Tensor, Tensor], wanted: Tensor, teachers: Teachers, outsider: Teacher
) -> dict[str, dict[str, float]]:
    """How often photos and sketches are seen as `wanted` (N,), by whom, and of which modality.

    Args:
        outsider: a unified teacher, which judges both and had no part in making them.
    """
    judges = {
        "seen_by_teacher": (teachers.photo, teachers.sketch),
        "seen_by_unified_teacher": (outsider, outsider),
    }
    return {
        told: {
            modality: recognised(judge, images, wanted)
            for modality, judge, images in zip(("photo", "sketch"), both, pairs, strict=True)
        }
        for told, both in judges.items()
    }
