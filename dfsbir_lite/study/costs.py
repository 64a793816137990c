"""What a read-out costs: bytes, multiply-adds, milliseconds, and the length of its rows."""

from collections.abc import Iterator

import pandas as pd
import torch
from torch import nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from dfsbir_lite.study.rows import ROWS, Setting


def table(setting: Setting, rows) -> pd.DataFrame:
    """Return the costs of `rows`: a line each, columns bytes, multiply_adds, ms and length.

    Bytes are those of both modalities' weights in single precision, the rest is for one photo on
    one core. What weights are does not matter: students are not trained here.
    """
    return pd.DataFrame({row: _cost(setting, row) for row in rows}).T


@torch.no_grad()
def _cost(setting: Setting, row: str) -> dict[str, float]:
    made, networks = ROWS[row].make(setting), (setting.teachers.photo, setting.teachers.sketch)
    if isinstance(made, Iterator):
        networks, made = [made.encoders], ROWS[row].read(made.encoders)
    photo = torch.rand(1, 3, setting.sizes.size, setting.sizes.size, device=setting.device)
    with FlopCounterMode(display=False) as counter:
        length = made(photo, "photo").shape[1]
    timer = Timer("read(photo, 'photo')", globals={"read": made, "photo": photo}, num_threads=1)
    return {
        "bytes": 4 * sum(map(_size, networks)),
        "multiply_adds": counter.get_total_flops() // 2,
        "ms": 1e3 * timer.blocked_autorange(min_run_time=0.3).median,
        "length": length,
    }


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
