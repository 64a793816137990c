"""Self-checks of the notebooks' exercises: a module for each notebook, a function an exercise.

A check computes what is right, accepts every right answer, and explains typical mistakes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

import torch

MARKS = {None: "○ Not answered yet.", True: "✓ Right.", False: "✗ Not yet."}
UNANSWERED = "Put your answer in place of the dots, run that cell, and then this one again."


class Wrong(Exception):
    """An answer that is not right; its text says where the mistake may lie."""


class Unanswered(Exception):
    """The dots are still there."""


@dataclass(frozen=True)
class Verdict:
    """What a check says. `right` is None while the question is open."""

    right: bool | None
    why: str

    def __repr__(self) -> str:
        return f"{MARKS[self.right]} {self.why}"


def exercise(check: Callable[..., str]) -> Callable[..., Verdict]:
    """Turn `check(answer, ...)` into a self-check that gives a verdict and never raises.

    `check` returns what a right answer teaches, and raises `Wrong` for a wrong one; any other
    error counts as an error of the answer.
    """

    @wraps(check)
    def judge(answer, *others, **options) -> Verdict:
        try:
            if answer is ... or answer is None:
                raise Unanswered
            return Verdict(True, check(answer, *others, **options))
        except Unanswered:
            return Verdict(None, UNANSWERED)
        except Wrong as wrong:
            return Verdict(False, str(wrong))
        except Exception as error:
            return Verdict(False, f"It stopped with {type(error).__name__}: {error}")

    return judge


def ask(function: Callable, *arguments, **options):
    """Return what the learner's `function` returns; raise `Unanswered` if that is nothing."""
    if not callable(function):
        raise Wrong("The answer should be a function. Leave the line with `def` as it was.")
    if (result := function(*arguments, **options)) is None or result is ...:
        raise Unanswered
    return result


def explain(value, mistakes: dict, tolerance: float = 6e-3, relative: float = 0.0) -> None:
    """Raise `Wrong` with the explanation of the mistake that leads to `value`, if one does.

    `mistakes` maps explanations to the numbers or tensors that the mistakes give.
    """
    value = torch.as_tensor(value).double()
    for why, mistaken in mistakes.items():
        mistaken = torch.as_tensor(mistaken).double()
        if torch.allclose(value, mistaken, rtol=relative, atol=tolerance):
            raise Wrong(why)


def number(answer) -> float:
    """Return `answer`, a number or a tensor of one element, as a float; raise `Wrong` otherwise."""
    if answer is ...:
        raise Unanswered
    try:
        return float(answer)
    except (TypeError, ValueError) as error:
        raise Wrong(f"One number is wanted, not a {type(answer).__name__}.") from error
