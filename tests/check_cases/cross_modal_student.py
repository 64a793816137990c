"""Answers for notebook 03."""

import torch
from torch.nn import functional as F

from check_cases import Cases
from dfsbir_lite import losses

SCORES = (4.479, 2.747, 0.0)  # 2.5 × the logarithms of 6, 3 and 1


def supervised(queries, keys, query_labels, key_labels, temperature):
    """Query by query, key by key."""
    total = 0.0
    for query, label in zip(queries, query_labels):
        parts = ((query * keys).sum(1) / temperature).exp()
        total += torch.stack([-(p / parts.sum()).log() for p in parts[key_labels == label]]).mean()
    return (total / len(queries)).item()


def soft(queries, keys, query_labels, key_labels, temperature):
    one_hot = F.one_hot(query_labels).float(), F.one_hot(key_labels).float()
    return losses.contrastive(queries, keys, *one_hot, temperature)


def one_sum(queries, keys, query_labels, key_labels, temperature):
    """The sum over the keys of the class in the place of the mean."""
    same = query_labels[:, None] == key_labels
    return -(F.log_softmax(queries @ keys.T / temperature, 1) * same).sum(1).mean()


def cases() -> dict[str, Cases]:
    return {
        "place_by_hand": Cases(
            right=[((0.749, -0.094, -0.655), SCORES, 2.5), ([0.75, -0.09, -0.66], SCORES, 2.5)],
            wrong=[
                (((0.6, 0.3, 0.1), SCORES, 2.5), "weights"),
                (((0.267, -0.033, -0.233), SCORES, 2.5), "length 1"),
                (((0.885, 0.442, 0.147), SCORES, 2.5), "1/C"),
                (((0.807, -0.293, -0.514), SCORES, 2.5), "temperature"),
                (((0.8, -0.4), SCORES, 2.5), "coordinates"),
                (((1, 0, 0), SCORES, 2.5), "Softmax"),
            ],
        ),
        "supervised_contrastive": Cases(
            right=[(supervised,), (soft,)],
            wrong=[
                ((one_sum,), "not the sum"),
                ((lambda *a: -soft(*a),), "sign"),
                ((lambda q, k, a, b, t: soft(q, k, a, b, 1.0),), "temperature"),
                ((lambda *a: torch.tensor(2.0),), "log-softmax"),
            ],
        ),
    }
