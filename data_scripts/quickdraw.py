"""Quick, Draw!: drawings of 345 classes; and QuickDraw-Extended, with photos of 110 classes.

    python data_scripts/quickdraw.py download --classes cat,dog --per-class 500 --out downloads/qd
    python data_scripts/quickdraw.py import downloads/qd --out data/quickdraw

    python data_scripts/quickdraw.py download --out downloads/qd          # Extended, large
    python data_scripts/quickdraw.py import downloads/qd --out data/quickdraw --split zeroshot30

Of a class only the first drawings are transferred. Strokes are drawn anew, at any size; `.npy`
files of bitmaps are read as well.
"""

import sys
from urllib.parse import quote

from importers.cli import main
from importers.dataset import DataSet, Place
from importers.download import Download
from importers.names import key, tidy
from importers.strokes import bitmaps, drawings

STORAGE = "https://storage.googleapis.com/quickdraw_dataset/full/simplified"
EXTENDED = "http://datasets.cvc.uab.es/QuickDraw"
PER_CLASS = 1000
# As ZSE-SBIR's split files have them (github.com/buptLinfy/ZSE-SBIR, data_utils).
UNSEEN_30 = (
    "banana, bat, beach, bread, cactus, cake, campfire, cow, dolphin, door, fan, feather, fire "
    "hydrant, frog, giraffe, hamburger, helicopter, megaphone, mouse, palm tree, raccoon, "
    "rhinoceros, saw, scissors, shark, skyscraper, tiger, tree, windmill, zebra"
)
# Class names that the storage does not write in small letters and spaces.
IN_STORAGE = (
    "The Eiffel Tower",
    "The Great Wall of China",
    "The Mona Lisa",
    "t-shirt",
    "teddy-bear",
)
MISSPELT = {"The Eiffel Tower": "eiffel tower"}  # as QuickDraw-Extended has it


def downloads(classes, per_class) -> list[Download]:
    """The first drawings of the classes; without classes the archives of QuickDraw-Extended."""
    if not classes:
        names = ("QuickDraw_sketches_final.zip", "QuickDraw_images_final.zip")
        return [Download(f"{EXTENDED}/{name}", name) for name in names]
    return [drawings_of(name, per_class or PER_CLASS) for name in classes]


def drawings_of(name: str, lines: int) -> Download:
    """The first `lines` drawings of one class, whatever way its name is written."""
    special = {key(known): known for known in IN_STORAGE} | {"eiffeltower": "The Eiffel Tower"}
    name = special.get(key(name)) or tidy(name)
    return Download(f"{STORAGE}/{quote(name)}.ndjson", f"{name}.ndjson", lines=lines)


unseen_30 = tuple(UNSEEN_30.split(", "))
QUICKDRAW = DataSet(
    title="Quick, Draw!",
    licence="drawings CC BY 4.0 (Google); photos of QuickDraw-Extended for research (Dey et al., "
    "Doodle to Search, CVPR 2019)",
    home="https://github.com/googlecreativelab/quickdraw-dataset",
    places=(
        Place("sketch", "QuickDraw_sketches*/*"),
        Place("photo", "QuickDraw_images*/*"),
        Place("sketch", "sketches/*"),
        Place("photo", "images/*"),
    ),
    readers=(("*.ndjson", drawings), ("*.npy", bitmaps)),
    downloads=downloads,
    classes=unseen_30,
    misspelt=MISSPELT,
    unseen={"zeroshot30": unseen_30},
)

if __name__ == "__main__":
    sys.exit(main(QUICKDRAW))
