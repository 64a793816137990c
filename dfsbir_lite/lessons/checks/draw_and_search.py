"""Checks of the exercises of notebook 05."""

import torch

from dfsbir_lite.lessons.checks import Wrong, exercise, number

NOT_ON_PAPER = ("truck", "spoon", "house")  # classes of the teachers that have no example


@exercise
def refuses(answer, known: torch.Tensor, stranger: float) -> str:
    """Check a threshold on the best cosine: at or above it the search answers.

    `known` are best cosines (N, 1) of drawings to answer, `stranger` is that of one to refuse.
    """
    if number(answer) <= float(stranger):
        raise Wrong("The star gets an answer: its best cosine is not below this threshold.")
    if refused := int((known < number(answer)).sum()):
        raise Wrong(f"It also refuses {refused} of the {len(known)} drawings of known classes.")
    return "But you chose it after looking at these very drawings: try it on the others, too."


@exercise
def own_drawing(answer, name: str, votes) -> str:
    """Check a truck, a spoon or a house in two strokes at most that finds eight of ten photos.

    `votes` maps strokes to (class, number of photos) pairs of the ten closest photos.
    """
    if name not in NOT_ON_PAPER:
        raise Wrong(f"Choose one of {', '.join(NOT_ON_PAPER)}: the others are on the paper.")
    if len(answer) > 2:
        raise Wrong(f"{len(answer)} strokes, where two are allowed. One may turn corners.")
    found = dict(votes(answer))
    if found.get(name, 0) < 8:
        others = ", ".join(f"{n} {what}" for what, n in found.items())
        raise Wrong(f"It finds {others}. What do those have in common with your {name}?")
    return f"How much of the ink can go, and do you still see a {name} in the rest?"
