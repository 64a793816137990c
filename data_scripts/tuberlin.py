"""TU-Berlin: 20,000 sketches in 250 classes; with Extended, 204,489 photos of them.

    python data_scripts/tuberlin.py download --out downloads/tuberlin
    python data_scripts/tuberlin.py import downloads/tuberlin --out data/tuberlin --split zeroshot30

The photos (`ImageResized.zip`) have to be fetched by hand; the zip that `sketchy.py download` gets
holds both, too. Without photos the sketches are imported alone.
"""

import sys

from importers.cli import main
from importers.dataset import DataSet, Place
from importers.download import Download

# As ZSE-SBIR's split files have them (github.com/buptLinfy/ZSE-SBIR, data_utils).
UNSEEN_30 = (
    "ant, banana, bottle opener, brain, bread, bridge, bus, canoe, fan, frying pan, horse, hot air "
    "balloon, laptop, lighter, parachute, penguin, pizza, rollerblades, shoe, snowboard, space "
    "shuttle, streetlight, suitcase, t shirt, table, teacup, telephone, tractor, trombone, windmill"
)
SEEN_220 = (
    "airplane, alarm clock, angel, apple, arm, armchair, ashtray, axe, backpack, barn, baseball "
    "bat, basket, bathtub, bear (animal), bed, bee, beer mug, bell, bench, bicycle, binoculars, "
    "blimp, book, bookshelf, boomerang, bowl, bulldozer, bush, butterfly, cabinet, cactus, cake, "
    "calculator, camel, camera, candle, cannon, car (sedan), carrot, castle, cat, cell phone, "
    "chair, chandelier, church, cigarette, cloud, comb, computer monitor, computer mouse, couch, "
    "cow, crab, crane (machine), crocodile, crown, cup, diamond, dog, dolphin, donut, door, door "
    "handle, dragon, duck, ear, elephant, envelope, eye, eyeglasses, face, feather, fire hydrant, "
    "fish, flashlight, floor lamp, flower with stem, flying bird, flying saucer, foot, fork, frog, "
    "giraffe, grapes, grenade, guitar, hamburger, hammer, hand, harp, hat, head, head phones, "
    "hedgehog, helicopter, helmet, hot dog, hourglass, house, human skeleton, ice cream cone, "
    "ipod, kangaroo, key, keyboard, knife, ladder, leaf, lightbulb, lion, lobster, loudspeaker, "
    "mailbox, megaphone, mermaid, microphone, microscope, monkey, moon, mosquito, motorbike, mouse "
    "(animal), mouth, mug, mushroom, nose, octopus, owl, palm tree, panda, paper clip, parking "
    "meter, parrot, pear, pen, person sitting, person walking, piano, pickup truck, pig, pigeon, "
    "pineapple, pipe (for smoking), potted plant, power outlet, present, pretzel, pumpkin, purse, "
    "rabbit, race car, radio, rainbow, revolver, rifle, rooster, sailboat, santa claus, satellite, "
    "satellite dish, saxophone, scissors, scorpion, screwdriver, sea turtle, seagull, shark, "
    "sheep, ship, shovel, skateboard, skull, skyscraper, snail, snake, snowman, socks, speed boat, "
    "spider, sponge bob, spoon, squirrel, standing bird, stapler, strawberry, submarine, sun, suv, "
    "swan, sword, syringe, tablelamp, teapot, teddy bear, tennis racket, tent, tiger, tire, "
    "toilet, tomato, tooth, toothbrush, traffic light, train, tree, trousers, truck, trumpet, tv, "
    "umbrella, van, vase, violin, walkie talkie, wheel, wheelbarrow, wine bottle, wineglass, wrist "
    "watch, zebra"
)
# What the photos' archive calls some of them.
MISSPELT = {
    "chandeler": "chandelier",
    "diamod": "diamond",
    "griaffe": "giraffe",
    "mouse": "mouse (animal)",
    "pipe": "pipe (for smoking)",
    "spacesshuttle": "space shuttle",
    "spidar": "spider",
    "tromobone": "trombone",
    "wristwatching": "wrist watch",
}


def downloads(classes, per_class) -> list[Download]:
    base = "http://cybertron.cg.tu-berlin.de/eitz/projects/classifysketch"
    return [Download(f"{base}/sketches_png.zip", "sketches_png.zip")]


unseen_30, seen_220 = tuple(UNSEEN_30.split(", ")), tuple(SEEN_220.split(", "))
TUBERLIN = DataSet(
    title="TU-Berlin",
    licence="sketches CC BY 4.0 (Eitz et al., How Do Humans Sketch Objects?, SIGGRAPH 2012); "
    "photos for research (Zhang et al., SketchNet, CVPR 2016)",
    home="http://cybertron.cg.tu-berlin.de/eitz/projects/classifysketch",
    places=(Place("sketch", "png*/*"), Place("photo", "ImageResized*/*")),
    downloads=downloads,
    by_hand="The photos of TU-Berlin Extended (ImageResized.zip) are on Google Drive only, linked "
    "from https://github.com/sounakdey/doodle2search; put them beside the sketches' archive.",
    classes=(*unseen_30, *seen_220),
    misspelt=MISSPELT,
    unseen={"zeroshot30": unseen_30},
)

if __name__ == "__main__":
    sys.exit(main(TUBERLIN))
