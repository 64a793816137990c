"""PACS: the photos and sketches of its seven classes.

    python data_scripts/pacs.py import PACS.zip --out data/pacs

The domains art painting and cartoon are left where they are.
"""

import sys

from importers.cli import main
from importers.dataset import DataSet, Place

PACS = DataSet(
    name="pacs",
    title="PACS",
    licence="for research (Li et al., Deeper, Broader and Artier Domain Generalization, ICCV 2017)",
    home="https://domaingeneralization.github.io/#data",
    places=(Place("photo", "photo/*"), Place("sketch", "sketch/*")),
    by_hand="Get the archive from Google Drive, by the link on https://domaingeneralization.github.io"
    "/#data, and import it.",
    classes=("dog", "elephant", "giraffe", "guitar", "horse", "house", "person"),
)

if __name__ == "__main__":
    sys.exit(main(PACS))
