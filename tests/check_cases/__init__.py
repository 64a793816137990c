"""Answers to put before each self-check: a module for each notebook, with a function `cases`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cases:
    """Arguments for one check.

    Attributes:
        right: answers (with what else the check is given) that it must accept. The solution of
            the notebook is tested there; these are others.
        wrong: answers that it must reject, each with words that its explanation must have.
    """

    right: list[tuple]
    wrong: list[tuple[tuple, str]]
