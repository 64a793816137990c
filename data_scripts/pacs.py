"""PACS: the photos and sketches of its seven classes."""

from importers.cli import main
from importers.dataset import DataSet

PACS = DataSet(
    title="PACS",
    licence="for research (Li et al., Deeper, Broader and Artier Domain Generalization, ICCV 2017)",
    home="https://domaingeneralization.github.io/#data",
    by_hand="Get the archive from Google Drive, by the link on https://domaingeneralization.github.io"
    "/#data, and import it.",
)

if __name__ == "__main__":
    main(PACS)
