"""Image sets: from ToyBox, and from folders that people really have."""

import numpy as np
import pytest
import torch
from PIL import Image

from dfsbir_lite import toybox
from dfsbir_lite.data import (
    ImageSet,
    folder_set,
    read_image,
    save_folders,
    together,
    toybox_picture,
    toybox_set,
)
from dfsbir_lite.runtime import UserError, profile

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def save(tmp_path):
    """`save(image, name)` writes a Pillow image or plain bytes and gives the path."""

    def write(content, name="x.png", **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path, **options)
        return path

    return write


def colour(pixels, x=0.5, y=0.5):
    """The colour of (3, size, size) at a place in 0..1."""
    size = pixels.shape[1]
    return tuple(int(v) for v in pixels[:, int(y * size), int(x * size)])


def halves(left, right, size=(20, 20)):
    image = Image.new("RGB", size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


# --- one image --------------------------------------------------------------------------------


def test_an_image_becomes_rgb_bytes_of_any_size(save):
    for size in (8, 20, 50):
        pixels = read_image(save(halves(RED, BLUE)), size)
        assert pixels.shape == (3, size, size) and pixels.dtype == np.uint8
        assert colour(pixels, 0.1) == RED and colour(pixels, 0.9) == BLUE


@pytest.mark.parametrize("wide", [True, False])
def test_the_middle_of_a_long_image_is_kept(save, wide):
    image = Image.new("RGB", (60, 20), RED)
    image.paste(GREEN, (20, 0, 40, 20))
    image.paste(BLUE, (40, 0, 60, 20))
    image = image if wide else image.transpose(Image.Transpose.ROTATE_90)
    assert (read_image(save(image), 20) == np.array(GREEN)[:, None, None]).all()


@pytest.mark.parametrize(
    "image, expected",
    [
        (Image.new("L", (9, 9), 100), (100, 100, 100)),
        (Image.new("1", (9, 9), 1), WHITE),
        (Image.new("RGBA", (9, 9), (255, 0, 0, 0)), WHITE),
        (Image.new("RGBA", (9, 9), (255, 0, 0, 255)), RED),
        (Image.new("RGBA", (9, 9), (0, 0, 0, 51)), (204, 204, 204)),  # 255 * (1 - 51 / 255)
        (Image.new("LA", (9, 9), (0, 0)), WHITE),
        (halves(BLUE, BLUE).convert("P", palette=Image.Palette.ADAPTIVE), BLUE),
        (Image.fromarray(np.full((9, 9), 100 * 257, np.uint16)), (100, 100, 100)),
    ],
    ids=lambda x: getattr(x, "mode", ""),
)
def test_kinds_of_png(save, image, expected):
    assert colour(read_image(save(image), 9)) == expected


def test_a_transparent_palette_colour_becomes_white_paper(save):
    image = Image.new("P", (9, 9), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert colour(read_image(save(image), 9)) == RED
    for name in ("x.png", "x.gif"):
        assert colour(read_image(save(image, name, transparency=1), 9)) == WHITE


def test_cmyk_photos(save):
    path = save(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "x.jpg", quality=95)
    assert colour(read_image(path, 16)) == pytest.approx(RED, abs=4)


def test_images_that_cannot_be_read(save, monkeypatch):
    bad = {
        save(b"this is no picture", "garbage.jpg"): "not an image",
        save(b"", "folder.png/x").parent: "cannot be read",
        save(Image.new("F", (9, 9)), "float.tif"): "cannot be read .*floating-point",
    }
    for path, reason in bad.items():
        with pytest.raises(UserError, match=rf"{path.name}: {reason}"):
            read_image(path, 8)
    bomb = save(Image.new("L", (30, 30)), "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UserError, match=r"bomb\.png: cannot be read"):
        read_image(bomb, 8)


# --- folders ----------------------------------------------------------------------------------


def test_a_folder_of_classes(save, tmp_path):
    save(Image.new("RGB", (9, 9), BLUE), "root/sea/b.png")
    save(Image.new("RGB", (9, 9), RED), "root/rose/2.JPEG", quality=95)
    save(Image.new("RGB", (9, 9), GREEN), "root/rose/1.png")
    data = folder_set(tmp_path / "root", 8, "photo")
    assert data.classes == ("rose", "sea") and data.modality == "photo" and len(data) == 3
    assert data.labels.tolist() == [0, 0, 1] and data.labels.dtype == torch.int64
    assert data.images.shape == (3, 3, 8, 8) and data.images.dtype == torch.uint8
    centres = data.images[:, :, 4, 4].tolist()
    assert centres[0] == list(GREEN) and centres[2] == list(BLUE)
    assert centres[1] == pytest.approx(RED, abs=4)


def test_folders_that_are_not_as_expected(save, tmp_path):
    root = tmp_path / "root"
    with pytest.raises(UserError, match="root: no such folder"):
        folder_set(root, 8, "photo")
    save(Image.new("L", (9, 9)), "root/ant/x.png")
    with pytest.raises(UserError, match="root: needs at least two class folders, found 1"):
        folder_set(root, 8, "photo")
    save(b"hello", "root/bee/readme.txt")
    with pytest.raises(UserError, match=r"bee: holds no images"):
        folder_set(root, 8, "photo")


# --- ToyBox, and parts of sets ----------------------------------------------------------------


def test_toybox_sets_have_the_profiles_sizes(tiny):
    data = toybox_set("sketch", "train", tiny)
    assert data.images.shape == (12 * tiny.train_per_class, 3, 16, 16)
    assert data.classes == toybox.SEEN and data.modality == "sketch"
    assert data.labels.bincount().tolist() == [tiny.train_per_class] * 12
    assert len(toybox_set("photo", "test", tiny, toybox.UNSEEN)) == 4 * tiny.test_per_class
    few = toybox_set("photo", "val", tiny, ("car", "bus"), per_class=2)
    images, labels = toybox.render("photo", "val", classes=("car", "bus"), per_class=2, size=16)
    assert np.array_equal(few.images, images) and few.labels.tolist() == labels.tolist()


@pytest.fixture
def numbered():
    """Six images whose pixels are their number, of classes ant, bee, cat."""
    images = torch.arange(6).byte().view(6, 1, 1, 1).expand(6, 3, 2, 2)
    return ImageSet(images, torch.tensor([0, 1, 2, 2, 1, 0]), ("ant", "bee", "cat"), "photo")


def test_only_some_classes(numbered):
    part = numbered.only(("cat", "ant"))
    assert part.classes == ("cat", "ant") and part.modality == "photo"
    assert part.images[:, 0, 0, 0].tolist() == [0, 2, 3, 5]
    assert part.labels.tolist() == [1, 0, 0, 1]
    with pytest.raises(UserError, match="no class 'dog': there are ant, bee, cat"):
        numbered.only(("ant", "dog"))


def test_together(numbered):
    sketches = ImageSet(numbered.images[:2] + 100, torch.tensor([2, 0]), numbered.classes, "sketch")
    both = together(numbered, sketches)
    assert both.classes == numbered.classes and both.modality == "both"
    assert both.labels.tolist() == [0, 1, 2, 2, 1, 0, 2, 0]
    assert both.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 100, 101]
    merged = together(numbered, sketches, by_modality=True)
    assert merged.classes == ("photo", "sketch")
    assert merged.labels.tolist() == [0] * 6 + [1] * 2
    assert torch.equal(merged.images, both.images)


def test_a_picture_of_toybox_is_found_again_by_its_row():
    """At the set's own size it is the set's picture; larger, the same one with more pixels."""
    classes, sizes = ("key", "boat", "fork"), profile("laptop")
    images = toybox_set("photo", "test", sizes, classes, 4).images
    for row in (0, 6, 11):
        again = toybox_picture(row, "photo", "test", classes, 4, size=32)
        assert torch.equal(again, images[row])
    assert toybox_picture(6, "photo", "test", classes, 4).shape == (3, 96, 96)


def test_saved_folders_hold_the_images_as_they_were(tmp_path):
    pixels = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8)
    made = ImageSet(pixels, torch.tensor([0, 1, 1, 0, 1]), ("ant", "hot dog"), "photo")
    save_folders(made, tmp_path)
    again = folder_set(tmp_path, 8, "photo")
    assert again.classes == made.classes and again.labels.tolist() == [0, 0, 1, 1, 1]
    assert torch.equal(again.images, pixels[[0, 3, 1, 2, 4]])
