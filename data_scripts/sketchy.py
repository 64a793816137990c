"""Sketchy: 75,471 sketches of 12,500 photos in 125 classes; with Extended, 60,502 more photos.

    python data_scripts/sketchy.py download --out downloads/sketchy
    python data_scripts/sketchy.py import downloads/sketchy --out data/sketchy --split zeroshot25
    python data_scripts/sketchy.py import rendered_256x256.7z EXTEND_image_sketchy.zip --out ...

Of the ways in which the photos and sketches are cut, `tx_000000000000` is read. Without a published
split a photo and the sketches that were drawn from it stay together, in training or in the test.
"""

import sys

from importers.cli import main
from importers.dataset import DataSet, Place
from importers.download import Download

# The two published sets of unseen classes, as ZSE-SBIR's split files have them
# (github.com/buptLinfy/ZSE-SBIR, data_utils).
UNSEEN_25 = (
    "airplane, bell, butterfly, camel, chicken, cup, deer, harp, horse, parrot, pineapple, ray, "
    "rifle, scissors, snail, squirrel, swan, tank, teddy bear, tree, umbrella, volcano, "
    "wheelchair, windmill, wine bottle"
)
UNSEEN_21 = (
    "bat, cabin, cow, dolphin, door, giraffe, helicopter, mouse, pear, raccoon, rhinoceros, saw, "
    "scissors, seagull, skyscraper, songbird, sword, tree, wheelchair, windmill, window"
)
OTHERS = (
    "alarm clock, ant, ape, apple, armor, axe, banana, bear, bee, beetle, bench, bicycle, blimp, "
    "bread, candle, cannon, car (sedan), castle, cat, chair, church, couch, crab, crocodilian, "
    "dog, duck, elephant, eyeglasses, fan, fish, flower, frog, geyser, guitar, hamburger, hammer, "
    "hat, hedgehog, hermit crab, hot air balloon, hotdog, hourglass, jack o lantern, jellyfish, "
    "kangaroo, knife, lion, lizard, lobster, motorcycle, mushroom, owl, penguin, piano, pickup "
    "truck, pig, pistol, pizza, pretzel, rabbit, racket, rocket, sailboat, saxophone, scorpion, "
    "sea turtle, seal, shark, sheep, shoe, snake, spider, spoon, starfish, strawberry, table, "
    "teapot, tiger, trumpet, turtle, violin, wading bird, zebra"
)


def downloads(classes, per_class) -> list[Download]:
    return [Download("https://cs.jhu.edu/~qliu24/ZSSBIR/dataset.zip", "sake_dataset.zip")]


unseen_25, unseen_21, others = (tuple(t.split(", ")) for t in (UNSEEN_25, UNSEEN_21, OTHERS))
SKETCHY = DataSet(
    title="Sketchy",
    licence="for research (Sangkloy et al., The Sketchy Database, SIGGRAPH 2016)",
    home="https://sketchy.eye.gatech.edu",
    places=(
        Place("photo", "photo/tx_000000000000*/*"),
        Place("sketch", "sketch/tx_000000000000*/*"),
        Place("photo", "EXTEND_image_sketchy*/*"),
    ),
    downloads=downloads,
    by_hand="The originals are on Google Drive, linked from https://sketchy.eye.gatech.edu "
    "(rendered_256x256.7z); import the archive as it is.",
    classes=tuple(sorted({*unseen_25, *unseen_21, *others})),
    unseen={"zeroshot25": unseen_25, "zeroshot21": unseen_21},
)

if __name__ == "__main__":
    sys.exit(main(SKETCHY))
