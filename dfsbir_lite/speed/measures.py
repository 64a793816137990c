"""How `bench speed` measures: what is compared runs in turns, in one process, on one machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Measure:
    """One figure of the table.

    Attributes:
        part: the line of the README that it belongs to, such as "synthesis step".
        name: what was measured, such as "ours" or "ours / floor".
        value, unit: the figure; unit "×" is a ratio of two times of one run.
        most, least: the bar, if there is one.
    """

    part: str
    name: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None without a bar."""
        if self.most is None and self.least is None:
            return None
        high, low = self.most is None or self.value <= self.most, self.least is None
        return high and (low or self.value >= self.least)


def interleave(
    tasks: dict[str, Callable[[], object]], rounds: int, device: str = "cpu", warm: int = 2
) -> dict[str, np.ndarray]:
    """Seconds of each task in each round (rounds,): all of them in turn, round after round.

    Whatever else the machine does then slows all of them alike. `warm` rounds before are not
    counted.
    """
    seconds = {name: [] for name in tasks}
    for _ in range(warm + rounds):
        for name, task in tasks.items():
            seconds[name].append(_time(task, device))
    return {name: np.array(each[warm:]) for name, each in seconds.items()}


def ratio(mine: np.ndarray, other: np.ndarray) -> float:
    """How many times longer `mine` takes than `other`: the median over rounds of both."""
    return float(np.median(mine / other))


def _time(task: Callable[[], object], device: str) -> float:
    _wait(device)
    began = time.perf_counter()
    task()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
