"""Rebuild shipped students, snapshots and scenes: `train_students.py [--profile gpu]`."""

from train_teachers import main

from dfsbir_lite.zoo import SCENES, STUDENTS

if __name__ == "__main__":
    main(__doc__, (*STUDENTS, SCENES))
