"""What several tests need: networks so small that a whole run takes a second."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dfsbir_lite.models import SmallResNet
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile
from dfsbir_lite.teachers import Teacher, Teachers

torch.set_num_threads(1)  # networks this small only lose time to a second thread


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """The same arithmetic on every machine, whatever its hardware would do in bfloat16."""
    monkeypatch.setattr("dfsbir_lite.runtime.has_bfloat16", lambda device: False)


def _network(outputs: int, seed: int) -> SmallResNet:
    """Random weights, and batch-norm layers that are far from where a new network starts.

    Eight channels at least: with four, oneDNN writes past its memory in the way back through a
    strided 1 × 1 convolution in channels_last, on processors without AVX-512 (PyTorch 2.14).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallResNet((8, 16), outputs)
        nn.init.normal_(network.fc.weight, std=0.3)  # clearly different classes
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.running_mean, std=0.3)
                nn.init.uniform_(layer.running_var, 0.3, 2.0)
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias, std=0.3)
    return network


@pytest.fixture
def make_network():
    """`make_network(outputs, seed)`: a small random network for 16 px images."""
    return _network


@pytest.fixture
def make_teacher():
    """`make_teacher(classes, seed)`: such a network as a teacher."""
    return lambda classes, seed=0: Teacher(_network(len(classes), seed), classes, 16)


@pytest.fixture
def teachers(make_teacher) -> Teachers:
    """Two teachers of three classes and a guidance network, all random."""
    classes = ("ant", "bee", "cat")
    return Teachers(
        make_teacher(classes, 1), make_teacher(classes, 2), make_teacher(("photo", "sketch"), 3)
    )


@pytest.fixture
def tiny() -> Profile:
    """The sizes of those networks."""
    return Profile("tiny", 16, (8, 16), 8, 8, teacher_epochs=8, train_per_class=6, test_per_class=3)


@pytest.fixture
def tiny_recipe():
    """`tiny_recipe(**changes)`: the kit's recipe with small batches and everything switched on."""
    small = {
        "batch": 8, "noise_dim": 8, "estimator_steps": 2, "encoder_steps": 2, "adv_after": 1,
        "refresh_every": 3, "catch_up": 1, "replay": 2, "queue": 5,
        "match": 1.0, "hint": 1.0, "proxy": 1.0, "contrastive": 0.25,
    }  # fmt: skip
    return lambda **changes: recipe("kit", **{**small, **changes})


@pytest.fixture
def write_folders():
    """`write_folders(root, classes)`: easy images as <root>/{photos,sketches}/<split>/<class>/.

    A class is a colour in photos, and the side of a dark stripe in sketches.
    """

    def write(root, classes=("left", "top", "right"), each=4):
        rng = np.random.default_rng(0)
        for split in ("train", "test"):
            for i, name in enumerate(classes):
                for kind in ("photos", "sketches"):
                    folder = root / kind / split / name
                    folder.mkdir(parents=True)
                    for n in range(each):
                        pixels = np.full((20, 20, 3), 255 if kind == "sketches" else 60, np.uint8)
                        if kind == "photos":
                            pixels[..., i] = 220
                        else:
                            np.rot90(pixels, i)[:, :6] = 0
                        pixels = pixels - rng.integers(0, 20, pixels.shape, dtype=np.uint8)
                        Image.fromarray(pixels).save(folder / f"{n}.png")
        return root / "photos", root / "sketches"

    return write
