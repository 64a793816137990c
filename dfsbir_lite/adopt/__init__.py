"""Teachers of your own: classifiers with your weights, and two label lists made one.

Any module is a teacher with `Teacher(network, classes, size)`; `adopt` saves one whose
architecture the shelf has by name, and `match` narrows any two to the classes that both know.
"""

from dfsbir_lite.adopt.checkpoints import adopt, load, torchvision_teacher
from dfsbir_lite.adopt.matching import Pair, left_out, load_pair, match, report, shipped_guidance
from dfsbir_lite.adopt.shelf import IMAGENET, facts, weights_file
