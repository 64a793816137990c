"""Measures the importers: `python data_scripts/bench_import.py [--images 10000] [--side 256]`.

Makes an archive as Sketchy's, half photos (JPEG) and half sketches (PNG), imports it, and prints
the seconds and the most memory that the import took.
"""

import argparse
import io
import json
import resource
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from sketchy import SKETCHY

from dfsbir_lite.runtime import progress
from importers.importing import Wish, import_data

CLASSES = ("ant", "bee", "cat", "dog", "owl")


def write_archive(path: Path, images: int, side: int) -> None:
    """An archive of `images` different pictures: clouds of colour, and scribbles."""
    draw = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for n in progress(range(images), desc="drawing", unit="image"):
            sketch, name = n % 2, CLASSES[n // 2 % len(CLASSES)]
            if sketch:
                coarse = 255 * (draw.random((32, 32)) > 0.15).astype(np.uint8)
            else:
                coarse = draw.integers(0, 256, (8, 8, 3), np.uint8)
            picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BILINEAR)
            file = io.BytesIO()
            picture.save(file, "PNG" if sketch else "JPEG", compress_level=1)
            folder = f"256x256/{'sketch' if sketch else 'photo'}/tx_000000000000/{name}"
            archive.writestr(f"{folder}/{n:06}.{'png' if sketch else 'jpg'}", file.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=256, help="of the pictures in the archive")
    parser.add_argument("--size", type=int, default=64, help="to which they are imported")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive.zip"
        write_archive(archive, options.images, options.side)
        before, start = _peak(), time.perf_counter()
        manifest = import_data(SKETCHY, [archive], Path(folder) / "out", Wish(options.size))
        seconds = time.perf_counter() - start
        row = {
            "images": len(manifest["files"]),
            "seconds": round(seconds, 1),
            "images a second": round(len(manifest["files"]) / seconds),
            "peak memory, MiB": round(_peak()),
            "of it by the import, MiB": round(_peak() - before),
        }
        print(json.dumps(row))


def _peak() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
