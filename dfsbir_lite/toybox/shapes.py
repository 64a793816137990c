"""The sixteen objects, by class name: `shapes.mug(dice)` gives a list of `Part`."""

from .kitchen import fork, key, mug, spoon, teacup, teapot
from .outdoors import fish, house, lighthouse, mushroom, tree, umbrella
from .vehicles import boat, bus, car, truck

__all__ = [
    "boat", "bus", "car", "fish", "fork", "house", "key", "lighthouse",
    "mug", "mushroom", "spoon", "teacup", "teapot", "tree", "truck", "umbrella",
]  # fmt: skip
