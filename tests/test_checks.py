"""Each self-check of an exercise accepts right answers, and explains wrong ones."""

import importlib
import inspect
import pkgutil
from functools import cache

import pytest
import torch

from dfsbir_lite.lessons import checks
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, explain, number

LESSONS = [module.name for module in pkgutil.iter_modules(checks.__path__)]


def functions(lesson: str) -> dict:
    """The checks of a lesson by name: what its module defines and does not hide."""
    module = importlib.import_module(f"dfsbir_lite.lessons.checks.{lesson}")
    found = inspect.getmembers(module, inspect.isfunction)
    return {n: f for n, f in found if f.__module__ == module.__name__ and not n.startswith("_")}


@cache
def cases(lesson: str) -> dict:
    return importlib.import_module(f"check_cases.{lesson}").cases()


EVERY = [(lesson, name) for lesson in LESSONS for name in functions(lesson)]


@pytest.mark.parametrize("lesson, name", EVERY)
def test_a_check_accepts_right_answers(lesson, name):
    assert cases(lesson)[name].right
    for arguments in cases(lesson)[name].right:
        verdict = functions(lesson)[name](*arguments)
        assert verdict.right is True, verdict


@pytest.mark.parametrize("lesson, name", EVERY)
def test_a_check_explains_wrong_answers(lesson, name):
    wrong = cases(lesson)[name].wrong
    assert len(wrong) >= 2
    for arguments, words in wrong:
        verdict = functions(lesson)[name](*arguments)
        assert verdict.right is False and words in verdict.why, verdict


@pytest.mark.parametrize("lesson, name", EVERY)
def test_dots_are_no_answer(lesson, name):
    _, *others = cases(lesson)[name].right[0]
    assert functions(lesson)[name](..., *others).right is None


# What all checks share.


@exercise
def seven(answer):
    if number(answer) != 7:
        raise Wrong("Count again.")
    return "There are seven."


@exercise
def double(answer):
    if ask(answer, 2) != 4:
        raise Wrong("Two becomes four.")
    return "Twice."


def test_a_verdict_reads_well():
    assert repr(seven(7)) == "✓ Right. There are seven."
    assert repr(seven(8)) == "✗ Not yet. Count again."
    assert repr(seven(...)).startswith("○ Not answered yet.")


def test_a_number_may_come_as_a_tensor():
    assert seven(torch.tensor([7.0])).right
    assert seven(torch.zeros(2)).why == "One number is wanted, not a Tensor."


def test_functions_are_asked():
    assert double(lambda n: n + n).right
    assert double(lambda n: ...).right is None
    assert "a function" in double(4).why
    assert double(lambda n: n / 0).why == "It stopped with ZeroDivisionError: division by zero"


def test_a_mistake_is_known_by_the_value_that_it_leads_to():
    mistakes = {"The sign.": -2.0, "The sum.": torch.tensor(8)}
    explain(2.0, mistakes)  # no mistake that is known
    with pytest.raises(Wrong, match=r"The sum\."):
        explain(8.005, mistakes)
    with pytest.raises(Wrong, match=r"The sign\."):
        explain(-2.01, mistakes, tolerance=0, relative=0.01)
