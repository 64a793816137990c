"""The networks: shapes, ranges, and normalisation inside."""

import pytest
import torch

from dfsbir_lite import zoo
from dfsbir_lite.models import Encoders, Estimator, Normalise, SmallResNet
from dfsbir_lite.runtime import UserError


@pytest.fixture
def encoders():
    torch.manual_seed(0)
    return Encoders((4, 8), embed_dim=6, classes=3, scale=10).eval()


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_estimators_paint_images_in_0_1(size, channels):
    images = Estimator(size, channels, noise_dim=5, width=8)(torch.randn(4, 5) * 10)
    assert images.shape == (4, 3, size, size) and images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1
    grey = torch.equal(images[:, 0], images[:, 1]) and torch.equal(images[:, 0], images[:, 2])
    assert grey == (channels == 1)


def test_sketches_start_white_and_photos_do_not():
    torch.manual_seed(0)
    noise = torch.randn(8, 5)
    assert Estimator(32, 1, 5, 8)(noise).mean() > 0.9
    assert 0.4 < Estimator(32, 3, 5, 8)(noise).mean() < 0.6


def test_different_noise_gives_different_images():
    images = Estimator(16, 3, 5, 8)(torch.randn(4, 5))
    assert len({image.detach().numpy().tobytes() for image in images}) == 4


def test_normalise_maps_0_1_around_zero():
    # (0 - 0.5) / 0.25, (0.5 - 0.5) / 0.25, (1 - 0.5) / 0.25
    assert Normalise()(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-2, 0, 2]


def test_normalisation_is_inside_the_network():
    network = SmallResNet((4, 8), 3).eval()
    images, seen = torch.rand(2, 3, 16, 16), []
    network.stem.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    network(images)
    torch.testing.assert_close(seen[0], 4 * images - 2)


def test_small_resnet():
    network = SmallResNet((4, 8, 12), 5).eval()
    images = torch.rand(2, 3, 32, 32)
    assert network.features(images).shape == (2, 12)
    torch.testing.assert_close(network(images), network.fc(network.features(images)))
    assert network.stages(torch.rand(1, 4, 16, 16)).shape == (1, 12, 4, 4)


def test_embeddings_have_unit_length_and_belong_to_a_modality(encoders):
    images = torch.rand(5, 3, 16, 16)
    photo, sketch = encoders.embed(images, "photo"), encoders.embed(images, "sketch")
    assert photo.shape == (5, 6)
    torch.testing.assert_close(photo.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(sketch.norm(dim=1), torch.ones(5))
    raw = encoders.photo(images)
    torch.testing.assert_close(photo, raw / raw.norm(dim=1, keepdim=True))
    assert not torch.allclose(photo, sketch)
    with pytest.raises(KeyError):
        encoders.embed(images, "painting")


def test_class_logits_are_scaled_cosines_to_the_proxies(encoders):
    own = encoders.proxies[1] / encoders.proxies[1].norm()
    logits = encoders.class_logits(own[None])
    assert logits.shape == (1, 3)
    assert logits[0, 1].item() == pytest.approx(10, abs=1e-4) and logits.argmax() == 1


def test_the_zoo_knows_its_networks():
    with pytest.raises(UserError, match="no network 'cow': choose one of photo, sketch"):
        zoo.load_or_train("cow")
    with pytest.raises(UserError, match="no profile"):
        zoo.load_or_train("photo", "huge")
