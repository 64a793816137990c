"""Checks of the exercises of notebook 08."""

import torch
from torch.nn import functional as F

from dfsbir_lite.lessons import pitfalls
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, number
from dfsbir_lite.retrieval import score
from dfsbir_lite.runtime import approx

SOUND = {
    "takes mean and deviation over dim=(0, 2, 3)": pitfalls.channel_standardised,
    "is a batch-norm layer": lambda x: F.batch_norm(x, None, None, training=True),
}
UNSOUND = {
    "uses `view(3, -1)`: nobody sees it if channels are alike": pitfalls.view_standardised,
    "takes all channels together": lambda x: (x - x.mean()) / x.std(),
    "leaves the mean as it was": lambda x: x / x.std((0, 2, 3), keepdim=True),
    "leaves the deviation as it was": lambda x: x - x.mean((0, 2, 3), keepdim=True),
}


@exercise
def telling_test(passes) -> str:
    """Check `passes(standardise)`, which says whether a function does what it should.

    It gets functions of images (N, 3, H, W), and returns whether they standardise each channel over
    the batch. It makes its own pictures.
    """
    for how, function in SOUND.items():
        if not ask(passes, function):
            raise Wrong(f"It refuses a right function, which {how}. Compare with a tolerance.")
    for how, function in UNSOUND.items():
        if ask(passes, function):
            raise Wrong(f"It lets a wrong function pass, which {how}.")
    return "A test is worth what it can catch: try it on something wrong before you trust it."


@exercise
def own_trap(trap, sketches, sketch_labels, photos, photo_labels) -> str:
    """Check `trap(sketches, sketch_labels, photos, photo_labels)`, a score that flatters.

    It maps embeddings (Q, E), labels (Q,), embeddings (G, E) and labels (G,) to [0, 1]: .05 or more
    above the honest mAP@all of these, 1 for perfect ones, and clearly less for random ones.
    """

    def value(queries, gallery) -> float:
        return number(ask(trap, queries, sketch_labels, gallery, photo_labels))

    honest = score(sketches, sketch_labels, photos, photo_labels).map_all
    draw = torch.Generator().manual_seed(0)
    noise = value(*(torch.randn(len(some), 16, generator=draw) for some in (sketches, photos)))
    perfect = value(*(F.one_hot(some).float() for some in (sketch_labels, photo_labels)))
    if (flattered := value(sketches, photos)) < honest + 0.05:
        raise Wrong(f"It says {approx(flattered)}. Honest is {approx(honest)}: add .05 or more.")
    if noise > flattered - 0.1:
        raise Wrong(f"It says {approx(noise)} for random embeddings: everybody tries those.")
    if not 0.99 <= perfect <= 1.001:
        raise Wrong(f"It says {approx(perfect)} for a perfect encoder: the first thing one tests.")
    return (
        f"{approx(honest)} became {approx(flattered)}. Show it to someone: how long do they need?"
    )
