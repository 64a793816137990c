"""Rebuilds the shipped students, and the scenes that ship with them:
`python data_scripts/train_students.py [--profile gpu]`.
"""

from build import main

from dfsbir_lite.zoo import SCENES, STUDENTS

if __name__ == "__main__":
    main(__doc__, (*STUDENTS, SCENES))
