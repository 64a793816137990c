"""Answers for notebook 03."""

from types import SimpleNamespace

import torch
from torch.nn import functional as F

from check_cases import Cases
from dfsbir_lite import losses, retrieval
from dfsbir_lite.models import expected_proxy

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


class Pictures:
    """A benchmark whose images are class scores, of a student that hands them on.

    Seen rows are loud in one class; unseen rows have two, of which a posterior knows but one.
    """

    def __init__(self):
        draw = torch.Generator().manual_seed(0)
        self.labels = torch.arange(4).repeat_interleave(20)
        seen = 4 * F.one_hot(self.labels, 6).float() + 3
        unseen = F.one_hot(self.labels, 6) + F.one_hot((self.labels + 1) % 4, 6)
        self.parts = {
            name: [rows + scale * torch.randn(80, 6, generator=draw) for _ in range(2)]
            for name, rows, scale in (("seen", seen, 1.5), ("unseen", 4.0 * unseen, 1.5))
        }

    def scores(self, readout):
        y = self.labels
        rows = {n: [torch.as_tensor(readout(x, "")) for x in p] for n, p in self.parts.items()}
        return {
            name: {"map_all": retrieval.score(sketches, y, photos, y).map_all}
            for name, (photos, sketches) in rows.items()
        }


def cases() -> dict[str, Cases]:
    student = SimpleNamespace(class_logits=lambda x, _: x, proxies=torch.eye(6))
    few = Pictures()
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
        "between_both_ends": Cases(
            right=[
                (lambda z, w: (z / 2.5).softmax(1) - 1 / 6, student, few),
                (lambda z, w: expected_proxy(z, w, 2.5), student, few),
            ],
            wrong=[
                ((lambda z, w: z, student, few), "weigh too much"),
                ((lambda z, w: z.softmax(1), student, few), "say too little"),
            ],
        ),
    }
