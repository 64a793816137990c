"""Device, profiles, progress, printed measurements: whatever knows nothing about images."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from site import getuserbase
from tempfile import TemporaryFile

import torch
from tqdm.auto import tqdm

try:
    import resource
except ImportError:  # Windows has none
    resource = None


class UserError(ValueError):
    """A mistake that the user can mend, told in one line.

    JupyterLab shows that line alone; the command line prints it and exits with status 2.
    """

    def _render_traceback_(self):  # IPython's hook for a short traceback
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Profile:
    """Sizes that belong together: how large the images, the networks and the benchmark are.

    Attributes:
        size: side of the square images, in pixels.
        widths: channels of each stage of the small ResNets; a stage halves the resolution.
        embed_dim: length of the retrieval embedding.
        estimator_width: channels of the estimators' widest layers.
        teacher_epochs: passes over the training set for one teacher.
        train_per_class, test_per_class: images of each ToyBox class and modality.
        blocks, stride: the ResNets' blocks a stage, and what their stem divides the size by.
    """

    name: str
    size: int
    widths: tuple[int, ...]
    embed_dim: int
    estimator_width: int
    teacher_epochs: int
    train_per_class: int
    test_per_class: int
    blocks: int = 1
    stride: int = 2


PROFILES = {
    "laptop": Profile("laptop", 32, (16, 32, 64), 64, 64, 30, 500, 50),
    "laptop-64": Profile("laptop-64", 64, (16, 32, 64, 128), 64, 64, 60, 500, 50),
    "gpu": Profile("gpu", 64, (24, 48, 96, 192), 128, 96, 8, 500, 50),
    "paper": Profile("paper", 224, (64, 128, 256, 512), 512, 128, 30, 500, 50, blocks=2, stride=4),
}


def profile(name: str) -> Profile:
    """The profile called `name`; raises UserError for an unknown one."""
    if name not in PROFILES:
        raise UserError(f"no profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def pick_device(wanted: str | None = None) -> torch.device:
    """The device to run on: `wanted`, else the first GPU, else the CPU.

    Raises UserError if CUDA is wanted and this machine has none.
    """
    wanted = wanted or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise UserError(f"no device {wanted!r}: use cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device {wanted!r} is not supported: use cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("CUDA was asked for, but torch sees no GPU here: use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"no {wanted}: torch sees {torch.cuda.device_count()} GPU(s)")
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 arithmetic is native, so that autocast saves time instead of costing it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(native())


_full_precision = ContextVar("full_precision", default=False)


def autocast(device: torch.device):
    """bfloat16 autocast where the hardware has it, and nothing elsewhere."""
    device = torch.device(device)
    wanted = has_bfloat16(device) and not _full_precision.get()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


@contextmanager
def full_precision():
    """Inside it, `autocast` changes nothing: for comparisons with machines without bfloat16."""
    token = _full_precision.set(True)
    try:
        yield
    finally:
        _full_precision.reset(token)


@contextmanager
def unbroken() -> Iterator[None]:
    """Around a training step: Ctrl-C, or a kernel's interrupt, waits until the step is done.

    Cut anywhere, a step can leave an optimiser without half of its state, or torch with gradients
    switched off for good. Only the main thread is ever interrupted, so only there it does anything.
    Who cannot wait interrupts again: a second one gets through at once.
    """
    before, main = signal.getsignal(signal.SIGINT), threading.main_thread()
    not_ours = before in (None, signal.SIG_IGN) or isinstance(before, _Hold)  # or a step around
    if threading.current_thread() is not main or not_ours:
        yield
        return
    hold = _Hold()
    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is hold:
            signal.signal(signal.SIGINT, before)
        if hold.waiting:
            signal.raise_signal(signal.SIGINT)


class _Hold:
    """A signal handler that keeps the first interrupt, and lets the second one through."""

    waiting = False

    def __call__(self, number, frame):
        self.waiting = not self.waiting
        if not self.waiting:
            raise KeyboardInterrupt


def is_quiet() -> bool:
    """Whether DFSBIR_QUIET asks for no progress bars and no announcements."""
    return bool(os.environ.get("DFSBIR_QUIET"))


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has used at once on `device`; 0 where that is not known."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def progress(iterable=None, *, desc: str, total: int | None = None, **options):
    """A progress bar: a widget in JupyterLab, a line in a terminal, nothing in a log file.

    It moves twice a second at most: a client that reads a cell's messages only when the cell has
    ended, as nbval does, holds some two thousand of them and loses the rest.
    """
    return tqdm(
        iterable, desc=desc, total=total, mininterval=0.5, disable=is_quiet() or None, **options
    )


def approx(value, digits: int = 2) -> str:
    """A measured number as text, `≈0.83`: the mark tells a reader and a test that it varies.

    Args:
        value: a float or a one-element tensor.
    """
    return f"≈{float(value):.{digits}f}"


def cache_folder() -> Path:
    """Return where networks trained here are kept: DFSBIR_CACHE, or ~/.cache/dfsbir_lite."""
    return Path(os.environ.get("DFSBIR_CACHE") or Path.home() / ".cache" / "dfsbir_lite")


PARTS = {"ipywidgets": "@jupyter-widgets/jupyterlab-manager", "anywidget": "anywidget"}
NEEDED = (
    *("torchvision", "jupyterlab", "matplotlib", "seaborn", "umap", "nbval", "safetensors"),
    *("sklearn", "numpy", "numba", "scipy", "pandas", "joblib", "threadpoolctl", "cv2", "PIL"),
    *PARTS,
)


def check_setup() -> None:
    """Print a line with a remedy for each thing that the notebooks need and do not find here."""
    pip, folder = f"{sys.executable} -m pip install", cache_folder()
    lacking = [f"{name} is missing; run: {pip} -e ." for name in NEEDED if not find_spec(name)]
    shared = [Path(base, "share/jupyter/labextensions") for base in (sys.prefix, getuserbase())]
    for name, part in PARTS.items():
        if not any((labextensions / part).is_dir() for labextensions in shared):
            lacking.append(f"JupyterLab cannot show {name}; run: {pip} --force-reinstall {name}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as reason:
        lacking.append(f"{folder} cannot be written to ({reason}); set DFSBIR_CACHE to another")
    print("\n".join(lacking) or "Everything is in place.")
