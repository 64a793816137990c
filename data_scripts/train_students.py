"""Rebuilds the shipped students: `python data_scripts/train_students.py [--profile gpu]`."""

from build import main

from dfsbir_lite.zoo import STUDENTS

if __name__ == "__main__":
    main(__doc__, STUDENTS)
