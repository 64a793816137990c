"""Teachers that people bring: read safely, refused with a reason, matched by name."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

from dfsbir_lite import adopt
from dfsbir_lite.data import toybox_set
from dfsbir_lite.files import read_card, write_json
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import UserError, profile
from dfsbir_lite.students import distill, new_encoders
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


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def test_nothing_in_a_weights_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"fc.weight": Bomb()}, "bomb.pth")
    with pytest.raises(UserError, match=r"bomb\.pth: not weights alone"):
        adopt.adopt("resnet18", "bomb.pth", CLASSES, 32, "photo.safetensors")
    assert not Path("executed").exists() and not Path("photo.safetensors").exists()


def test_architectures_that_cannot_be_adopted():
    with pytest.raises(UserError, match="no classifier 'resnet19'; perhaps resnet1"):
        adopt.torchvision_teacher("resnet19", CLASSES, 32)
    with pytest.raises(UserError, match="does not say how a inception_v3 reads"):
        adopt.torchvision_teacher("inception_v3", CLASSES, 299)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"mean": None}, "no network can be built from it"),
        ({"architecture": "resnet19"}, "torchvision has no classifier 'resnet19'"),
        ({"classes": ["ant"]}, r"size mismatch for 1\.fc\.weight"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(weights, tmp_path, changes, reason):
    path = tmp_path / "photo.safetensors"
    adopt.adopt("resnet18", weights, CLASSES, 32, path)
    write_json(tmp_path / "photo.json", {**read_card(path), **changes})
    with pytest.raises(UserError, match=rf"photo\.\w+: .*{reason}"):
        adopt.load(path)


def test_a_pair_without_a_guidance_network_gets_the_shipped_one(weights, make_teacher, tmp_path):
    for name in ("photo", "sketch"):
        adopt.adopt("resnet18", weights, CLASSES, 64, tmp_path / f"{name}.safetensors")
    pair = adopt.load_pair(tmp_path)
    assert pair.teachers.classes == CLASSES and pair.alone == ()
    assert "both teachers know: 3" in pair.report
    for n, modality in enumerate(("photo", "sketch")):
        images = toybox_set(modality, "test", profile("gpu"), per_class=2).images / 255.0
        seen = pair.teachers.guidance.posteriors(images).argmax(1)
        assert (seen == n).float().mean() > 0.9
    save_teacher(tmp_path / "modality.safetensors", make_teacher(("photo", "sketch")), {})
    theirs = adopt.load_pair(tmp_path, size=16).teachers  # all three are for 16 px now
    assert theirs.guidance.network.geometry == make_teacher(("a", "b")).network.geometry
    images = torch.rand(2, 3, 16, 16)
    larger = F.interpolate(images, (64, 64), mode="bilinear", antialias=True)
    torch.testing.assert_close(theirs.photo(images).logits, pair.teachers.photo(larger).logits)


# --- two label lists --------------------------------------------------------------------------


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
    report = adopt.report(photo, sketch, both)
    assert "both teachers know: 2 (ant, Hot air balloon)" in report
    assert "the photo teacher alone knows: 2 (cat, dog)" in report
    assert "the sketch teacher alone knows: 1 (eel)" in report and "batch-norm" not in report


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
    """And one whose stages are no ResNet's gives no hints: the other does; all terms are there."""
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    plain = Teacher(nn.Sequential(*layers), CLASSES, 16)
    sketch = make_teacher(CLASSES)
    both = adopt.match(plain, sketch, make_teacher(("photo", "sketch")))
    assert "photo teacher has no batch-norm layers: the term bn is off" in adopt.report(
        plain, sketch, both
    )
    settings = recipe("kit", batch=8, noise_dim=8, adv_after=0)
    *_, step = distill(both, settings, new_encoders(tiny, 3), steps=2, width=8)
    assert {"match", "one_hot", "bn", "adv", "hint"} <= step.terms.keys()
    assert all(term.isfinite() for term in step.terms.values())
    assert not plain(torch.rand(2, 3, 16, 16), moments=True).moments


@pytest.mark.slow
def test_the_papers_sizes_distil():
    """Ten steps each at 224 px, with ResNet-18 teachers as torchvision has them; few images."""
    sizes, classes = profile("paper"), ("ant", "bee", "cat")
    mine = [adopt.torchvision_teacher("resnet18", classes, 224) for _ in range(2)]
    teachers = adopt.match(*mine, adopt.shipped_guidance(224))
    few = {"batch": 2, "replay": 2, "encoder_steps": 1}
    settings = recipe("kit", adv_after=2, refresh_every=5, catch_up=1, **few)
    options = {"steps": 10, "width": sizes.estimator_width, "seed": 0}
    for step in distill(teachers, settings, new_encoders(sizes, 3), **options):
        assert all(term.isfinite() for term in step.terms.values())
    assert {"hint", "match", "adv", "modal", "bn"} <= step.terms.keys()
    assert step.made.photos.shape == step.made.sketches.shape == (2, 3, 224, 224)
    assert step.encoders.embed(step.made.photos, "photo").shape == (2, 512)
