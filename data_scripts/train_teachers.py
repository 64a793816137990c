"""Rebuild the shipped teachers: `python data_scripts/train_teachers.py [--profile gpu]`."""

from build import main

from dfsbir_lite.zoo import TEACHERS

if __name__ == "__main__":
    main(__doc__, TEACHERS)
