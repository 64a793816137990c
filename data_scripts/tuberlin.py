"""TU-Berlin: 20,000 sketches in 250 classes; with Extended, 204,489 photos of them.

The photos have to be fetched by hand; the zip that `sketchy.py download` gets holds both.
"""

from importers.cli import main
from importers.dataset import DataSet
from importers.download import Download

UNSEEN_30 = (
    "ant, banana, bottle opener, brain, bread, bridge, bus, canoe, fan, frying pan, horse, hot air "
    "balloon, laptop, lighter, parachute, penguin, pizza, rollerblades, shoe, snowboard, space "
    "shuttle, streetlight, suitcase, t shirt, table, teacup, telephone, tractor, trombone, windmill"
)
# What the photos' archive calls some of them.
MISSPELT = {
    "chandeler": "chandelier", "diamod": "diamond", "griaffe": "giraffe",
    "mouse": "mouse (animal)", "pipe": "pipe (for smoking)", "spacesshuttle": "space shuttle",
    "spidar": "spider", "tromobone": "trombone", "wristwatching": "wrist watch",
}  # fmt: skip
HOME = "http://cybertron.cg.tu-berlin.de/eitz/projects/classifysketch"

TUBERLIN = DataSet(
    title="TU-Berlin",
    licence="sketches CC BY 4.0 (Eitz et al., How Do Humans Sketch Objects?, SIGGRAPH 2012); "
    "photos for research (Zhang et al., SketchNet, CVPR 2016)",
    home=HOME,
    places={"sketch": ("png*/*/*",), "photo": ("ImageResized*/*/*",)},
    downloads=lambda classes, per_class: [Download(f"{HOME}/sketches_png.zip")],
    by_hand="The photos of TU-Berlin Extended (ImageResized.zip) are on Google Drive only, linked "
    "from https://github.com/sounakdey/doodle2search; put them beside the sketches' archive.",
    misspelt=MISSPELT,
    unseen={"zeroshot30": tuple(UNSEEN_30.split(", "))},
)

if __name__ == "__main__":
    main(TUBERLIN)
