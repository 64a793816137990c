"""The networks: shapes, ranges, and normalisation inside."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from dfsbir_lite import zoo
from dfsbir_lite.data import toybox_set
from dfsbir_lite.models import (
    Encoders,
    Estimator,
    Normalise,
    SceneEstimator,
    SmallResNet,
    expected_proxy,
)
from dfsbir_lite.recipes import recipe
from dfsbir_lite.retrieval import evaluate
from dfsbir_lite.runtime import UserError, profile
from dfsbir_lite.synthesis import synthesize


@pytest.fixture
def encoders():
    torch.manual_seed(0)
    return Encoders((8, 16), embed_dim=6, classes=3).eval()


@pytest.mark.parametrize("size, cells", [(16, 2), (32, 4), (64, 8), (72, 9), (96, 6), (224, 7)])
@pytest.mark.parametrize("channels", [1, 3])
def test_estimators_paint_images_in_0_1(size, cells, channels):
    estimator = Estimator(size, channels, noise_dim=5, width=8)
    images = estimator(torch.randn(2, 5) * 10)
    assert estimator.base == cells
    assert images.shape == (2, 3, size, size) and images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1
    grey = torch.equal(images[:, 0], images[:, 1]) and torch.equal(images[:, 0], images[:, 2])
    assert grey == (channels == 1)


def test_sketches_start_almost_white_and_photos_do_not():
    torch.manual_seed(0)
    noise = torch.randn(16, 128)
    sketches, photos = (Estimator(32, channels, 128, 64)(noise) for channels in (1, 3))
    assert sketches.mean() > 0.88 and sketches.mean((1, 2, 3)).min() > 0.75
    assert 0.4 < photos.mean() < 0.6
    torch.manual_seed(0)
    photos, sketches = SceneEstimator(32, 128, 64)(torch.randn(16, 128))
    assert sketches.mean() > 0.8 and 0.4 < photos.mean() < 0.6


def shut(estimator, mask):
    """`estimator` with empty layers, all `mask`: -1 lets the background through, 1 hides it."""
    channels = estimator.tint.out_features // (estimator.objects + 1)
    nn.init.zeros_(estimator.to_layers.weight)
    bias = estimator.to_layers.bias.data.zero_().view(estimator.objects, channels + 1, 4)
    bias[:, -1] = 50.0 * mask
    return estimator


def test_the_background_is_white_paper_or_of_any_colour():
    torch.manual_seed(0)
    noise = torch.randn(6, 5)
    sketch, photo = (shut(Estimator(32, channels, 5, 8), -1) for channels in (1, 3))
    # paper: each sketch of one grey, logit 3 and a tint that is linear in the noise
    grey = torch.sigmoid(noise @ sketch.tint.weight[0] + sketch.tint.bias[0] + 3)
    torch.testing.assert_close(sketch(noise), grey.view(6, 1, 1, 1).expand(-1, 3, 32, 32))
    images = photo(noise)
    assert len({image.detach().numpy().tobytes() for image in images}) == 6  # noise decides
    assert (images.amax(1) - images.amin(1)).mean() > 0.05  # coloured
    across = images.diff(dim=3).abs().amax((1, 2, 3))
    assert (across > 0).all() and across.max() < 0.1  # smooth, not plain


def test_the_last_layer_lies_on_top():
    torch.manual_seed(0)
    noise, photo = torch.randn(6, 5), shut(Estimator(16, 3, 5, 8, objects=2), 1)
    top = torch.sigmoid(photo.tint(noise)[:, -3:])  # nothing of what lies behind it is left
    torch.testing.assert_close(photo(noise), top[:, :, None, None].expand(-1, -1, 16, 16))


@pytest.mark.parametrize("size", [16, 32, 64, 72])
def test_a_scene_is_painted_and_drawn(size):
    torch.manual_seed(0)
    photos, sketches = SceneEstimator(size, noise_dim=5, width=8)(torch.randn(4, 5) * 10)
    for images in (photos, sketches):
        assert images.shape == (4, 3, size, size) and images.dtype == torch.float32
        assert images.min() >= 0 and images.max() <= 1
    assert torch.equal(sketches[:, 0], sketches[:, 2])  # grey
    assert not torch.equal(photos[:, 0], photos[:, 2])


@pytest.fixture
def scene():
    """A scene of two things, whose lines are all as dark as can be."""
    torch.manual_seed(0)
    estimator = SceneEstimator(16, 5, 8, objects=2)
    nn.init.zeros_(estimator.ink.weight)
    nn.init.constant_(estimator.ink.bias, 50.0)
    return estimator


def test_a_sketch_is_the_outline_of_what_the_photo_shows(scene):
    noise = torch.randn(1, 5)
    left, nothing = torch.zeros(2, 1, 1, 16, 16)
    left[..., :8] = 1.0
    # 1 2 1 over an edge of 1 and 0 is 3/4 and 1/4: lines of 4 · 3/4 · 1/4, as dark as .9 of it
    expected = torch.full((16,), 0.97)
    expected[7:9] -= 0.9 * 0.75
    for masks in ([left, nothing], [nothing, left]):
        sketch = scene._drawn(noise, masks)
        torch.testing.assert_close(sketch, expected.expand(1, 3, 16, 16))
    # what lies in front hides the line, and so it does the colour
    everything = torch.ones(1, 1, 16, 16)
    sketch = scene._drawn(noise, [left, everything])
    torch.testing.assert_close(sketch, torch.full((1, 3, 16, 16), 0.97))


def test_photo_and_sketch_share_their_shapes(scene):
    """With masks that cover all, a photo is its last colour, and the paper stays empty."""
    noise = torch.randn(6, 5)
    for layer, bias in ((scene.to_masks, 50.0), (scene.to_colours, 0.0)):
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, bias)
    photos, sketches = scene(noise)
    top = torch.sigmoid(scene.tint(noise)[:, -3:])
    torch.testing.assert_close(photos, top[:, :, None, None].expand(-1, -1, 16, 16))
    torch.testing.assert_close(sketches, torch.full((6, 3, 16, 16), 0.97))


def test_normalise_maps_0_1_around_zero():
    # (0 - 0.5) / 0.25, (0.5 - 0.5) / 0.25, (1 - 0.5) / 0.25
    images = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    assert Normalise()(images).flatten().tolist() == [-2, 0, 2]
    each = Normalise((0.0, 0.5, 0.5), (1.0, 0.5, 0.25))  # a mean and a spread for each channel
    assert each(images).flatten().tolist() == [0, 0, 2]
    assert not each.state_dict()  # saved weights do not depend on it


def test_a_resnet_of_two_blocks_is_resnet_18():
    """The same layers in the same order as torchvision's; only their names differ."""
    ours = SmallResNet((64, 128, 256, 512), 10, blocks=2, stride=4).eval()
    theirs = resnet18(num_classes=10).eval()
    weights = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    assert all(ours.state_dict()[k].shape == v.shape for k, v in weights.items())
    ours.load_state_dict(weights)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        outputs, maps = ours.read(images)
        torch.testing.assert_close(outputs, theirs(ours.normalise(images)), atol=1e-4, rtol=1e-4)
    assert [m.shape[1:] for m in maps] == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]


def test_squeezing_loses_nothing_of_kernels_that_are_sums_of_few_columns_times_rows():
    network = SmallResNet((8, 16), 5)
    for conv in network.stages.modules():
        if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3):
            outputs, inputs = conv.weight.shape[:2]
            columns, rows = (
                torch.randn(inputs, 3, outputs // 4),
                torch.randn(outputs // 4, outputs, 3),
            )
            conv.weight.data = torch.einsum("ikf,fow->oikw", columns, rows) / 9
    images, small = torch.rand(3, 3, 32, 32), network.squeezed(4).eval()
    theirs = network.eval()(images)
    torch.testing.assert_close(small(images), theirs, rtol=1e-3, atol=1e-3 * theirs.std().item())
    assert small.geometry == {**network.geometry, "squeeze": 4}
    assert small.stages[1].conv1[0].weight.shape == (4, 8, 3, 1)


def test_a_squeezed_kernel_is_the_nearest_one_of_its_rank():
    network = SmallResNet((8,), 5)
    kernel = network.stages[0].conv2.weight.data
    column, row = (layer.weight.data for layer in network.squeezed(4).stages[0].conv2)
    near = torch.einsum("fikx,ofyw->oikw", column, row)
    matrix = kernel.permute(1, 2, 0, 3).reshape(24, 24).numpy()
    lost = np.linalg.svd(matrix, compute_uv=False)[2:]  # the singular values left out
    assert (kernel - near).norm().item() == pytest.approx(np.linalg.norm(lost), rel=1e-4)


@pytest.mark.parametrize("shape", [{}, {"blocks": 2, "stride": 4}, {"squeeze": 4}])
def test_a_folded_network_reads_the_same_without_batch_norms(shape):
    network = SmallResNet((8, 16), 5, **shape)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):  # as training leaves them
            for values in (layer.weight, layer.running_var):
                nn.init.uniform_(values, 0.5, 2)
            for values in (layer.bias, layer.running_mean):
                nn.init.uniform_(values, -1, 1)
    images, folded = torch.rand(3, 3, 32, 32), network.eval().folded()
    before = images.clone()
    (mine, my_maps), (theirs, their_maps) = folded.read(images), network.read(images)
    assert torch.equal(images, before)
    torch.testing.assert_close([mine, *my_maps], [theirs, *their_maps], rtol=1e-4, atol=1e-4)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    assert not any(p.requires_grad for p in folded.parameters())


def test_embeddings_have_unit_length_and_belong_to_a_modality(encoders):
    images = torch.rand(5, 3, 16, 16)
    photo, sketch = encoders.embed(images, "photo"), encoders.embed(images, "sketch")
    assert photo.shape == (5, 6)
    torch.testing.assert_close(photo.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(sketch.norm(dim=1), torch.ones(5))
    assert not torch.allclose(photo, sketch)
    with pytest.raises(KeyError):
        encoders.embed(images, "painting")


def test_class_logits_are_inner_products_with_the_proxies(encoders):
    images = torch.rand(5, 3, 16, 16)
    for modality, network in (("photo", encoders.photo), ("sketch", encoders.sketch)):
        logits = encoders.class_logits(images, modality)
        expected = torch.einsum("ne,ce->nc", network(images), encoders.proxies)
        torch.testing.assert_close(logits, expected)
        embeddings = expected_proxy(logits, encoders.proxies, encoders.temperature)
        torch.testing.assert_close(encoders.embed(images, modality), embeddings)


def test_proxies_start_orthogonal(encoders):
    torch.testing.assert_close(encoders.proxies @ encoders.proxies.T, torch.eye(3))


def test_expected_proxy():
    proxies = torch.tensor([[4.0, 0], [0, 4], [0, 0]])
    # softmax(ln 6, ln 3, 0) = (6, 3, 1) / 10; the sum of shares times proxies is (2.4, 1.2),
    # less (4, 4) / 3, that is (16, -2) / 15
    logits = 2.5 * torch.tensor([[6.0, 3, 1]]).log()
    expected = torch.tensor([[8, -1]]) / 65**0.5
    torch.testing.assert_close(expected_proxy(logits, proxies, 2.5), expected)
    moved = expected_proxy(logits + 7, proxies, 2.5)
    torch.testing.assert_close(moved, expected)  # no constant counts


def test_the_zoo_knows_its_networks():
    with pytest.raises(UserError, match="no network 'cow': choose one of photo, sketch"):
        zoo.load_or_train("cow")
    with pytest.raises(UserError, match="no profile"):
        zoo.load_or_train("photo", "huge")


def test_the_student_of_real_data_ships_and_says_what_it_saw():
    student, card = zoo.load_or_train("real_student"), zoo.card("real_student")
    assert student.proxies.shape == (12, 64) and not student.proxies.requires_grad
    assert "12000 labelled images" in card["data"] and card["steps"] == 3600
    pair = [toybox_set(m, "val", profile("laptop"), per_class=10) for m in ("photo", "sketch")]
    measured = evaluate(student.embed, *pair).map_all
    assert measured == pytest.approx(card["seen"]["map_all"], abs=0.1)


def test_the_scenes_that_ship_are_what_their_card_says():
    scenes, card = zoo.load_or_train("scenes"), zoo.card("scenes")
    loop = synthesize(zoo.load_teachers(), recipe("kit"), seed=5)
    noise = loop.noise(256)
    for judge, told in (("photo", "seen_by_teacher"), ("unified", "seen_by_unified_teacher")):
        guesses = zoo.load_or_train(judge).posteriors(scenes(noise)[0]).argmax(1)
        seen = (guesses == loop.wanted(noise)).float().mean().item()
        assert seen == pytest.approx(card[told]["photo"], abs=0.06) and seen > 0.8


def test_scenes_are_built_and_scored_by_two_judges(monkeypatch, teachers, tiny, tmp_path):
    monkeypatch.setattr(zoo, "load_teachers", lambda *given: teachers)
    monkeypatch.setattr(zoo, "load_or_train", lambda *given: teachers.sketch)
    monkeypatch.setattr(zoo, "SCENE_STEPS", 2)
    card = zoo.build("scenes", tiny, tmp_path / "scenes.safetensors")
    assert card["seen_by_teacher"]["sketch"] == card["seen_by_unified_teacher"]["sketch"] <= 1


def test_a_free_embedding_is_a_point_of_its_own_and_scores_are_cosines():
    encoders = Encoders((8, 16), embed_dim=6, classes=3, temperature=None).eval()
    encoders.proxies.data *= 5  # lengths do not matter
    read = encoders(torch.rand(4, 3, 16, 16), "sketch")
    features = read.maps[-1].mean((2, 3))
    torch.testing.assert_close(read.answers, encoders.sketch.fc(features))
    torch.testing.assert_close(read.embeddings.norm(dim=1), torch.ones(4))
    points = encoders.heads["sketch"](features)
    cosines = torch.cosine_similarity(points[:, None], encoders.proxies[None], dim=2)
    torch.testing.assert_close(read.scores, 8 * cosines)
