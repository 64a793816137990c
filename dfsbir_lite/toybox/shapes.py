"""The sixteen objects, by class name: `shapes.mug(dice)` returns a list of `Part`."""

from dfsbir_lite.toybox.kitchen import fork, key, mug, spoon, teacup, teapot
from dfsbir_lite.toybox.outdoors import fish, house, lighthouse, mushroom, tree, umbrella
from dfsbir_lite.toybox.vehicles import boat, bus, car, truck

__all__ = [
    "boat", "bus", "car", "fish", "fork", "house", "key", "lighthouse",
    "mug", "mushroom", "spoon", "teacup", "teapot", "tree", "truck", "umbrella",
]  # fmt: skip
