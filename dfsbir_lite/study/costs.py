"""What a read-out costs: bytes, multiply-adds, milliseconds, and the length of its rows."""

from collections.abc import Iterable, Iterator

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from dfsbir_lite.retrieval import ReadOut
from dfsbir_lite.study.rows import ROWS, Setting


def table(setting: Setting, rows) -> pd.DataFrame:
    """Return the costs of `rows`: a line each, columns bytes, multiply_adds, ms and length.

    Bytes are those of both modalities' weights in single precision, the rest is for one photo on
    one core. What weights are does not matter: students are not trained here.
    """
    return pd.DataFrame({row: _cost(setting, row) for row in rows}).T


def _cost(setting: Setting, row: str) -> dict[str, float]:
    made, networks = ROWS[row].make(setting), (setting.teachers.photo, setting.teachers.sketch)
    if isinstance(made, Iterator):
        networks, made = [made.encoders], ROWS[row].read(made.encoders)
    photo = torch.rand(1, 3, setting.sizes.size, setting.sizes.size, device=setting.device)
    return cost(made, networks, photo)


@torch.no_grad()
def cost(read: ReadOut, networks: Iterable[nn.Module], image: Tensor, modality="photo") -> dict:
    """Return the costs of one read-out of `networks` for one image, see `table`."""
    with FlopCounterMode(display=False) as counter:
        length = read(image, modality).shape[1]
    given = {"read": read, "image": image, "modality": modality}
    timer = Timer("read(image, modality)", globals=given, num_threads=1)
    return {
        "bytes": 4 * sum(map(_size, networks)),
        "multiply_adds": counter.get_total_flops() // 2,
        "ms": 1e3 * timer.blocked_autorange(min_run_time=0.3).median,
        "length": length,
    }


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
