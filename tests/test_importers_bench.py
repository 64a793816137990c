"""What an import costs does not grow with the data set."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "data_scripts" / "bench_import.py"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data_set():
    """Eight times the images: 1,050 more of them would be 200 MiB as pixels, at 256 px."""
    rows = []
    for images in (150, 1200):
        command = [sys.executable, str(SCRIPT), "--images", str(images)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout))
    assert [row["images"] for row in rows] == [150, 1200]
    assert rows[1]["peak memory, MiB"] < rows[0]["peak memory, MiB"] + 40
    assert rows[1]["images a second"] > 10_000 / 120 / 4  # on a machine that has other work
