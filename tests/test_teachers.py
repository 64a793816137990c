"""Teachers: one reading, frozen for good, saved and loaded without surprises."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from dfsbir_lite import losses
from dfsbir_lite.files import save_weights
from dfsbir_lite.pipeline import train_teacher
from dfsbir_lite.runtime import UserError
from dfsbir_lite.teachers import Teacher, Teachers, load_teacher, moments_of, save_teacher

CLASSES = ("ant", "bee", "cat")


@pytest.fixture
def teacher(make_teacher) -> Teacher:
    return make_teacher(CLASSES)


@pytest.fixture
def images():
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_features_are_what_the_head_reads(teacher, images):
    reading = teacher(images)
    head = teacher.network.fc
    torch.testing.assert_close(reading.logits, reading.features @ head.weight.T + head.bias)
    torch.testing.assert_close(reading.features, teacher.network.read(images)[1][-1].mean((2, 3)))
    assert teacher.proxies is head.weight and reading.moments == []


def test_maps_are_what_the_stages_put_out(teacher, images):
    seen = []
    for stage in teacher.network.stages:
        stage.register_forward_hook(lambda stage, x, y: seen.append(y))
    for _ in range(2):  # a second reading has maps of its own
        seen.clear()
        maps = teacher(images).maps
        assert len(maps) == len(seen) == 2
        assert all(mine is theirs for mine, theirs in zip(maps, seen, strict=True))
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    assert Teacher(plain, CLASSES, 16)(images).maps == []


def test_a_folded_teacher_says_the_same(teacher, images):
    wide = teacher.widened((*CLASSES, "dog"))
    folded, whole = wide.folded()(images), wide(images)
    torch.testing.assert_close(folded, whole, rtol=1e-4, atol=1e-5)
    assert wide.folded().taught.tolist() == [True, True, True, False]
    assert wide.folded().classes == wide.classes and wide.folded()(images, moments=True)[2] == []


def test_two_threads_read_with_one_teacher(make_teacher):
    """The first pass stops in its middle until the second one, in another thread, has ended."""
    teacher, inside, done = make_teacher(CLASSES), threading.Event(), threading.Event()
    one, other = torch.rand(2, 3, 16, 16), torch.rand(5, 3, 16, 16)
    expected = teacher(one, moments=True)

    def wait_once(layer, inputs):
        if threading.current_thread() is first:
            inside.set()
            assert done.wait(10)

    teacher.network.fc.register_forward_pre_hook(wait_once, prepend=True)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(threading.current_thread).result()
        reading = pool.submit(teacher, one, moments=True)
        assert inside.wait(10)
        assert len(teacher(other).features) == 5
        done.set()
        found = reading.result()
    torch.testing.assert_close(tuple(found), tuple(expected))


def test_a_teacher_within_a_teacher_reads_for_the_outer_one_alone(make_teacher, images):
    inner = make_teacher(CLASSES)
    outer = Teacher(nn.Sequential(nn.Identity(), inner.network), CLASSES, 16)
    torch.testing.assert_close(tuple(outer(images, True)), tuple(inner(images, True)))


def test_moving_teachers_leaves_the_callers_alone(make_teacher):
    given = Teachers(*(make_teacher(c) for c in (CLASSES, CLASSES, ("photo", "sketch"))))
    before = given.photo.network.stem.weight.stride()
    moved = given.to("cpu")
    assert moved.photo is not given.photo
    assert given.photo.network.stem.weight.stride() == before
    unified = Teachers(given.photo, given.photo, given.guidance).to("cpu")
    assert unified.photo is unified.sketch


def test_stays_in_eval_mode(teacher, images):
    holder = nn.ModuleList([teacher]).train()
    assert holder.training and not any(m.training for m in teacher.modules())
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    teacher.train()(images)
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


def test_gradients_reach_the_images_and_not_the_parameters(teacher, images):
    images.requires_grad_()
    reading = teacher(images, moments=True)
    (reading.logits.square().sum() + losses.batch_statistics(reading.moments)).backward()
    assert (images.grad.abs().sum((1, 2, 3)) > 0).all()
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())


def test_a_widened_teacher_has_no_opinion_on_what_it_was_not_taught(make_teacher, tmp_path):
    narrow = make_teacher(("cat", "ant"), 1)
    wide = narrow.widened(("ant", "bee", "cat"))
    images = torch.rand(4, 3, 16, 16)
    cat, ant = narrow(images).logits.T
    expected = torch.stack([ant, (ant + cat) / 2, cat], 1)
    torch.testing.assert_close(wide(images).logits, expected)
    assert wide.taught.tolist() == [True, False, True] and narrow.taught.all()
    assert narrow.classes == ("cat", "ant") and narrow(images).logits.shape == (4, 2)
    with pytest.raises(UserError, match="a widened teacher cannot be saved"):
        save_teacher(tmp_path / "wide.safetensors", wide, {})
    again = wide.only(["cat", "bee"])
    assert again.taught.tolist() == [True, False]
    torch.testing.assert_close(again(images).logits, expected[:, [2, 1]])


def test_a_teacher_is_not_widened_to_less(make_teacher):
    with pytest.raises(UserError, match="class 'bee' is not among ant, cat"):
        make_teacher(("ant", "bee")).widened(("ant", "cat"))


def test_teachers_must_fit_each_other(make_teacher, make_network, teacher):
    guidance = make_teacher(("photo", "sketch"))
    with pytest.raises(UserError, match="differ in cat, dog"):
        Teachers(teacher, make_teacher(("ant", "bee", "dog")), guidance)
    with pytest.raises(UserError, match="ordered differently"):
        Teachers(teacher, make_teacher(("bee", "ant", "cat")), guidance)
    with pytest.raises(UserError, match="guidance network"):
        Teachers(teacher, teacher, make_teacher(("sketch", "photo")))
    with pytest.raises(UserError, match="different sizes"):
        Teachers(teacher, Teacher(make_network(3, 0), CLASSES, 32), guidance)
    assert Teachers(teacher, teacher, guidance).classes == CLASSES


@pytest.fixture
def saved(teacher, tmp_path):
    path = tmp_path / "some" / "photo.safetensors"
    card = save_teacher(path, teacher, {"seed": 7})
    assert json.loads(path.with_suffix(".json").read_text()) == card
    return path


def test_a_saved_teacher_comes_back(teacher, saved, images):
    loaded = load_teacher(saved, CLASSES)
    assert loaded.classes == CLASSES and loaded.size == 16
    torch.testing.assert_close(loaded(images).logits, teacher(images).logits, atol=0.02, rtol=0.01)


def other_widths(path):
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**card, "widths": [4, 4]}))


SPOILT = {
    lambda path: path.unlink(): r"photo\.safetensors: no such file",
    lambda path: path.with_suffix(".json").unlink(): r"photo\.json: no such file",
    other_widths: r"photo\.safetensors: ",
    lambda path: save_weights(path, {"x": torch.zeros(1)}, {}): r"photo\.json: no network",
}


@pytest.mark.parametrize("spoil, message", SPOILT.items())
def test_a_file_that_is_not_a_saved_teacher(saved, spoil, message):
    spoil(saved)
    with pytest.raises(UserError, match=message):
        load_teacher(saved)


def test_a_saved_teacher_of_other_classes(saved):
    with pytest.raises(UserError, match=r"photo\.safetensors: trained on ant, bee, cat"):
        load_teacher(saved, ("ant", "bee", "dog"))


def test_other_peoples_networks_are_not_saved(tmp_path):
    plain = Teacher(nn.Sequential(nn.Flatten(), nn.Linear(768, 3)), CLASSES, 16)
    with pytest.raises(UserError, match="SmallResNet"):
        save_teacher(tmp_path / "x.safetensors", plain, {})


@pytest.fixture
def colours():
    """Noisy images of one colour each, uint8 (45, 3, 16, 16), and their class."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(45) % 3
    images = torch.randint(0, 80, (45, 3, 16, 16), generator=draw)
    images[torch.arange(45), labels] += 150
    return images.byte(), labels


def train(colours, tiny, **options):
    return train_teacher(*colours, ("red", "green", "blue"), tiny, batch=16, lr=0.02, **options)


def test_training_learns_what_is_trivial(colours, tiny):
    teacher = train(colours, tiny, epochs=30)
    found = teacher.posteriors(colours[0].float() / 255).argmax(1)
    assert torch.equal(found, colours[1])
    assert teacher.classes == ("red", "green", "blue") and teacher.size == tiny.size
    assert not teacher.network.training


def test_training_depends_on_the_seed_alone(colours, tiny):
    first, second, other = (
        train(colours, tiny, epochs=1, seed=seed).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(v, second[k]) for k, v in first.items())
    assert not torch.equal(first["network.fc.weight"], other["network.fc.weight"])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype, near", [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_moments_and_their_gradient_are_those_of_var_mean(layout, dtype, near):
    draw = torch.Generator().manual_seed(0)
    maps = torch.randn(6, 5, 4, 3, generator=draw).to(dtype).contiguous(memory_format=layout)
    weights = torch.randn(2, 5, generator=draw)
    mine, theirs = (maps.clone().requires_grad_() for _ in range(2))
    mean, var = moments_of(mine)
    expected = torch.var_mean(theirs.float(), dim=(0, 2, 3), unbiased=False)
    torch.testing.assert_close((var, mean), expected)
    for moments in ((mean, var), expected[::-1]):
        sum((w * moment).sum() for w, moment in zip(weights, moments)).backward()
    assert mine.grad.dtype == dtype
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=near, atol=near / 100)
