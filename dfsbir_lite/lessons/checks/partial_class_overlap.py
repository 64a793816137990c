"""Checks of the exercises of notebook 07."""

import torch

from dfsbir_lite import losses
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, explain, number
from dfsbir_lite.retrieval import ReadOut
from dfsbir_lite.runtime import approx


@exercise
def alignment(answer) -> str:
    """Check L_align of the samples that both teachers may judge.

    `answer(photo_logits, sketch_logits, wanted, photo_taught, sketch_taught)` gets logits (N, C)
    twice, classes (N,) and booleans (C,) twice; it returns a scalar, 0 if there is no such sample.
    """
    logits = torch.randn(2, 18, 6, generator=torch.Generator().manual_seed(0))
    wanted = torch.arange(6).repeat(3)
    known = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0]]).bool()
    given, (p, s) = number(ask(answer, *logits, wanted, *known)), known[:, wanted]
    right, count = losses.class_alignment(*logits[:, p & s]), (p & s).sum()
    mistakes = {
        "No sample was left out.": losses.class_alignment(*logits),
        "One of the two is not enough: both.": losses.class_alignment(*logits[:, p | s]),
        "Samples that do not count are no zeros.": right * count / len(wanted),
        "It sums over the samples. Take the mean.": right * count,
    }
    if abs(given - right) > 1e-4:
        explain(given, mistakes, 1e-4)
        raise Wrong("Take the rows whose wanted class both know, and class_alignment of those.")
    if (empty := number(ask(answer, *logits, wanted * 0 + 2, *known))) != 0:
        raise Wrong(f"If nobody may judge, the term should be 0; yours is {empty}.")
    return "A batch without a common class is rare, and one nan in a loss is enough to end a run."


@exercise
def bridge(answer, by_group, posteriors: ReadOut) -> str:
    """Check a read-out that finds more of what one teacher alone knows than posteriors do.

    Both map images (N, 3, H, W) and "photo" or "sketch" to rows (N, E); `by_group`, the lesson's,
    maps a read-out to its scores for queries of the three groups.
    """
    mine, theirs = by_group(lambda *images: ask(answer, *images)), by_group(posteriors)
    if mine["both"] < 0.8 * theirs["both"]:
        less = f"{approx(mine['both'])}, less than four fifths of {approx(theirs['both'])}"
        raise Wrong(f"It finds too little of what both know: {less}.")
    alone = [(found["photo alone"] + found["sketch alone"]) / 2 for found in (mine, theirs)]
    told = f"{approx(alone[0])}, and widened posteriors have {approx(alone[1])}"
    if alone[0] <= alone[1] + 0.005:
        raise Wrong(f"Queries that one teacher alone knows: {told}. What do both modalities show?")
    return f"{told}. Is your idea the reason? Only an experiment that could refute it can tell."
