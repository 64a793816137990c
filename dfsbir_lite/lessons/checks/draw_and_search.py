"""Checks of notebook 05: strokes, pictures and searches of drawings."""

import copy

import torch

from dfsbir_lite.lessons.checks import Unanswered, Wrong, ask, exercise, number
from dfsbir_lite.strokes import EXAMPLES, PAPER, render

ENOUGH = 9  # photos of ten
HOLDS, MOST = 8, 2  # photos of ten, and strokes, of a drawing of one's own
NOT_ON_PAPER = ("truck", "spoon", "house")  # taught classes without an example


@exercise
def strokes_needed(answer, cars):
    """How many strokes of the car it takes until at least nine of ten photos are cars.

    Args:
        cars: cars among ten after the first stroke, the first two, ...
    """
    value, enough = number(answer), [n >= ENOUGH for n in cars]
    if True not in enough:
        raise Wrong("This gallery answers with too few cars even when all strokes are there.")
    truth = enough.index(True) + 1
    if value == truth:
        return (
            "Look at which stroke that is. The network does not count lines: one part that tells "
            "can outweigh all that were drawn before it."
        )
    if value != int(value) or not 1 <= value <= len(cars):
        raise Wrong(f"A whole number from 1 to {len(cars)} is wanted.")
    if value > truth:
        raise Wrong("It needs fewer: nine of ten were there before.")
    raise Wrong("It needs more: `cars` has the counts after one stroke, two strokes, and so on.")


@exercise
def mirrored(answer, drawings):
    """A function: strokes → the strokes of the same drawing, mirrored left to right.

    Args:
        drawings: name → strokes, to try it with. Only the picture counts: strokes may be moved.
    """
    for name, strokes in drawings.items():
        given = copy.deepcopy(strokes)
        new = ask(answer, given)
        if given != strokes:
            raise Wrong("It changes the drawing that it is given. Make new strokes instead.")
        picture, made = render(strokes), render(new)
        if _alike(made, picture.flip(2)):
            continue
        if _alike(made, picture):
            raise Wrong(f"The {name} has stayed as it was.")
        if _alike(made, picture.flip(1)):
            raise Wrong(f"The {name} stands on its head: that was y. Left and right are x.")
        if _alike(made, picture.flip(1).flip(2)):
            raise Wrong(f"The {name} is turned by half a circle: leave y as it is.")
        if _alike(made, picture.transpose(1, 2)):
            raise Wrong(f"The {name} lies on its side: x and y have changed places.")
        if [s["width"] for s in new] != [s["width"] for s in strokes]:
            raise Wrong("The strokes should stay as many, in their order and as wide as they were.")
        raise Wrong(f"The {name} is not its mirror image. Draw both with `render` and look.")
    return (
        "ToyBox draws mirrored things, and training mirrors the pictures once more. An encoder is "
        "at ease with the changes that it was shown, and with no others."
    )


@exercise
def refuses(answer, taught, stranger):
    """A threshold on the best cosine: at or above it the search answers, below it refuses.

    Args:
        taught: best cosines (N,) of drawings that should be answered. stranger: of the one not to.
    """
    value, lowest, stranger = number(answer), float(torch.as_tensor(taught).min()), float(stranger)
    if not -1 <= value <= 1:
        raise Wrong("A cosine is between -1 and 1.")
    if value <= stranger:
        raise Wrong("The star gets an answer: its best cosine is not below this threshold.")
    if value > lowest:
        refused = int((torch.as_tensor(taught) < value).sum())
        raise Wrong(f"It refuses drawings of taught classes, too: {refused} of {len(taught)}.")
    return (
        "Chosen after looking at these very drawings, the star included, it has proven nothing "
        "yet. Try it on the rest, as the task says."
    )


@exercise
def stroke_falls(answer):
    """A function (strokes, cosine) → for each stroke the fall of the cosine when it is left out.

    `cosine` takes a list of strokes and gives a number. Comes back: a list or tensor, a number a
    stroke, positive where leaving it out lowers the cosine.
    """
    for name in ("boat", "mug", "key"):
        strokes = EXAMPLES[name]
        falls = ask(answer, copy.deepcopy(strokes), _pretended)
        if not hasattr(falls, "__len__") or len(falls) != len(strokes):
            raise Wrong(f"The {name} has {len(strokes)} strokes: one number for each is wanted.")
        falls = torch.tensor([number(fall) for fall in falls])
        whole = _pretended(strokes)
        rest = torch.tensor([_pretended([s for s in strokes if s is not one]) for one in strokes])
        alone = torch.tensor([_pretended([one]) for one in strokes])
        if _near(falls, whole - rest):
            continue
        if _near(falls, rest - whole):
            raise Wrong("The sign: a fall is what the whole has above the rest.")
        if _near(falls, rest):
            raise Wrong("These are the cosines without the stroke. By how much did they fall?")
        if _near(falls, alone) or _near(falls, whole - alone):
            raise Wrong("You kept one stroke and left the others out. It is the other way round.")
        seen = [_pretended(strokes[:n]) for n in range(len(strokes) + 1)]
        if _near(falls, torch.tensor(seen).diff()):
            raise Wrong(
                "This is what each stroke adds to those before it. The later ones stay, too."
            )
        raise Wrong("Not the falls. For each stroke: `cosine` of all, less `cosine` of the others.")
    return (
        "Strokes are better parts than squares: what is left is a drawing that somebody could have "
        "made, without lines that end in nothing."
    )


@exercise
def own_drawing(answer, name, votes):
    """A truck, a spoon or a house in two strokes at most that finds eight of ten.

    Args:
        answer: strokes. name: which of the three. votes: strokes → (class, photos) of the ten
            closest photos.
    """
    if name is ... or name is None:
        raise Unanswered
    if name not in NOT_ON_PAPER:
        raise Wrong(
            f"Choose one of {', '.join(NOT_ON_PAPER)}: the others lie on the paper already."
        )
    if not len(answer) or not all({"points", "width"} <= set(stroke) for stroke in answer):
        raise Wrong("Strokes are wanted: `strokes.lines([[x, y], [x, y]], ...)` makes them.")
    if len(answer) > MOST:
        raise Wrong(f"These are {len(answer)} strokes, {MOST} are allowed. One may turn corners.")
    found = dict(votes(answer))
    if found.get(name, 0) < HOLDS:
        told = ", ".join(f"{n} {what}" for what, n in found.items())
        raise Wrong(f"It finds {told}. What do those have that your {name} has, too?")
    ink = sum(_length(stroke["points"]) for stroke in answer)
    return (
        f"It takes {ink:.1f} sides of the paper in ink. How much of it can go, "
        f"and is what remains still a {name} for you?"
    )


def _alike(one, other) -> bool:
    """Whether two pictures are the same but for a pixel's share here and there."""
    return bool((one.float() - other.float()).abs().mean() < 2)


def _near(one, other) -> bool:
    return bool(torch.allclose(one, other, atol=1e-3))


def _pretended(strokes) -> float:
    """Something like a cosine of a drawing, quickly told: where its ink lies and how much it is."""
    picture = 1 - render(strokes, fit=False)[0].float() / PAPER
    ramp = torch.linspace(0.2, 1, picture.shape[1])
    return float((picture * ramp).sum() / 200)


def _length(points) -> float:
    steps = torch.tensor(points, dtype=torch.float).diff(dim=0)
    return float(steps.norm(dim=1).sum())
