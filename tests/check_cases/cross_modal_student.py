"""Answers for the self-checks of notebook 03."""

import torch
from torch.nn import functional as F

from check_cases import Cases
from dfsbir_lite import data, losses, runtime, toybox, zoo
from dfsbir_lite.models import expected_proxy
from dfsbir_lite.pipeline import Benchmark

SCORES = (4.479, 2.747, 0.0)


def supervised(queries, keys, query_labels, key_labels, temperature):
    """Query by query, key by key."""
    total = 0.0
    for query, label in zip(queries, query_labels):
        parts = ((query * keys).sum(1) / temperature).exp()
        total += torch.stack([-(p / parts.sum()).log() for p in parts[key_labels == label]]).mean()
    return (total / len(queries)).item()


def soft(queries, keys, query_labels, key_labels, temperature):
    count = int(max(query_labels.max(), key_labels.max())) + 1
    one_hot = F.one_hot(query_labels, count).float(), F.one_hot(key_labels, count).float()
    return losses.contrastive(queries, keys, *one_hot, temperature)


def one_sum(queries, keys, query_labels, key_labels, temperature):
    """The sum over the keys of the class in the place of the mean."""
    same = query_labels[:, None] == key_labels
    return -(F.log_softmax(queries @ keys.T / temperature, 1) * same).sum(1).mean()


def all_pairs(queries, keys, query_labels, key_labels, temperature):
    """One mean over all pairs of a class, in which queries with many keys count more."""
    same = query_labels[:, None] == key_labels
    return -F.log_softmax(queries @ keys.T / temperature, 1)[same].mean()


def regression(mine, theirs, constant=True):
    x, y = (m.movedim(1, -1).flatten(0, -2) for m in (mine, theirs))
    if constant:
        x, y = x - x.mean(0), y - y.mean(0)
    return ((y - x @ torch.linalg.pinv(x) @ y).square().mean() / theirs.var()).item()


def variances(maps):
    return maps.movedim(1, -1).flatten(0, -2).var(0).mean()


def bare(maps):
    """A reshape that leaves the channels where they are, and so mixes them with positions."""
    return maps.reshape(-1, maps.shape[1], 1, 1)


def few_images() -> Benchmark:
    sizes = runtime.profile("laptop")

    def pair(classes):
        return tuple(data.toybox_set(m, "test", sizes, classes, 15) for m in ("photo", "sketch"))

    return Benchmark("ToyBox", None, pair(toybox.SEEN), pair(toybox.UNSEEN))


def cases() -> dict[str, Cases]:
    student, few = zoo.load_or_train("student", "laptop", torch.device("cpu")), few_images()
    return {
        "cost_of_the_paper": Cases(
            right=[(15, 540, 0.2), (torch.tensor(15.0), 540, 0.2), (7.5, 540, 0.1)],
            wrong=[
                ((900, 540, 0.2), "minutes"),
                ((54_000, 540, 0.2), "seconds"),
                ((0.03, 540, 0.2), "many more"),
                ((15, 540, 0.1), "Multiply"),
                (("a day", 540, 0.2), "One number"),
            ],
        ),
        "place_by_hand": Cases(
            right=[((0.749, -0.094, -0.655), SCORES, 2.5), ([0.75, -0.09, -0.66], SCORES, 2.5)],
            wrong=[
                (((0.6, 0.3, 0.1), SCORES, 2.5), "weights"),
                (((0.267, -0.033, -0.233), SCORES, 2.5), "length 1"),
                (((0.885, 0.442, 0.147), SCORES, 2.5), "1/C"),
                (((-0.749, 0.094, 0.655), SCORES, 2.5), "other way round"),
                (((0.8, -0.4), SCORES, 2.5), "coordinates"),
                ((0.75, SCORES, 2.5), "in brackets"),
                (((1, 0, 0), SCORES, 2.5), "Softmax"),
                (((0.807, -0.293, -0.514), SCORES, 2.5), "temperature"),
            ],
        ),
        "supervised_contrastive": Cases(
            right=[(supervised,), (soft,)],
            wrong=[
                ((one_sum,), "not the sum"),
                ((lambda *a: -soft(*a),), "sign"),
                ((lambda q, k, a, b, t: soft(q, k, a, b, 1.0),), "temperature"),
                ((all_pairs,), "counts more there"),
                ((lambda *a: torch.tensor(2.0),), "log-softmax"),
            ],
        ),
        "translated_hint": Cases(
            right=[(regression,)],
            wrong=[
                ((lambda m, t: regression(m, t, constant=False),), "constant"),
                ((lambda m, t: regression(m, t) * t.var(),), "variance"),
                ((lambda m, t: 1 - regression(m, t),), "reaches"),
                ((lambda m, t: regression(m, t) * t.var() / variances(t),), "each channel"),
                ((lambda m, t: regression(bare(m), bare(t)),), "before you flatten"),
                ((lambda m, t: 0.0,), "least squares"),
            ],
        ),
        "between_both_ends": Cases(
            right=[
                (lambda s, w: (s / 2.5).softmax(1) - 1 / 12, student, few),
                (lambda s, w: expected_proxy(s, w, 2.5), student, few),
            ],
            wrong=[
                ((lambda s, w: s, student, few), "seen classes"),
                ((lambda s, w: s.softmax(1), student, few), "unseen classes"),
                ((lambda s, w: s[:1], student, few), "A row for every image"),
            ],
        ),
    }
