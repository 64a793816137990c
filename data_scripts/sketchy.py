"""Sketchy: 75,471 sketches of 12,500 photos in 125 classes; with Extended, 60,502 more photos.

Of the ways in which photos and sketches are cropped, `tx_000000000000` is read.
"""

from importers.cli import main
from importers.dataset import DataSet
from importers.download import Download

UNSEEN_25 = (
    "airplane, bell, butterfly, camel, chicken, cup, deer, harp, horse, parrot, pineapple, ray, "
    "rifle, scissors, snail, squirrel, swan, tank, teddy bear, tree, umbrella, volcano, "
    "wheelchair, windmill, wine bottle"
)
UNSEEN_21 = (
    "bat, cabin, cow, dolphin, door, giraffe, helicopter, mouse, pear, raccoon, rhinoceros, saw, "
    "scissors, seagull, skyscraper, songbird, sword, tree, wheelchair, windmill, window"
)
# Sketchy and TU-Berlin, resized, as SAKE's authors host them.
ARCHIVE = Download("https://cs.jhu.edu/~qliu24/ZSSBIR/dataset.zip")
SKETCHY = DataSet(
    title="Sketchy",
    licence="for research (Sangkloy et al., The Sketchy Database, SIGGRAPH 2016)",
    home="https://sketchy.eye.gatech.edu",
    places={
        "photo": ("photo/tx_000000000000*/*/*", "EXTEND_image_sketchy*/*/*"),
        "sketch": ("sketch/tx_000000000000*/*/*",),
    },
    downloads=lambda classes, per_class: [ARCHIVE],
    by_hand="The originals are on Google Drive, linked from https://sketchy.eye.gatech.edu "
    "(rendered_256x256.7z); import the archive as it is.",
    unseen={"zeroshot25": tuple(UNSEEN_25.split(", ")), "zeroshot21": tuple(UNSEEN_21.split(", "))},
)

if __name__ == "__main__":
    main(SKETCHY)
