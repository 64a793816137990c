"""Rebuild the shipped teachers: `python data_scripts/train_teachers.py [--profile gpu]`."""

import argparse
import json
from pathlib import Path

from dfsbir_lite.lessons.snapshots import recorder, snapshot_pictures
from dfsbir_lite.runtime import PROFILES, pick_device, profile
from dfsbir_lite.zoo import ASSETS, SHIPPED, STEPS, TEACHERS, build


def main(about: str, names: tuple[str, ...]) -> None:
    """Build the networks `names` into the chosen folder; those already there are kept."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--profile", choices=[*PROFILES, "all"], default="all")
    parser.add_argument("--out", type=Path, default=ASSETS, help="default: the package's zoo")
    parser.add_argument("--again", action="store_true", help="train those too that are there")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: the first GPU, else cpu)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    device = pick_device(options.device)
    for sizes in map(profile, SHIPPED if options.profile == "all" else [options.profile]):
        for name in names:
            path = options.out / sizes.name / f"{name}.safetensors"
            if path.is_file() and not options.again:
                print(f"{path}: already there (--again trains it anew)")
                continue
            watch = {}
            if name == "student":
                shots = path.with_name("snapshots.safetensors")
                watch["watch"] = recorder(shots, snapshot_pictures(sizes), STEPS, device)
            print(json.dumps(build(name, sizes, path, device, options.seed, **watch), indent=2))


if __name__ == "__main__":
    main(__doc__, TEACHERS)
