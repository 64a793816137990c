"""Rebuild shipped students, snapshots and scenes: `train_students.py [--profile gpu]`."""

from train_teachers import main

from dfsbir_lite.lessons.snapshots import recorder, snapshot_pictures
from dfsbir_lite.zoo import SCENES, STEPS, STUDENTS


def snapshots(sizes, folder, device):
    """Return what records snapshots of a student, as `zoo.build` calls it."""
    return recorder(folder / "snapshots.safetensors", snapshot_pictures(sizes), STEPS, device)


if __name__ == "__main__":
    main(__doc__, (*STUDENTS, SCENES), snapshots)
