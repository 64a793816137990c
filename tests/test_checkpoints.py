"""Checkpoints: what people's files of weights look like, read without executing anything."""

import argparse
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torchvision.models import get_model

from dfsbir_lite import adopt
from dfsbir_lite.runtime import UserError

CLASSES, NAME = ("ant", "bee", "cat"), "shufflenet_v2_x0_5"


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return get_model(NAME, num_classes=3).eval()


@pytest.fixture
def take(tmp_path):
    """`take(content)`: the teacher that comes of a file with this content, of `name`."""

    def adopted(content, name=NAME, size=32):
        torch.save(content, tmp_path / "mine.pth")
        return adopt.adopt(name, tmp_path / "mine.pth", CLASSES, size, tmp_path / "a.safetensors")

    return adopted


def same(teacher, network, near=0.02):
    images = torch.rand(2, 3, teacher.size, teacher.size)
    expected = network(teacher.network[0](images))
    torch.testing.assert_close(teacher(images).logits, expected, atol=near, rtol=near)


def within(prefix, state):
    return {prefix + name: value for name, value in state.items()}


adam = {"state": {0: {"step": torch.ones(1), "exp_avg": torch.ones(2)}}, "param_groups": [{}]}
WRAPPED = {
    "data parallel": lambda s: {"state_dict": within("module.", s), "epoch": 3},
    "tutorial": lambda s: {"model_state_dict": s, "optimizer_state_dict": adam, "loss": 0.5},
    "net": lambda s: {"net": s, "epoch": 3, "acc": torch.tensor(0.9)},
    "compiled and parallel": lambda s: within("module._orig_mod.", s),
    "lightning": lambda s: {
        **{"state_dict": within("model.", s), "hyper_parameters": {"lr": 0.1, "sizes": [1]}},
        **{"callbacks": {"Best": {"score": torch.ones(())}}, "optimizer_states": [adam]},
    },
    "torchvision's script": lambda s: {"model": s, "optimizer": adam, "args": argparse.Namespace()},
    "scores of numpy": lambda s: {"state_dict": s, "best": np.float64(0.9), "n": np.int64(3)},
    "average alone": lambda s: {"state_dict_ema": s, "arch": "shufflenet"},
    "torch's average": lambda s: {"n_averaged": torch.tensor(5), **within("module.", s)},
    "loss with weights": lambda s: {"model": s, "criterion": {"weight": torch.ones(3)}},
    "deep": lambda s: {"state": {"net": within("backbone.", s)}},
    "half": lambda s: {k: v.half() for k, v in s.items()},
    "older than PyTorch 0.4.1": lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_the_one_network_in_a_checkpoint_is_found(wrap, take, network):
    same(take(wrap(network.state_dict())), network)


def test_wrappers_of_torch_itself_and_safetensors(take, network, tmp_path):
    whole = nn.DataParallel(AveragedModel(network)).state_dict()  # versions of layers beside it
    same(take(whole), network)
    same(take({k: v.bfloat16() for k, v in whole.items()}), network, near=0.2)
    save_file(within("model.", network.state_dict()), tmp_path / "b.safetensors")
    path = tmp_path / "a.safetensors"
    same(adopt.adopt(NAME, tmp_path / "b.safetensors", CLASSES, 32, path), network)


BAD = torch.ones(3, 1024).index_put_((torch.tensor(1), torch.tensor(7)), torch.tensor(np.nan))
REFUSED = {
    "two": (lambda s: {"model": s, "model_ema": s}, r"it holds 2 networks: model, model_ema"),
    "none": (lambda s: {"epoch": 3}, r"it holds 0 networks: epoch"),
    "whole": (lambda s: get_model(NAME), r"it holds a torchvision\.models\.shufflenetv2\.\w+\)"),
    "list": (lambda s: [1, 2], "not weights alone"),
    "head": (lambda s: s | {"fc.weight": BAD[2:]}, r"fc\.weight.*\[1, 1024\].*\[3, 1024\]"),
    "lacks": (
        lambda s: {k: v for k, v in s.items() if k != "fc.bias"},
        r'of this ShuffleNetV2: Missing key.* "fc\.bias".*another network: Teacher\(network',
    ),
    "odd": (lambda s: {**s, "ema": torch.zeros(1)}, r'Unexpected key.* "ema"'),
    "other": (lambda s: within("a.", s) | within("b.", s), r'"conv1\.0.*Unexpected key.*"a\.conv1'),
    "nan": (lambda s: s | {"fc.weight": BAD}, r"not all of fc\.weight is finite"),
    "inf": (lambda s: s | {"fc.bias": 1 / torch.zeros(3)}, r"not all of fc\.bias is finite"),
}


@pytest.mark.parametrize("change, reason", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_taken_is_named(change, reason, take, network, tmp_path):
    with pytest.raises(UserError, match=rf"mine\.pth: .*{reason}") as refusal:
        take(change(network.state_dict()))
    assert len(str(refusal.value)) < 700 and "\n" not in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.pth"]


# --- torchvision's own old files --------------------------------------------------------------


def test_mnasnets_are_taken_with_versions_and_without(take, tmp_path):
    """Without one torchvision refuses its own weights; of the first there is another stem."""
    mine = get_model("mnasnet0_5", num_classes=3).eval()
    state = mine.state_dict()
    same(take(state, "mnasnet0_5"), mine)
    same(take(dict(state), "mnasnet0_5"), mine)
    state._metadata[""]["version"] = 1
    with pytest.raises(UserError, match=r"mine\.pth: .*size mismatch for layers\.0"):
        take(state, "mnasnet0_5")


@pytest.mark.slow
def test_names_that_torchvision_has_changed(take):
    mine = get_model("densenet121", num_classes=3).eval()
    dots = r"(denselayer\d+\.(?:norm|conv))([12]\.)"
    old = {re.sub(dots, r"\1.\2", k): v for k, v in mine.state_dict().items() if "num_b" not in k}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    same(take(old, "densenet121"), mine)
    mine = get_model("vit_b_32", num_classes=3).eval()
    names = {"mlp.0.": "mlp.linear_1.", "mlp.3.": "mlp.linear_2."}
    state = mine.state_dict().items()
    old = {re.sub(r"mlp\.[03]\.", lambda found: names[found[0]], k): v for k, v in state}
    same(take(old, "vit_b_32", 224), mine)
