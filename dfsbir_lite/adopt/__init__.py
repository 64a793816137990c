"""Teachers of your own: classifiers with your weights, and two label lists made one.

Any module is a teacher with `Teacher(network, classes, size)`; `adopt` saves one that torchvision
has the architecture of, and `match` narrows any two to the classes that both know.
"""

from dfsbir_lite.adopt.checkpoints import IMAGENET, adopt, load, torchvision_teacher
from dfsbir_lite.adopt.matching import Pair, left_out, load_pair, match, report, shipped_guidance
