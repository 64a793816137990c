"""What happens before anything is learnt: imports, and drawing ToyBox."""

import subprocess
import sys
import time

import numpy as np

from dfsbir_lite import toybox
from dfsbir_lite.runtime import Profile
from dfsbir_lite.study.speed.measures import Measure

# importing these is what the loop and its scores need; the command line draws tables and plots too
LIGHT = ("dfsbir_lite", "dfsbir_lite.students, dfsbir_lite.retrieval, dfsbir_lite.toybox")
CHILD = """
import time, torch
began = time.perf_counter()
import {names}
print(time.perf_counter() - began)
"""


def measure_imports(times: int = 5) -> list[Measure]:
    """Seconds that an import adds to that of torch, each in fresh processes; the median."""
    table = []
    for names in LIGHT:
        seconds = float(np.median([_import(names) for _ in range(times)]))
        table.append(Measure("import", f"{names}, over torch", seconds, "s", most=0.3))
    return table


def _import(names: str) -> float:
    child = [sys.executable, "-c", CHILD.format(names=names)]
    return float(subprocess.run(child, check=True, capture_output=True, text=True).stdout)


def measure_toybox(sizes: Profile, per_class: int = 100) -> list[Measure]:
    """Images a second on all cores, half photos and half sketches; the best of three."""
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        shape = {"per_class": per_class, "size": sizes.size}
        made = sum(len(toybox.render(m, "val", **shape)[0]) for m in toybox.MODALITIES)
        best = max(best, made / (time.perf_counter() - began))
    return [Measure("ToyBox", f"images of {sizes.size} px", best, "a second")]
