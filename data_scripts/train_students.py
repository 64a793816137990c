"""Rebuild the shipped students and scenes: `python data_scripts/train_students.py [--profile gpu]`.

Snapshots of the student's training are recorded beside it.
"""

from pathlib import Path

from build import main

from dfsbir_lite.lessons.snapshots import recorder, snapshot_pictures
from dfsbir_lite.runtime import Profile
from dfsbir_lite.zoo import SCENES, STEPS, STUDENTS


def snapshots(sizes: Profile, folder: Path, device):
    """Return what records snapshots of a student, as `zoo.build` calls it."""
    path = folder / "snapshots.safetensors"
    return recorder(path, snapshot_pictures(sizes), STEPS, device)


if __name__ == "__main__":
    main(__doc__, (*STUDENTS, SCENES), snapshots)
