"""Rebuilds the shipped students: `python data_scripts/train_students.py [--profile gpu]`."""

from build import main

if __name__ == "__main__":
    main(__doc__, ("student",))
