"""Architectures: every classifier of torchvision's is a teacher; so are other layers and heads."""

import inspect

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import convnext, efficientnet, regnet, resnet, swin_transformer
from torchvision.models import vision_transformer as vit
from torchvision.ops import FrozenBatchNorm2d

from dfsbir_lite import adopt
from dfsbir_lite.adopt.shelf import AMBIGUOUS
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import UserError
from dfsbir_lite.synthesis import synthesize
from dfsbir_lite.teachers import Teacher, Teachers

CLASSES = ("ant", "bee", "cat")
NAMES = set(torchvision.models.list_models(module=torchvision.models)) - set(AMBIGUOUS)
FOUR = [1, 1, 1, 1]  # blocks of the stages
SHALLOW = {
    (convnext.CNBlockConfig, "__init__"): {"num_layers": 1},
    (efficientnet.FusedMBConvConfig, "__init__"): {"num_layers": 1},
    (efficientnet.MBConvConfig, "__init__"): {"num_layers": 1},
    (regnet.BlockParams, "__init__"): {"depths": FOUR},
    (resnet, "_resnet"): {"layers": FOUR},
    (swin_transformer, "_swin_transformer"): {"depths": FOUR},
    (vit, "_vision_transformer"): {"num_layers": 1},
}


class Narrow(nn.Linear):
    def __init__(self, in_features, out_features, **options):
        sides = (64 if side == 4096 else side for side in (in_features, out_features))
        super().__init__(*sides, **options)


@pytest.fixture
def shallow(monkeypatch):
    """One block a stage where there are giants, and narrow layers in VGG: a fifth of 5.6 billion.

    All else of each name is as torchvision builds it: widths, kinds of blocks, head.
    """

    def changed(whole, changes):
        def build(*args, **kwargs):
            bound = inspect.signature(whole).bind(*args, **kwargs)
            bound.arguments |= changes
            return whole(*bound.args, **bound.kwargs)

        return build

    for (owner, name), changes in SHALLOW.items():
        monkeypatch.setattr(owner, name, changed(getattr(owner, name), changes))
    monkeypatch.setattr(nn, "Linear", Narrow)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_classifier_of_torchvision_is_adopted_and_teaches(name, tmp_path, shallow):
    weights, path = tmp_path / "mine.pth", tmp_path / "photo.safetensors"
    size = 224 if "vit_" in name else 64  # they read images of one size
    source = torchvision.models.get_model(name, num_classes=3).eval()
    torch.save(source.state_dict(), weights)
    adopt.adopt(name, weights, CLASSES, size, path)
    teacher, images = adopt.load(path), torch.rand(2, 3, size, size)
    reading = teacher(images, moments=True)
    expected = source(teacher.network[0](images))
    torch.testing.assert_close(reading.logits, expected, atol=0.05, rtol=0.05)  # half precision
    narrow = teacher.only(["cat", "ant"])(images).logits
    torch.testing.assert_close(narrow, reading.logits[:, [2, 0]])
    norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in source.modules())
    assert len(reading.moments) == norms
    guidance = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 2))
    teachers = Teachers(teacher, teacher, Teacher(guidance, ("photo", "sketch"), size))
    step = next(synthesize(teachers, recipe("kit", batch=2, noise_dim=4), width=8))
    assert all(term.isfinite() for term in step.terms.values())
    assert (step.terms["bn"] > 0) == (norms > 0)


# --- layers that store statistics -------------------------------------------------------------


POOL = nn.AdaptiveAvgPool2d(1), nn.Flatten()


def network(*middle: nn.Module, head=None) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), *middle, *(head or (*POOL, nn.Linear(8, 3))))


STATISTICS = [
    network(nn.SyncBatchNorm(8)),
    network(FrozenBatchNorm2d(8)),
    network(nn.InstanceNorm2d(8, track_running_stats=True)),
    network(nn.BatchNorm2d(8, affine=False)),
]
NONE = [
    network(nn.BatchNorm2d(8, track_running_stats=False)),
    network(head=(*POOL, nn.BatchNorm1d(8), nn.Linear(8, 3))),  # of rows, not of maps
]


@pytest.mark.parametrize("kind", STATISTICS + NONE)
def test_statistics_of_every_kind_of_layer_are_read(kind, make_teacher):
    teacher, images = Teacher(kind, CLASSES, 16), torch.rand(4, 3, 16, 16)
    maps, moments = kind[0](images), teacher(images, moments=True).moments
    found = maps.mean((0, 2, 3)), maps.var((0, 2, 3), correction=0)
    expected = (*found, torch.zeros(8), torch.ones(8))
    torch.testing.assert_close(moments, [expected] if kind in STATISTICS else [])
    both = adopt.match(teacher, teacher, make_teacher(("photo", "sketch")))
    assert ("no batch-norm" in adopt.report(teacher, teacher, both)) == (kind in NONE)


# --- heads, and what a network returns --------------------------------------------------------


def test_a_convolution_can_be_the_head():
    pooled = network(head=(nn.Conv2d(8, 3, 1), nn.AvgPool2d(14), nn.Flatten()))
    teacher, images = Teacher(pooled, CLASSES, 16), torch.rand(4, 3, 16, 16)
    logits, features, *_ = teacher(images)
    torch.testing.assert_close(features, pooled[0](images).mean((2, 3)))
    torch.testing.assert_close(logits, features @ teacher.proxies.T + teacher.head.bias)
    wide = teacher.widened(("ant", "owl", "bee", "cat"))
    expected = torch.stack([logits[:, 0], logits.mean(1), logits[:, 1], logits[:, 2]], 1)
    torch.testing.assert_close(wide(images).logits, expected)
    assert wide.head.out_channels == 4 and teacher.head.out_channels == 3


class After(nn.Module):
    """A network that makes something else of the scores in the end; its head is not its last."""

    def __init__(self, change, channels=3):
        super().__init__()
        self.head, self.body, self.change = nn.Linear(8, 3), nn.Conv2d(channels, 8, 16), change

    def forward(self, images):
        return self.change(self.head(self.body(images).flatten(1)))


RETURNED = {
    lambda scores: {"logits": scores}: "After returned a dict, not the 3 scores of its last layer",
    lambda scores: (scores, scores): "a tuple, not",
    lambda scores: torch.return_types.max((scores, scores)): "a max, not",
    lambda scores: scores.softmax(1): r"a tensor \(1, 3\), not",
    lambda scores: scores.log_softmax(1): r"a tensor \(1, 3\), not",
    lambda scores: scores / 0.07: r"a tensor \(1, 3\), not",
    lambda scores: scores.squeeze(): r"a tensor \(3,\), not",
    lambda scores: scores[..., None, None]: r"a tensor \(1, 3, 1, 1\), not",
    lambda scores: scores[:, :2]: r"a tensor \(1, 2\), not",
    lambda scores: scores.view(-1, 3): r"After must pass on any scores.*shape '\[-1, 3\]'",
}


@pytest.mark.parametrize("change, reason", RETURNED.items())
def test_what_a_network_returns_is_looked_at(change, reason):
    with pytest.raises(UserError, match=reason) as refusal:
        Teacher(nn.Sequential(nn.Identity(), After(change)), CLASSES, 16)
    assert "\n" not in str(refusal.value)


def test_networks_that_are_no_classifiers_of_such_images():
    with pytest.raises(UserError, match=r"After cannot read images \(N, 3, 16, 16\): .*1 channel"):
        Teacher(After(nn.Identity(), channels=1), CLASSES, 16)
    with pytest.raises(UserError, match="After ends in 3 outputs, but 2 classes were named"):
        Teacher(After(nn.Identity()), ("ant", "bee"), 16)
    with pytest.raises(UserError, match="Flatten has no linear layer"):
        Teacher(nn.Flatten(), CLASSES, 16)
