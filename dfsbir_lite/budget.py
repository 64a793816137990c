"""What a run will take, measured before it begins, and a run that keeps to a time."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median

from dfsbir_lite import ranks
from dfsbir_lite.runtime import UserError, approx, peak_memory
from dfsbir_lite.students import Distillation

FEWEST = 10  # iterations that are worth a time budget
RESERVE = 0.05  # the share of a time budget that saving, and a busy machine, may take
ROUNDS, LONG = 5, 10.0  # how often something is timed; seconds after which once was enough


class Clock:
    """Keeps a loop to the `seconds` that it may take from its first iteration to its last."""

    def __init__(self, loop: Distillation, seconds: float | None):
        self.loop, self.began, self.first = loop, time.monotonic(), loop.index
        self.wanted = len(loop)
        # a run that goes on has what is left of the budget for the iterations that are left
        self.left = seconds and seconds * (1 - loop.index / max(1, len(loop)))

    def keep(self) -> int:
        """Shortens the loop if it is late, to no less than one more iteration; its new length.

        One that has caught up gets its iterations back.
        """
        loop = self.loop
        if self.left and loop.index > self.first:
            taken = time.monotonic() - self.began
            pace = taken / (loop.index - self.first)
            fits = loop.index + max(1, int((self.left - taken) / pace))
            loop.end_after(ranks.share(min(fits, self.wanted)))
        return len(loop)


@dataclass
class Pace:
    """What one iteration of a loop takes, see `measure`.

    Attributes:
        seconds: of one iteration, those after a refresh of the estimators spread over all.
        memory: bytes that a whole run needs in each process; 0 where that is not known.
        hinted: whether the teachers gave the hints that the recipe wants, if it wants any.
        took: seconds that measuring took.
    """

    seconds: float
    memory: float
    hinted: bool
    took: float


def measure(loop: Distillation) -> Pace:
    """Times the parts of an iteration of `loop`, which is used up.

    The parts, because a whole one of the paper's recipe takes minutes; with the adversary, which
    joins a run later.
    """
    began = time.monotonic()
    recipe, synthesis = loop.recipe, loop.synthesis
    loop.steps = loop.index + ROUNDS + 1  # as many as are timed
    loop.recipe = replace(recipe, estimator_steps=1, encoder_steps=1)
    synthesis.recipe = replace(recipe, adv_after=0, refresh_every=0)
    steps = []
    one = _median_seconds(lambda: next(synthesis).photos.sum().item())  # waits for a GPU
    both = _median_seconds(lambda: steps.append(next(loop)) or _finished(loop))
    refreshes = recipe.catch_up / recipe.refresh_every if recipe.refresh_every else 0
    seconds = recipe.estimator_steps * (1 + refreshes) * one
    seconds += recipe.encoder_steps * max(0.0, both - one)
    memory, store = peak_memory(loop.device), loop.replay
    if memory and loop.device.type == "cpu":  # where a page takes no room until it is written to
        empty = 1 - len(store) / len(store.photos)
        memory += empty * (store.photos.nbytes + store.sketches.nbytes)
    hinted = not recipe.weights.hint or "hint" in steps[-1].terms
    return ranks.share(Pace(seconds, memory, hinted, took=time.monotonic() - began))


def _finished(loop: Distillation) -> None:
    """Waits for a GPU to have done its work."""
    loop.encoders.proxies.sum().item()


def _median_seconds(task: Callable[[], object], decide: Callable = ranks.share) -> float:
    """Seconds that `task` takes: the median of some calls, after one that is not counted.

    Every process that takes part in `task` has to stop after the same call: one has to `decide`.
    """
    task()
    seconds = []
    while decide(len(seconds) < ROUNDS and sum(seconds) < LONG):
        began = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def forecast(steps: int, pace: Pace, upper: Iterator | None = None) -> str:
    """What `steps` iterations at this `pace` will take, and the student of real data after them.

    Also whether hints are wanted that the teachers cannot give, in a line of its own. `upper` is
    like the student of real data that will be trained, if one will; it is used up.
    """
    told = f"student: {steps} iterations, {_minutes(steps * pace.seconds)}"
    if pace.memory:
        each = f" in each of {ranks.count()} processes" if ranks.count() > 1 else ""
        told += f", {approx(pace.memory / 1e9, 1)} GB of memory{each}"
    if upper:
        steps, upper.steps = len(upper), ROUNDS + 1  # it ends when it has been timed
        one = _median_seconds(lambda: next(upper).proxies.sum().item(), decide=bool)
        told += f"\nstudent on real data: {steps} steps, {_minutes(steps * one)}"
    if not pace.hinted:
        told += "\nno hints: the teachers' stages are not shaped as the encoders' are"
    return told


def _minutes(seconds: float) -> str:
    return f"{approx(max(1, seconds / 60), 0)} min"


def fitting(minutes: float, pace: Pace) -> int:
    """How many iterations fit into `minutes`, measuring included.

    Raises UserError, with the least that makes sense, for fewer than FEWEST.
    """
    steps = int((60 * minutes * (1 - RESERVE) - pace.took) / pace.seconds)
    if steps < FEWEST:
        least = (FEWEST * pace.seconds + pace.took) / (1 - RESERVE) / 60
        raise UserError(
            f"{minutes:g} minutes are too few for {FEWEST} iterations here: give at least "
            f"--minutes {math.ceil(10 * least) / 10 + 0.1:.1f}"
        )
    return steps
