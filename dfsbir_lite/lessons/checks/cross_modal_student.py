"""Checks of notebook 03: an expected proxy, a contrastive loss."""

import torch
from torch.nn import functional as F

from dfsbir_lite import losses
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, explain, number
from dfsbir_lite.models import expected_proxy


@exercise
def place_by_hand(place, scores: tuple[float, ...], temperature: float) -> str:
    """Judge the expected proxy of `scores`, as many coordinates; the proxies are the axes."""
    place, scores = torch.tensor([number(x) for x in place]), torch.tensor(scores)
    if len(place) != len(scores):
        raise Wrong(f"{len(scores)} coordinates are wanted, one for each axis.")
    axes, share = torch.eye(len(scores)), (scores / temperature).softmax(0)
    if torch.allclose(place, expected_proxy(scores[None], axes, temperature)[0], atol=0.011):
        return "The runner-up hardly moves the place, because it has about its fair third."
    mistakes = {
        "These are the weights. The mean weight is still to be taken off each.": share,
        "Nearly: this vector is not of length 1.": share - 1 / len(scores),
        "Equally like all classes should be no place: take 1/C off.": F.normalize(share, dim=0),
        "Divide the scores by the temperature.": expected_proxy(scores[None], axes, 1.0)[0],
    }
    explain(place, mistakes, 0.011)
    raise Wrong("Softmax of scores / temperature, minus 1/C, times the axes, to length 1.")


@exercise
def supervised_contrastive(loss) -> str:
    """Judge `loss(queries (N, E), keys (M, E), query_labels, key_labels, temperature)`, a scalar.

    Rows are of unit length; every query's class is among the keys'.
    """
    draw = torch.Generator().manual_seed(0)
    q, k = (F.normalize(torch.randn(n, 8, generator=draw), dim=1) for n in (6, 12))
    y, z = torch.arange(6) % 3, torch.tensor([0, 1, 2, 0, 0, 1, 2, 2, 2, 0, 1, 2])
    mine = number(ask(loss, q, k, y, z, 0.1))
    truth = losses.contrastive(q, k, F.one_hot(y).float(), F.one_hot(z).float(), 0.1)
    if abs(mine - truth) < 1e-3 * truth:
        return "This is the supervised contrastive loss of Khosla et al."
    same = (y[:, None] == z).float()
    likely, plain = F.log_softmax(q @ k.T / 0.1, dim=1), F.log_softmax(q @ k.T, dim=1)
    mistakes = {
        "The sign: the more likely, the smaller a loss should be.": -truth,
        "Mean over the keys of the query's class, not the sum.": -(likely * same).sum(1).mean(),
        "One mean over all pairs: take one for each query first.": -likely[same > 0].mean(),
        "The temperature is missing.": -((plain * same).sum(1) / same.sum(1)).mean(),
        "The logarithm of summed probabilities: here one near key of the class would be enough. "
        "Take the logarithm of each, then the mean.": -(likely.exp() * same).sum(1).log().mean(),
    }
    explain(mine, mistakes, 0, 1e-3)
    raise Wrong("Cosines / temperature, log-softmax over keys, mean over those of the class.")
