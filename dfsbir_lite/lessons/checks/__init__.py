"""Self-checks of the notebooks' exercises: a module for each notebook, a function an exercise.

A check computes what is right from the question, never from a stored answer, so that another right
answer is accepted, and it explains a wrong one by the mistake that leads to it.
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
    """Makes a self-check of `check(answer, ...)`, which returns what to learn from a right answer.

    It raises `Wrong` for a wrong one. Anything else that is raised is told as an error of the
    answer, because a notebook should go on: dots, as a value or as what a function returns, are no
    answer.
    """

    @wraps(check)
    def judged(answer, *given, **named) -> Verdict:
        try:
            if answer is ... or answer is None:
                raise Unanswered
            return Verdict(True, check(answer, *given, **named))
        except Unanswered:
            return Verdict(None, UNANSWERED)
        except Wrong as wrong:
            return Verdict(False, str(wrong))
        except Exception as error:
            return Verdict(False, f"It stopped with {type(error).__name__}: {error}")

    return judged


def ask(function: Callable, *arguments, **named):
    """What the learner's `function` returns; raises `Unanswered` as long as it returns nothing."""
    if not callable(function):
        raise Wrong("The answer should be a function. Leave the line with `def` as it was.")
    if (result := function(*arguments, **named)) is None or result is ...:
        raise Unanswered
    return result


def explain(value, mistakes: dict, tolerance: float = 6e-3, relative: float = 0.0) -> None:
    """Raises `Wrong` with the explanation of the mistake that leads to `value`, if one does.

    Args:
        value: a number, or a tensor. mistakes: explanation → what the mistake leads to, alike.
        tolerance, relative: how near that must be, as in `torch.isclose`.
    """
    value = torch.as_tensor(value).double()
    for why, mistaken in mistakes.items():
        mistaken = torch.as_tensor(mistaken).double()
        if torch.allclose(value, mistaken, rtol=relative, atol=tolerance):
            raise Wrong(why)


def number(answer) -> float:
    """`answer` as a float: a number, or a tensor or array of one element. Raises Wrong else."""
    if answer is ... or answer is None:
        raise Unanswered
    try:
        return float(answer)
    except (TypeError, ValueError) as error:
        raise Wrong(f"One number is wanted, not a {type(answer).__name__}.") from error
