"""Recipes: fresh copies with named changes."""

from dataclasses import asdict, replace

import pytest

from dfsbir_lite.losses import ENCODER_TERMS
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import UserError


def test_a_change_changes_that_one_thing():
    plain, changed = asdict(recipe("kit")), asdict(recipe("kit", batch=9, adv=0.125))
    assert plain["batch"] != 9 and plain["weights"]["adv"] != 0.125
    assert changed.pop("batch") == 9 and plain.pop("batch")
    assert changed["weights"].pop("adv") == 0.125 and plain["weights"].pop("adv")
    assert changed == plain


def test_each_call_gives_a_fresh_copy():
    first = recipe("kit")
    first.weights.align = 99
    assert recipe("kit").weights.align < 99


def test_unknown_names_and_bad_weights():
    with pytest.raises(UserError, match="no recipe 'cake': choose one of kit, kit-without-hints"):
        recipe("cake")
    with pytest.raises(UserError, match=r"a recipe has no 'sugar'; it has .*batch"):
        recipe("kit", sugar=1)
    with pytest.raises(UserError, match="weight bn is -1"):
        recipe("kit", bn=-1)
    with pytest.raises(UserError, match=r"contours is 1\.5: it must be a share"):
        recipe("kit", contours=1.5)
    with pytest.raises(UserError, match="'weights'"):
        recipe("kit", weights=1)


@pytest.mark.parametrize("name", ["paper-pairs", "paper-proxies"])
def test_the_papers_regimes_have_its_terms_and_nothing_else(name):
    settings = recipe(name)
    weights = settings.weights
    assert weights.bn == weights.diversity == weights.match == weights.hint == 0
    # DAFL's weights, in the authors' code
    assert (weights.one_hot, weights.entropy, weights.activation) == (3, 5, 0.1)
    assert min(weights.align, weights.modal) > 0
    assert settings.labels == "teacher" and not settings.relabel and settings.replay == 1
    assert settings.contours == settings.ema == settings.refresh_every == 0
    assert not settings.adv_masked and settings.adv_after == 0
    assert settings.temperature is None
    assert recipe(f"{name}+bn").weights == replace(weights, bn=1)


def test_what_an_encoder_of_the_paper_minimises():
    pairs, proxies = recipe("paper-pairs").weights, recipe("paper-proxies").weights
    assert [n for n in ENCODER_TERMS if getattr(pairs, n)] == ["pairs"]
    assert [n for n in ENCODER_TERMS if getattr(proxies, n)] == ["proxy"]
    assert pairs.adv == 0 < proxies.adv  # pairs have no class scores to attack


def test_the_kit_teaches_its_encoders_by_answers_and_hints_alone():
    weights = recipe("kit").weights
    assert min(weights.match, weights.hint) > 0 and weights.proxy == weights.contrastive == 0
