"""How `bench speed` measures: what is compared runs in turns, in one process, on one machine."""

import gc
import multiprocessing
import os
import platform
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dfsbir_lite.runtime import has_bfloat16, peak_memory

PROCESS = Path("/proc/self")  # Linux alone has it


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


def table(measures: list[Measure]) -> pd.DataFrame:
    """The measures, a line each, with bars as text, and ✓ or ✗ behind those that have one."""
    lines = []
    for m in measures:
        bounds = {"≤": m.most, "≥": m.least}
        bar = " ".join(f"{sign} {b:g}" for sign, b in bounds.items() if b is not None)
        mark = {None: "", True: "✓", False: "✗"}[m.met]
        value = f"{m.value:,.0f}" if m.value >= 100 else f"{m.value:.3g}"
        lines.append((m.part, m.name, f"{value} {m.unit}", bar, mark))
    return pd.DataFrame(lines, columns=["part", "what", "measured", "bar", ""])


def about_machine(device: str) -> dict[str, str | int]:
    """What the figures depend on besides the code."""
    name = platform.processor() or platform.machine()
    if torch.device(device).type == "cuda":
        name = torch.cuda.get_device_name(device)
    return {
        "device": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bfloat16": has_bfloat16(torch.device(device)),
        "torch": torch.__version__,
    }


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


def peak_extra(prepare: Callable[..., Callable[[], object]], *args) -> int | None:
    """The bytes that a call takes at its peak, on top of what its process held before.

    `prepare(*args)` makes what the call needs, and returns the call. Both happen in a fresh
    process, with as many threads as this one; so `prepare` is a function of a module, and `args`
    can be pickled. None where the system does not tell (Windows).
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        return child.submit(_peak_of, torch.get_num_threads(), prepare, args).result()


def _peak_of(threads: int, prepare: Callable, args: tuple) -> int | None:
    torch.set_num_threads(threads)
    call = prepare(*args)
    gc.collect()
    before = _forget_peak()
    call()
    after = _peak()
    return max(0, after - before) if after else None


def _forget_peak() -> int:
    """Bytes held now; on Linux the peak counts from here on, elsewhere it is the one so far."""
    with suppress(OSError):  # then what `prepare` took for a while may hide a part of the call's
        (PROCESS / "clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """The most bytes that this process held; 0 where that is not known.

    Linux' `getrusage` would count what the parent process held when this one began.
    """
    try:
        status = (PROCESS / "status").read_text()
    except OSError:
        return peak_memory("cpu")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def _time(task: Callable[[], object], device: str) -> float:
    _wait(device)
    began = time.perf_counter()
    task()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
