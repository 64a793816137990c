"""Teachers that people bring: read safely, told what is wrong with them, matched by name."""

import pickle
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

from dfsbir_lite import adopt
from dfsbir_lite.data import class_key, toybox_set
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import UserError, profile
from dfsbir_lite.students import distill, new_encoders
from dfsbir_lite.synthesis import synthesize
from dfsbir_lite.teachers import Teacher, save_teacher

CLASSES = ("ant", "bee", "cat")


def network(outputs: int = 3, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return resnet18(num_classes=outputs).eval()


@pytest.fixture
def weights(tmp_path) -> Path:
    """A checkpoint as many training scripts write them: wrapped, from several GPUs."""
    path = tmp_path / "mine.pth"
    state = {f"module.{k}": v for k, v in network().state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, path)
    return path


# --- torchvision classifiers ------------------------------------------------------------------


def test_an_adopted_classifier_answers_as_it_did(weights, tmp_path):
    adopt.adopt("resnet18", weights, CLASSES, 32, tmp_path / "photo.safetensors")
    teacher = adopt.load(tmp_path / "photo.safetensors")
    assert teacher.classes == CLASSES and teacher.size == 32
    images = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(adopt.IMAGENET[k]).view(3, 1, 1) for k in ("mean", "std"))
    reading = teacher(images, moments=True)
    expected = network()((images - mean) / std)
    torch.testing.assert_close(reading.logits, expected, atol=2e-2, rtol=2e-2)  # half precision
    assert len(reading.moments) == 20 and [m.shape[1] for m in reading.maps] == [64, 128, 256, 512]


def test_an_imagenet_backbone_reads_the_weights_that_torchvision_keeps(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError, match=r"resnet18-.*no such file"):
        adopt.imagenet_backbone()
    path = adopt.imagenet_weights()
    path.parent.mkdir()
    torch.save(network(1000).state_dict(), path)
    images = torch.rand(2, 3, 32, 32)
    found = adopt.imagenet_backbone()(images, "sketch")
    body = nn.Sequential(*list(network(1000).children())[:-1], nn.Flatten())
    mean, std = (torch.tensor(adopt.IMAGENET[k]).view(3, 1, 1) for k in ("mean", "std"))
    large = F.interpolate(images, (224, 224), mode="bilinear")
    torch.testing.assert_close(found, body((large - mean) / std), atol=1e-3, rtol=1e-3)


def test_safetensors_are_read_too(tmp_path):
    save_file(network().state_dict(), tmp_path / "mine.safetensors")
    path = tmp_path / "photo.safetensors"
    assert (
        adopt.adopt("resnet18", tmp_path / "mine.safetensors", CLASSES, 32, path).classes == CLASSES
    )


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def test_nothing_in_a_weights_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bomb.pth").write_bytes(pickle.dumps({"fc.weight": Bomb()}))
    with pytest.raises(UserError, match=r"bomb\.pth: not weights alone"):
        adopt.adopt("resnet18", "bomb.pth", CLASSES, 32, "photo.safetensors")
    torch.save({"fc.weight": Bomb()}, "bomb.pth")
    with pytest.raises(UserError, match=r"bomb\.pth: not weights alone"):
        adopt.adopt("resnet18", "bomb.pth", CLASSES, 32, "photo.safetensors")
    assert not Path("executed").exists() and not Path("photo.safetensors").exists()


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def other_classes(path):
    torch.save(network(5).state_dict(), path)


def without_a_layer(path):
    state = network().state_dict()
    del state["fc.bias"]
    torch.save(state, path)


def with_another(path):
    torch.save({**network().state_dict(), "ema": torch.zeros(1)}, path)


DAMAGED = {
    cut: r"mine\.pth: not a readable weights file",
    Path.unlink: r"mine\.pth: no such file",
    other_classes: r"mine\.pth: fc\.\w+ is \(5.*needs \(3",
    without_a_layer: r"mine\.pth: not the weights of a resnet18: it lacks fc\.bias \(1 such\)",
    with_another: r"mine\.pth: not the weights of a resnet18: it has also ema",
    lambda path: torch.save([1, 2], path): r"mine\.pth: not a dict of tensors",
    lambda path: torch.save({"epoch": 3}, path): r"mine\.pth: not a dict of tensors",
}


@pytest.mark.parametrize("damage, told", DAMAGED.items())
def test_weights_that_are_not_those_of_the_architecture(weights, tmp_path, damage, told):
    damage(weights)
    with pytest.raises(UserError, match=told):
        adopt.adopt("resnet18", weights, CLASSES, 32, tmp_path / "photo.safetensors")
    assert not (tmp_path / "photo.safetensors").exists()


def test_an_architecture_that_torchvision_does_not_have():
    with pytest.raises(UserError, match="no classifier 'resnet19'; perhaps resnet1"):
        adopt.torchvision_teacher("resnet19", CLASSES, 32)


def test_a_size_or_an_architecture_that_cannot_be_adopted(tmp_path):
    with pytest.raises(UserError, match="a vit_b_16 cannot read images of 64 px"):
        adopt.adopt("vit_b_16", tmp_path / "a.pth", CLASSES, 64, tmp_path / "photo.safetensors")
    with pytest.raises(UserError, match="does not tell how a inception_v3 reads"):
        adopt.torchvision_teacher("inception_v3", CLASSES, 299)


@pytest.mark.parametrize("at", range(0, 60, 4))
def test_a_damaged_legacy_file_is_refused_whatever_torch_makes_of_it(tmp_path, at):
    path = tmp_path / "old.pth"
    torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    data = bytearray(path.read_bytes())
    data[at : at + 4] = b"\x85\x86\x52\x2e"  # opcodes of pickle, out of place
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"old\.pth: not"):
        adopt.adopt("resnet18", path, CLASSES, 32, tmp_path / "photo.safetensors")


def test_our_own_teachers_are_loaded_alike(make_teacher, tmp_path):
    save_teacher(tmp_path / "photo.safetensors", make_teacher(CLASSES), {})
    assert adopt.load(tmp_path / "photo.safetensors").classes == CLASSES
    with pytest.raises(UserError, match=r"nowhere\.safetensors: no such file"):
        adopt.load(tmp_path / "nowhere.safetensors")


def test_given_teachers_come_with_a_guidance_network_if_they_have_none(
    weights, make_teacher, tmp_path
):
    for name in ("photo", "sketch"):
        adopt.adopt("resnet18", weights, CLASSES, 64, tmp_path / f"{name}.safetensors")
    given = adopt.given(tmp_path)
    teachers = given.teachers
    assert teachers.classes == CLASSES and given.alone == ()
    assert "both teachers know: 3" in given.report
    made = {m: toybox_set(m, "test", profile("gpu"), per_class=2) for m in ("photo", "sketch")}
    for n, images in enumerate(made.values()):
        seen = teachers.guidance.posteriors(images.images / 255.0).argmax(1)
        assert (seen == n).float().mean() > 0.9
    save_teacher(tmp_path / "modality.safetensors", make_teacher(("photo", "sketch")), {})
    with pytest.raises(UserError, match="images of different sizes"):  # theirs is used then
        adopt.given(tmp_path)


# --- two label lists --------------------------------------------------------------------------


def test_names_that_mean_the_same():
    assert class_key(" Hot-Air_balloon") == class_key("hot air  Balloon") == "hot air balloon"
    assert class_key("cafe\u0301") == class_key("caf\u00e9") != class_key("cafe")


def test_teachers_are_narrowed_to_the_classes_that_both_know(make_teacher):
    photo = make_teacher(("ant", "Hot air balloon", "cat", "dog"), 1)
    sketch = make_teacher(("hot_air_balloon", "eel", "Ant"), 2)
    both = adopt.match(photo, sketch, make_teacher(("photo", "sketch")))
    assert both.classes == ("ant", "Hot air balloon")
    images = torch.rand(5, 3, 16, 16)
    torch.testing.assert_close(both.photo(images).logits, photo(images).logits[:, [0, 1]])
    torch.testing.assert_close(both.sketch(images).logits, sketch(images).logits[:, [2, 0]])
    torch.testing.assert_close(both.sketch.proxies, sketch.proxies[[2, 0]])
    assert photo(images).logits.shape == (5, 4)  # the given ones stay as they were
    assert len(both.photo(images, moments=True).moments) == len(photo(images, moments=True).moments)
    told = adopt.report(photo, sketch, both)
    assert "both teachers know: 2 (ant, Hot air balloon)" in told
    assert "the photo teacher alone knows: 2 (cat, dog)" in told
    assert "the sketch teacher alone knows: 1 (eel)" in told and "batch-norm" not in told


def test_names_that_a_teacher_has_twice_match_nothing(make_teacher):
    photo = make_teacher(("Cardigan", "ant", "cardigan", "bee"))
    sketch = make_teacher(("cardigan", "bee", "ant"))
    both = adopt.match(photo, sketch, make_teacher(("photo", "sketch")))
    assert both.classes == ("ant", "bee")
    assert "photo teacher alone knows: 2 (Cardigan, cardigan)" in adopt.report(photo, sketch, both)


def test_teachers_that_share_too_little(make_teacher):
    photo, sketch = make_teacher(("ant", "bee")), make_teacher(("cat", "bee"))
    with pytest.raises(UserError, match=r"share 1 classes: the photo teacher knows 2 \(ant, bee"):
        adopt.match(photo, sketch, make_teacher(("photo", "sketch")))


def test_a_teacher_without_batch_norm_teaches_with_that_term_off(make_teacher, tiny):
    """And one whose stages are no ResNet's gives no hints; all other terms are there."""
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    plain = Teacher(nn.Sequential(*layers), CLASSES, 16)
    sketch = make_teacher(CLASSES)
    both = adopt.match(plain, sketch, make_teacher(("photo", "sketch")))
    assert "photo teacher has no batch-norm layers: the term bn is off" in adopt.report(
        plain, sketch, both
    )
    settings = recipe("kit", batch=8, noise_dim=8, adv_after=0)
    loop = distill(both, settings, new_encoders(tiny, 3), steps=2, width=8)
    *_, step = loop
    assert {"match", "one_hot", "bn", "adv"} <= step.terms.keys() and "hint" not in step.terms
    assert all(term.isfinite() for term in step.terms.values())
    assert not plain(torch.rand(2, 3, 16, 16), moments=True).moments


@pytest.mark.slow
def test_the_papers_sizes_synthesise_and_distil():
    """Ten steps each at 224 px, with ResNet-18 teachers as torchvision has them; few images."""
    sizes, classes = profile("paper"), ("ant", "bee", "cat")
    mine = [adopt.torchvision_teacher("resnet18", classes, 224) for _ in range(2)]
    teachers = adopt.match(*mine, adopt.shipped_guidance(224))
    few = {"batch": 2, "replay": 2, "encoder_steps": 1}
    settings = recipe("kit", adv_after=2, refresh_every=5, catch_up=1, **few)
    options = {"width": sizes.estimator_width, "seed": 0}
    for made in islice(synthesize(teachers, settings, **options), 10):
        assert made.photos.shape == made.sketches.shape == (2, 3, 224, 224)
    before = new_encoders(sizes, 3)
    for step in distill(teachers, settings, new_encoders(sizes, 3), steps=10, **options):
        assert all(term.isfinite() for term in step.terms.values())
    assert {"hint", "match", "adv", "modal", "bn"} <= step.terms.keys()
    assert step.encoders.embed(made.photos, "photo").shape == (2, 512)
    assert not torch.equal(step.encoders.photo.fc.weight, before.photo.fc.weight)
