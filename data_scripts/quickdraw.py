"""Quick, Draw!: drawings of 345 classes; and QuickDraw-Extended, with photos of 110 classes."""

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from dfsbir_lite.data import NOTE
from dfsbir_lite.runtime import UserError
from dfsbir_lite.strokes import PEN, render
from importers.cli import main
from importers.dataset import DataSet, Item
from importers.download import Download
from importers.names import key, tidy

STORAGE = "https://storage.googleapis.com/quickdraw_dataset/full/simplified"
EXTENDED = "http://datasets.cvc.uab.es/QuickDraw"
# As ZSE-SBIR's split files have them (github.com/buptLinfy/ZSE-SBIR, data_utils).
UNSEEN_30 = (
    "banana, bat, beach, bread, cactus, cake, campfire, cow, dolphin, door, fan, feather, fire "
    "hydrant, frog, giraffe, hamburger, helicopter, megaphone, mouse, palm tree, raccoon, "
    "rhinoceros, saw, scissors, shark, skyscraper, tiger, tree, windmill, zebra"
)
FURTHEST = 1e5  # pixels; no screen is so wide
# Class names that the storage does not write in small letters and spaces.
SPECIAL = "The Eiffel Tower, The Great Wall of China, The Mona Lisa, t-shirt, teddy-bear"


def drawings(path: Path, origin: str, size: int, limit: int | None) -> Iterator[Item]:
    """Yield the first `limit` lines of `<class>.ndjson`, one sketch each."""
    label = path.stem.removeprefix("full_simplified_")
    with path.open("rb") as file:
        for number, line in enumerate(islice(file, limit), 1):
            where = f"{origin}: line {number}"
            yield Item(where, "sketch", label, f"{number:06}", partial(drawn, line, where, size))


def drawn(line: bytes, origin: str, size: int) -> Image.Image:
    """Return a drawing as dark lines on white paper, (size, size), centred, with a margin.

    `line` is `{"drawing": [[[x, ...], [y, ...]], ...], ...}`. Raises UserError for anything else.
    """
    try:
        content = json.loads(line)
        strokes = [np.array(stroke[:2], float).T for stroke in content["drawing"]]
        whole = all(s.shape[1:] == (2,) and (np.abs(s) < FURTHEST).all() for s in strokes)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as reason:
        raise UserError(f"{origin}: not a drawing ({type(reason).__name__}: {reason})") from None
    lines = [{"points": (s / 255).tolist(), "width": PEN} for s in strokes if len(s)]
    if not whole or not lines:
        raise UserError(f"{origin}: a drawing without strokes, or with broken ones")
    picture = Image.fromarray(render(lines, size=size)[0].numpy()).convert("RGB")
    picture.info[NOTE] = {False: "not recognised in the game"}.get(content.get("recognized"))
    return picture


def drawings_of(name: str, lines: int) -> Download:
    """Return the download of the first `lines` drawings of one class, in any spelling."""
    special = {key(known): known for known in SPECIAL.split(", ")}
    name = special.get(key(name)) or special.get(f"the{key(name)}") or tidy(name)
    return Download(f"{STORAGE}/{quote(name)}.ndjson", lines=lines)


def downloads(classes: tuple[str, ...], per_class: int) -> list[Download]:
    """Return the first drawings of the classes; without classes QuickDraw-Extended's archives."""
    archives = [f"{EXTENDED}/QuickDraw_{kind}_final.zip" for kind in ("sketches", "images")]
    return [drawings_of(name, per_class) for name in classes] or list(map(Download, archives))


QUICKDRAW = DataSet(
    title="Quick, Draw!",
    licence="drawings CC BY 4.0 (Google); photos of QuickDraw-Extended for research (Dey et al., "
    "Doodle to Search, CVPR 2019)",
    home="https://github.com/googlecreativelab/quickdraw-dataset",
    places={"sketch": ("QuickDraw_sketches*/*/*",), "photo": ("QuickDraw_images*/*/*",)},
    readers={"*.ndjson": drawings},
    downloads=downloads,
    misspelt={"The Eiffel Tower": "eiffel tower"},  # as QuickDraw-Extended has it
    unseen={"zeroshot30": tuple(UNSEEN_30.split(", "))},
)

if __name__ == "__main__":
    main(QUICKDRAW)
