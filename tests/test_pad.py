"""Pad and search do what their labels say, without a browser: traits are set as one would."""

import json
from math import cos, pi

import pytest
import torch

from dfsbir_lite import retrieval, strokes, widgets, zoo
from dfsbir_lite.data import ImageSet, toybox_set
from dfsbir_lite.runtime import profile
from dfsbir_lite.widgets.occlusion import occlusion
from dfsbir_lite.widgets.pad import results_html

CLASSES = ("dark", "middle", "bright")


def by_brightness(images, modality):
    """A read-out that knows only how bright a picture is, as an angle."""
    angle = images.mean((1, 2, 3)) * torch.pi / 2
    return torch.stack([angle.cos(), angle.sin()], 1)


def upside_down(images, modality):
    return by_brightness(images if modality == "sketch" else 1 - images, modality)


@pytest.fixture
def search():
    """Three photos: black, middling grey and white. A sketch, mostly paper, is nearest to white."""
    shades = torch.tensor([0, 128, 255]).byte().view(3, 1, 1, 1).expand(3, 3, 32, 32)
    photos = ImageSet(shades, torch.arange(3), CLASSES, "photo")
    readouts = {"inverted": upside_down, "brightness": by_brightness}
    groups = {"all": CLASSES, "not bright": ("dark", "middle")}
    return widgets.DrawAndSearch(readouts, photos, groups=groups)


def test_it_starts_with_an_example_and_its_results(search):
    assert search.pad.strokes == strokes.EXAMPLES["mug"] and search.examples.value == "mug"
    assert search.encoder.value == "brightness"
    assert search.names() == ["bright", "middle", "dark"]
    assert search.found[0].tolist() == sorted(search.found[0].tolist(), reverse=True)
    assert torch.equal(search.sketch, strokes.render(strokes.EXAMPLES["mug"]))


def test_strokes_from_the_browser_are_searched_for(search):
    black = [{"points": [[0, y / 60], [1, y / 60]], "width": 0.1} for y in range(61)]
    search.pad.set_state({"strokes": json.loads(json.dumps(black))})
    assert search.examples.value == ""  # my own drawing
    # fitted, a square of .78 + a pen's .045 is ink, 60 of 255, and the rest is paper, 250:
    ink = (0.78 + 0.045) ** 2
    bright = (60 * ink + 250 * (1 - ink)) / 255
    assert search.names() == ["middle", "dark", "bright"]
    assert float(search.found[0][0]) == pytest.approx(cos((bright - 128 / 255) * pi / 2), abs=5e-3)


def test_encoder_and_group_change_the_ranking(search):
    search.group.value = "not bright"
    assert search.names() == ["middle", "dark"]
    search.encoder.value = "inverted"
    assert search.names() == ["dark", "middle"]


def test_an_example_is_put_on_the_paper(search):
    search.examples.value = "boat"
    assert search.pad.strokes == strokes.EXAMPLES["boat"] and search.examples.value == "boat"
    assert torch.equal(search.sketch, strokes.render(strokes.EXAMPLES["boat"]))


def test_blank_paper_finds_nothing_and_says_so(search):
    search.pad.strokes = []
    assert search.names() == [] and len(search.found[0]) == 0
    assert "blank paper" in search.results.value and "<li>" not in search.results.value
    assert "image/png" not in search._repr_mimebundle_()[0]
    assert repr(search) == "DrawAndSearch(brightness, 0 strokes: blank paper)"


def test_results_are_numbered_and_have_alternative_texts():
    html = results_html([torch.zeros(3, 4, 4).byte()] * 3, ["ant", "a<b", "ant"], [0.876, 0.5, -1])
    assert html.count("<li>") == 3 and 'alt="photo 2: a&lt;b"' in html
    assert "0.88" in html and "-1.00" in html
    assert "among the closest 3: ant 2, a&lt;b 1" in html


def test_it_shows_large_pictures_of_what_was_found_and_asks_for_each_once():
    asked = []

    def large(place):
        asked.append(place)
        return torch.full((3, 96, 96), place, dtype=torch.uint8)

    photos = ImageSet(torch.zeros(3, 3, 32, 32).byte(), torch.arange(3), CLASSES, "photo")
    search = widgets.DrawAndSearch({"brightness": by_brightness}, photos, large)
    search.examples.value = "boat"
    assert asked == [0, 1, 2]
    sketch, shown, names, cosines = search.shown()
    assert sketch.shape == (3, 96, 96) and shown[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert names == list(CLASSES) and len(cosines) == 3


def test_it_prints_one_line_and_carries_a_still_picture(search):
    assert repr(search) == "DrawAndSearch(brightness, 3 strokes: bright)"
    bundle, metadata = search._repr_mimebundle_()
    assert bundle["image/png"].startswith("iVBOR")
    assert "found, best first" in metadata["image/png"]["alt"]
    assert repr(search.pad) == "SketchPad(3 strokes)"


@pytest.mark.parametrize("name", ["mug", "teacup", "car", "boat", "mushroom", "umbrella"])
def test_the_shipped_student_finds_what_an_example_shows(name, toybox_photos):
    photos, rows, student = toybox_photos
    query = retrieval.embed(student.embed, strokes.render(strokes.EXAMPLES[name])[None], "sketch")
    _, places = retrieval.search(query, rows)
    found = [photos.classes[i] for i in photos.labels[places[0]].tolist()]
    assert found.count(name) >= 8


@pytest.fixture(scope="module")
def toybox_photos():
    student = zoo.load_or_train("student")
    photos = toybox_set("photo", "test", profile("laptop"), per_class=25)
    return photos, retrieval.embed(student.embed, photos.images, "photo"), student


def test_occlusion_finds_the_one_spot_that_counts():
    """The read-out is (brightness of pixel (2, 5), 1): only patches over that pixel matter."""

    def readout(images, modality):
        spot = images[:, 0, 2, 5]
        return torch.stack([spot, torch.ones_like(spot)], 1)

    sketch = torch.full((3, 8, 8), 255, dtype=torch.uint8)
    sketch[:, 2, 5] = 0  # seen: (0, 1); hidden, it is white paper: (1, 1), 45 degrees away
    falls = occlusion(readout, sketch, "sketch", torch.tensor([0.0, 1]))
    cover = torch.zeros(8, 8)
    # patches of 2 × 2 at every place; four hold the spot, and all four cover only the spot
    for top in (1, 2):
        for left in (4, 5):
            cover[top : top + 2, left : left + 2] += 1
    assert torch.allclose(falls, cover / 4 * (1 - 0.5**0.5), atol=1e-6)
    rises = occlusion(readout, sketch, "sketch", torch.tensor([1.0, 1]))
    assert rises[2, 5] == pytest.approx(0.5**0.5 - 1)
