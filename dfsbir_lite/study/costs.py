"""What a read-out costs: bytes, multiply-adds, milliseconds, and the length of its rows."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dfsbir_lite.retrieval import ReadOut


@torch.no_grad()
def cost(read: ReadOut, networks: Iterable[nn.Module], image: Tensor, modality="photo") -> dict:
    """Return the costs of one read-out of `networks`: bytes, multiply_adds, ms and length.

    Bytes are those of the weights in single precision, the rest is for one image on one core. What
    the weights are does not matter.
    """
    from torch.utils.benchmark import Timer  # warns on stderr of a half-installed CUDA

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
