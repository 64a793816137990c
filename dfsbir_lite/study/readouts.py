"""Read-outs of two teachers beyond `retrieval.teacher_readouts`, and what a read-out costs."""

import timeit
from collections.abc import Iterable

import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes
from sklearn.cross_decomposition import CCA
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dfsbir_lite.models import SceneEstimator
from dfsbir_lite.retrieval import ReadOut, teacher_readouts
from dfsbir_lite.synthesis import LOUDER
from dfsbir_lite.teachers import Teachers
from dfsbir_lite.views import jitter

PAIRS, NOISE = 6000, 256  # pairs that canonical correlation learns from, and how many at a time


def over_views(readout: ReadOut, views: int) -> ReadOut:
    """Return the mean of `readout` over random `views` of each image, the same in every call."""

    def read(images: Tensor, modality: str) -> Tensor:
        draw = torch.Generator(images.device).manual_seed(0)
        return sum(readout(jitter(images, draw), modality) for _ in range(views)) / views

    return read


def turned(teachers: Teachers) -> ReadOut:
    """Return features, those of sketches turned so that both teachers' class proxies agree.

    The rotation is the best one in the least-squares sense (Schönemann, 1966). Features have to be
    of one length.
    """
    proxies = (t.proxies.float().cpu().numpy() for t in (teachers.sketch, teachers.photo))
    rotation = torch.from_numpy(orthogonal_procrustes(*proxies)[0])
    features = teacher_readouts(teachers)["teacher features"]

    def read(images: Tensor, modality: str) -> Tensor:
        rows = features(images, modality)
        return rows @ rotation.to(rows) if modality == "sketch" else rows

    return read


@torch.no_grad()
def canonical(teachers: Teachers, scenes: SceneEstimator) -> ReadOut:
    """Return features in the directions that agree best on pairs painted by `scenes`.

    Canonical correlation (Hotelling, 1936), one direction less than there are classes; no label is
    used.
    """
    draw, pairs = torch.Generator().manual_seed(0), []
    features = teacher_readouts(teachers)["teacher features"]
    for _ in range(PAIRS // NOISE):
        noise = torch.randn(NOISE, scenes.shape["noise_dim"], generator=draw)
        noise[torch.arange(NOISE), noise[:, : len(teachers.classes)].argmax(1)] += LOUDER
        photos, sketches = scenes(noise.to(teachers.photo.proxies.device))
        pairs.append((features(photos, "photo").cpu(), features(sketches, "sketch").cpu()))
    both = [torch.cat(side).numpy() for side in zip(*pairs)]
    found = CCA(len(teachers.classes) - 1, max_iter=2000).fit(*both)

    def read(images: Tensor, modality: str) -> Tensor:
        rows = features(images, modality).cpu().numpy()
        if modality == "photo":
            return torch.from_numpy(found.transform(rows))
        blank = np.zeros((len(rows), both[0].shape[1]))  # scikit-learn wants a photo beside each
        return torch.from_numpy(found.transform(blank, rows)[1])

    return read


@torch.no_grad()
def cost(read: ReadOut, networks: Iterable[nn.Module], image: Tensor, modality="photo") -> dict:
    """Return the costs of one read-out of `networks`: bytes, multiply_adds, ms and length.

    Bytes are those of the weights in single precision, the rest is for one image on one core. What
    the weights are does not matter.
    """
    with FlopCounterMode(display=False) as counter:
        length = read(image, modality).shape[1]
    with threadpool_limits(1):
        seconds = timeit.repeat(lambda: read(image, modality), number=5, repeat=11)
    return {
        "bytes": 4 * sum(p.numel() for network in networks for p in network.parameters()),
        "multiply_adds": counter.get_total_flops() // 2,
        "ms": 1e3 * np.median(seconds) / 5,
        "length": length,
    }
