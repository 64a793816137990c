"""No slider can break a run, and a number that is none stops it before anything is learnt."""

from dataclasses import fields
from itertools import islice

import pytest
import torch

from dfsbir_lite import losses
from dfsbir_lite.losses import Weights
from dfsbir_lite.students import distill, new_encoders
from dfsbir_lite.widgets.panel import HIGHEST

TERMS = [field.name for field in fields(Weights)]


@pytest.fixture
def begin(teachers, tiny, tiny_recipe):
    """`begin(**changes)`: a run of six iterations from random weights."""

    def begin(**changes):
        encoders = new_encoders(tiny, 3)
        return distill(teachers, tiny_recipe(**changes), encoders, steps=6, width=8)

    return begin


def sound(loop) -> bool:
    networks = (loop.synthesis.estimators, loop.learner.encoders, loop.encoders)
    return all(value.isfinite().all() for n in networks for value in n.state_dict().values())


def test_all_sliders_at_their_ends(begin):
    loop = begin(**dict.fromkeys(TERMS, 10**HIGHEST))
    assert len(list(loop)) == 6 and sound(loop)


@pytest.mark.parametrize(
    "loss, term",
    [
        ("batch_statistics", "bn"),
        ("class_alignment", "align"),
        ("contrastive", "contrastive"),
    ],
)
def test_a_term_that_is_no_number_is_named_and_nothing_is_learnt_from_it(
    begin, monkeypatch, loss, term
):
    loop = begin()
    list(islice(loop, 2))
    estimator = term in losses.ESTIMATOR_TERMS
    network = loop.synthesis.estimators if estimator else loop.learner.encoders
    before = [parameter.clone() for parameter in network.parameters()]
    true = getattr(losses, loss)
    with monkeypatch.context() as patch:
        patch.setattr(losses, loss, lambda *given, **named: true(*given, **named) * float("nan"))
        with pytest.raises(FloatingPointError, match=f"^{term} is nan"):
            next(loop)
    assert all(map(torch.equal, before, network.parameters()))
    assert len(list(loop)) == 6 - 2 and sound(loop)
