"""Teachers of your own: classifiers with your weights, and two label lists made one.

Any module is a teacher with `Teacher(network, classes, size)`; `adopt` saves one whose
architecture the shelf has by name, `match` narrows any two to the classes that both know, and
`Matching` lets sketches find photos with any two, without a student.
"""

from dfsbir_lite.adopt.checkpoints import adopt, load, torchvision_teacher
from dfsbir_lite.adopt.groups import equal_names, read_groups
from dfsbir_lite.adopt.matching import Matching, load_pair, match, report, shipped_guidance
from dfsbir_lite.adopt.scribbles import Scribbler
from dfsbir_lite.adopt.shelf import IMAGENET, facts, weights_file
