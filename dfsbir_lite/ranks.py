"""Several processes that learn one student: how many `torchrun` started, and what they share.

The one module that knows torch.distributed. A process that `torchrun` did not start, or started
alone, is the first of one, and nothing here costs it anything.
"""

import atexit
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr
from datetime import timedelta
from io import StringIO
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from dfsbir_lite.runtime import UserError

T = TypeVar("T")

# A process that dies is noticed by its closed connections and by torchrun. One that is alive may
# take its time: the first may train teachers for hours while the others wait.
PATIENCE = timedelta(days=2)
GRACE = 5.0  # seconds that a process may take to clean up when it is over


class Terminated(KeyboardInterrupt):
    """What torchrun asks for when it was told to end, or when one of its processes has."""


_store = None  # torchrun's, which outlives every process


def count() -> int:
    """How many processes learn together."""
    together = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


def index() -> int:
    """Which of them this one is, from 0."""
    return distributed.get_rank() if count() > 1 else 0


def is_first() -> bool:
    """Whether this is the one that writes, prints and scores."""
    return index() == 0


# --- begin and end ----------------------------------------------------------------------------


def started() -> int:
    """How many processes `torchrun` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def join() -> None:
    """Meets the other processes, if `torchrun` started several. All but the first fall silent."""
    global _store
    if started() == 1:
        return
    for name in (signal.SIGINT, signal.SIGTERM):  # torchrun's ways to say that it is over
        signal.signal(name, _stop)
    _store, rank, size = next(distributed.rendezvous("env://"))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(
        backend, store=_store, rank=rank, world_size=size, timeout=PATIENCE
    )
    if rank:
        os.environ["DFSBIR_QUIET"] = "1"
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _stop(number: int, frame) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):  # once is enough
        signal.signal(name, signal.SIG_IGN)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def only_first_complains():
    """A context in which the other processes' stderr is dropped: all would say the same."""
    return nullcontext() if is_first() else redirect_stderr(StringIO())


def own_device(device: torch.device) -> torch.device:
    """The GPU of this process where `device` is cuda, one each; any other device as it is.

    Raises UserError if there are fewer GPUs than processes, or if one is named for all.
    """
    if count() == 1 or device.type != "cuda":
        return device
    if device.index is not None:
        raise UserError(f"{count()} processes cannot share {device}: use --device cuda")
    place, gpus = int(os.environ.get("LOCAL_RANK", index())), torch.cuda.device_count()
    if place >= gpus:
        raise UserError(f"each process needs a GPU of its own, and torch sees {gpus} here")
    torch.cuda.set_device(place)
    return torch.device("cuda", place)


def dismiss_others() -> None:
    """The first process goes on alone; the others end here, well."""
    if count() > 1:
        first = is_first()
        distributed.destroy_process_group()
        if not first:
            sys.exit(0)


def tell(line: str) -> None:
    """Prints why it is over to stderr, unless another process has told its reason before."""
    try:
        told = _store is not None and _store.add("told", 1) > 1
    except RuntimeError:  # whoever kept the store is gone
        told = False
    if not told:
        print(line, file=sys.stderr)


def why_over(error: BaseException) -> str:
    """Why `error` ends this process though nothing is wrong with it; "" if something is."""
    if isinstance(error, KeyboardInterrupt):
        told = "torchrun has stopped all processes, as it does when one has died"
        return told if isinstance(error, Terminated) else "stopped"
    if count() == 1:
        return ""
    lost = isinstance(error, distributed.DistError)
    lost = lost or any(word in str(error) for word in ("gloo", "NCCL", "Connection"))
    reason = f" ({str(error).splitlines()[0]})" if "NCCL" in str(error) else ""
    return f"another process has stopped{reason}" if lost else ""


def end(main: Callable[[], int]) -> None:
    """Runs `main` and exits with the status that it returns.

    One of several processes does not wait for open exchanges with the others, as the interpreter
    would when it ends: they may be waiting for this one.
    """
    if started() == 1:
        sys.exit(main())
    try:
        status = main()
    except SystemExit as exit:
        status = exit.code if isinstance(exit.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    rescue = threading.Timer(GRACE, os._exit, [status])
    rescue.daemon = True
    rescue.start()
    atexit._run_exitfuncs()  # joblib's workers end here, as they would without us
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


# --- shared work ------------------------------------------------------------------------------


def share(value: T) -> T:
    """The `value` that the first process gives, at every process."""
    if count() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, device=torch.device("cpu"))
    return box[0]


def gather(value: T) -> list[T]:
    """The values of all processes, in order, at the first one; at the others nothing."""
    if count() == 1:
        return [value]
    values = [None] * count() if is_first() else None
    distributed.gather_object(value, values)
    return values or []


def part_of(batch: int) -> int:
    """This process's part of a `batch` of all. Raises UserError if it cannot be shared equally."""
    if batch % count():
        raise UserError(f"batch is {batch}: {count()} processes cannot share it equally")
    return batch // count()


def own_seed(seed: int) -> int:
    """`seed` for the first process, and another one for each of the others."""
    return seed + 1_000_003 * index()


@torch.no_grad()
def agree(tensors: list[Tensor]) -> None:
    """Replaces `tensors` by those of the first process."""
    if count() > 1:
        for tensor in tensors:
            distributed.broadcast(tensor, 0)


@torch.no_grad()
def average_statistics(network: nn.Module) -> None:
    """Replaces the stored batch-norm statistics of `network` by their means over all processes."""
    if count() == 1:
        return
    layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    stored = [value for m in layers for value in (m.running_mean, m.running_var)]
    joined = torch.cat(stored) / count()
    distributed.all_reduce(joined)
    for value, mean in zip(stored, joined.split([len(value) for value in stored]), strict=True):
        value.copy_(mean)


class _Pass(nn.Module):
    """What DistributedDataParallel wraps: all that leads from `network` to one loss.

    It looks for parameters without a gradient in the graph of what `forward` returns. A loss is the
    one tensor there that tells them exactly; from a network's outputs it would expect gradients
    for terms that a weight, or this process's batch, leaves out.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        # a process without anything to learn must take part in the exchange: there is always one
        # parameter with a gradient; and always one without, or DDP warns that it searched in vain
        zero = torch.zeros((), device=next(network.parameters()).device)
        self.always, self.never = nn.Parameter(zero), nn.Parameter(zero.clone())

    def forward(self, loss: Callable, *given):
        total, *others = loss(*given)
        return total + self.always, *others


def alone(loss: Callable, *given):
    """What `wrap` returns where there is one process."""
    return loss(*given)


def wrap(network: nn.Module) -> Callable:
    """A function (loss, *given) -> `loss(*given)`, a scalar to be minimised and things detached.

    Its `backward` gives the parameters of `network` the mean gradient of all processes.
    """
    if count() == 1:
        return alone
    # the search also keeps the order in which gradients are added up as it was at the beginning,
    # without which a resumed run would differ in the last digits
    return DistributedDataParallel(_Pass(network), find_unused_parameters=True)
