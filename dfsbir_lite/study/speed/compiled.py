"""Whether `torch.compile` would pay: what it takes off a pass, and what it takes to begin with."""

import copy
import os
import tempfile
import time
from unittest.mock import patch

import numpy as np
import torch

from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile, autocast
from dfsbir_lite.students import new_encoders
from dfsbir_lite.study.speed.measures import Measure, interleave, ratio
from dfsbir_lite.study.speed.steps import Step


def measure(sizes: Profile, device: str = "cpu", rounds: int = 20) -> list[Measure]:
    """An encoder's pass, forward and backward, compiled and as it is.

    Empty where nothing can be compiled: on a CPU that takes a C++ compiler.
    """
    settings = recipe("kit")
    network = new_encoders(sizes, classes=12).photo.to(device, memory_format=torch.channels_last)
    images = torch.rand(settings.batch, 3, sizes.size, sizes.size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    other = copy.deepcopy(network)
    with (
        tempfile.TemporaryDirectory() as nothing,  # of what an earlier run compiled
        patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=nothing),
    ):
        try:
            tasks = {"whole": _pass(network, images), "compiled": _pass(other, images, True)}
            began = time.perf_counter()
            tasks["compiled"]()
            took = time.perf_counter() - began
        except RuntimeError:
            return []
        seconds = interleave(tasks, rounds, device)
    measures = [
        Measure("torch.compile", "to compile an encoder's pass", took, "s"),
        Measure(
            "torch.compile",
            "its pass then / before",
            ratio(seconds["compiled"], seconds["whole"]),
            "×",
        ),
    ]
    saved = 2 * settings.encoder_steps * float(np.median(seconds["whole"] - seconds["compiled"]))
    if saved > 0:
        measures += [Measure("torch.compile", "pays after", took / saved, "iterations")]
    return measures


def _pass(network: torch.nn.Module, images: torch.Tensor, compiled: bool = False) -> Step:
    read = torch.compile(network.train()) if compiled else network.train()

    def step():
        network.zero_grad()
        with autocast(images.device):
            outputs = read(images)
        outputs.float().square().mean().backward()

    return step
