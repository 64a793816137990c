"""Devices, profiles, threads, counting, progress: nothing about images."""

import os
import re
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm


class UserError(ValueError):
    """A mistake that the user can mend, described in one line.

    JupyterLab shows that line alone; the command line prints it and exits with status 2.
    """

    def _render_traceback_(self):  # IPython's hook for a short traceback
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Profile:
    """Sizes that belong together: how large the images, the networks and the benchmark are."""

    name: str
    size: int  # side of the square images, in pixels
    widths: tuple[int, ...]  # channels of each stage of the ResNets; a stage halves the resolution
    embed_dim: int  # length of the retrieval embedding
    estimator_width: int  # channels of the estimators' widest layers
    teacher_epochs: int  # passes over the training set
    train_per_class: int  # images of each ToyBox class and modality
    test_per_class: int
    blocks: int = 1  # of the ResNets, a stage
    stride: int = 2  # the factor by which their stem shrinks images


PROFILES = {
    "laptop": Profile("laptop", 32, (16, 32, 64), 64, 64, 30, 500, 50),
    "laptop-64": Profile("laptop-64", 64, (16, 32, 64, 128), 64, 64, 60, 500, 50),
    "gpu": Profile("gpu", 64, (24, 48, 96, 192), 128, 96, 8, 500, 50),
    "paper": Profile("paper", 224, (64, 128, 256, 512), 512, 128, 30, 500, 50, blocks=2, stride=4),
}


def profile(name: str) -> Profile:
    """Return the profile called `name`. Raises UserError for an unknown one."""
    if name not in PROFILES:
        raise UserError(f"no profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def pick_device(wanted: str | None = None) -> torch.device:
    """Return the device to run on: `wanted`, else a GPU, else the CPU.

    Raises UserError if CUDA is wanted and this machine has none.
    """
    wanted = wanted or ("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", str(wanted)):
        raise UserError(f"no device {wanted!r}: use cpu, cuda or cuda:N")
    device = torch.device(wanted)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("CUDA was asked for, but torch sees no GPU here: use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"no {wanted}: torch sees {torch.cuda.device_count()} GPU(s)")
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether bfloat16 arithmetic is native, so that autocast saves time."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(native())


def autocast(device: torch.device):
    """Return a context of bfloat16 autocast where the hardware has it, of nothing elsewhere."""
    device = torch.device(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bfloat16(device))


# --- threads ----------------------------------------------------------------------------------


class Threads:
    """Choose between one thread and all for each step, by what steps took lately.

    On a quiet machine all threads are faster. Beside another busy process they wait for the
    slowest among them, and a step may take ten times as long as with one. Now and then one step
    tries the other number: soon after a change or a slow step, else ever more rarely. Use one
    object for steps of one kind, as a context: `with threads: step()`.

    With OMP_NUM_THREADS=1 there is nothing to choose, and runs are the same to the last bit.
    """

    SOON, SELDOM = 1.0, 20.0  # seconds until the other number is tried again

    def __init__(self, device: torch.device | str = "cpu"):
        most = torch.get_num_threads()
        numbers = (most, 1) if torch.device(device).type == "cpu" else (most,)
        self.seconds = dict.fromkeys(numbers, 0.0)  # 0: not tried yet
        self.best, self.patience, self.tried = most, self.SOON, time.perf_counter()

    def __enter__(self) -> None:
        self.began, self.before = time.perf_counter(), torch.get_num_threads()
        others = self.seconds.keys() - {self.best}
        due = self.began - self.tried > self.patience
        self.now = others.pop() if due and others else self.best
        torch.set_num_threads(self.now)

    def __exit__(self, *reason) -> None:
        torch.set_num_threads(self.before)
        ended = time.perf_counter()
        took, usual = ended - self.began, self.seconds[self.now]
        if self.now == self.best:
            self.seconds[self.now] = (took + usual) / 2 if usual else took
            if usual and took > 2 * usual:  # the machine may have become busy
                self.patience = self.SOON
            return
        self.seconds[self.now], self.tried = took, ended
        faster = min(self.seconds, key=self.seconds.get)
        rarely = max(self.SELDOM, 20 * took)  # what trying costs must stay small
        self.patience = self.SOON if faster != self.best else min(4 * self.patience, rarely)
        self.best = faster


def count(distances: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Count what lies before each end and at it: items of its query, and ends of its query.

    Args: `distances` (Q, G) and `ends` (Q, R), finite; the ends rise and are among the distances.

    Returns int32 (4, Q, R): items closer than the end, items as close, ends closer, ends as close.
    """
    counts = np.empty((4, *ends.shape), np.int32)
    for query, mine in enumerate(ends):
        # row by row: a sorted copy of all would take as much memory again
        for n, values in enumerate((np.sort(distances[query]), mine)):
            before, up_to = (np.searchsorted(values, mine, side) for side in ("left", "right"))
            counts[2 * n : 2 * n + 2, query] = before, up_to - before
    return counts


# --- progress ---------------------------------------------------------------------------------


def is_quiet() -> bool:
    """Tell whether DFSBIR_QUIET asks for no progress bars."""
    return bool(os.environ.get("DFSBIR_QUIET"))


def progress(iterable=None, *, desc: str, total: int | None = None, **options) -> tqdm:
    """Return a progress bar: a widget in JupyterLab, a line in a terminal, nothing in a log file.

    It moves twice a second at most: nbval reads a cell's messages only when the cell has ended,
    holds some two thousand of them and loses the rest.
    """
    options |= {"mininterval": 0.5, "disable": is_quiet() or None}
    return tqdm(iterable, desc=desc, total=total, **options)


def approx(value, digits: int = 2) -> str:
    """Return a float or a one-element tensor as text, `≈0.83`: the mark says that it varies."""
    return f"≈{float(value):.{digits}f}"


def cache_folder() -> Path:
    """Return where networks trained here are kept: DFSBIR_CACHE, or ~/.cache/dfsbir_lite."""
    try:
        return Path(os.environ.get("DFSBIR_CACHE") or Path.home() / ".cache" / "dfsbir_lite")
    except RuntimeError:
        raise UserError("this user has no home folder: set DFSBIR_CACHE to a folder") from None


def lossless_output() -> None:
    """Have stdout and stderr write characters that their encoding lacks as \\u6a4b, not fail."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")


def need_writable(folder: Path) -> None:
    """Raise UserError unless `folder` can be written to, or made; it is not made yet."""
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise UserError(f"{folder} cannot be written to")


NEEDED = (
    *("torchvision", "jupyterlab", "matplotlib", "seaborn", "umap", "nbval", "safetensors"),
    *("sklearn", "numpy", "numba", "scipy", "pandas", "joblib", "threadpoolctl", "cv2", "PIL"),
    *("ipywidgets", "anywidget"),
)


def check_setup() -> None:
    """Print a line with a remedy for each thing that the notebooks need and do not find here."""
    remedy = f"run: {sys.executable} -m pip install -e ."
    lacking = [f"{name} is missing; {remedy}" for name in NEEDED if not find_spec(name)]
    try:
        need_writable(cache_folder())
    except UserError as reason:
        lacking.append(f"{reason}; set DFSBIR_CACHE to another")
    print("\n".join(lacking) or "Everything is in place.")
