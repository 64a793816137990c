"""The method is data-free: `synthesis` and `students` cannot reach real images.

The import contracts of pyproject.toml say so for every import that is written in the code, and
`make test` checks them (`lint-imports`). Here real steps run in a process that ends as soon as an
image is opened or a module that reads images is imported.
"""

import subprocess
import sys
from pathlib import Path

from dfsbir_lite.recipes import RECIPES, recipe
from dfsbir_lite.teachers import save_teacher

GUARD = """
import os, sys

READERS = ("PIL.", "torchvision.", "cv2.", "dfsbir_lite.data.", "dfsbir_lite.toybox.")
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")

def guard(event, args):
    if event == "open" and str(args[0]).lower().rstrip("'").endswith(SUFFIXES):
        what = f"opened {args[0]}"
    elif event == "import" and (args[0] + ".").startswith(READERS):
        what = f"imported {args[0]}"
    else:
        return
    print("GUARD:", what, file=sys.stderr, flush=True)
    os._exit(3)  # nothing can catch this

sys.addaudithook(guard)
"""

LEARN = """
from dfsbir_lite.recipes import RECIPES, recipe
from dfsbir_lite.runtime import Profile
from dfsbir_lite.students import distill, new_encoders
from dfsbir_lite.teachers import load_teacher
from dfsbir_lite.teachers import Teachers

names = ("photo", "sketch", "modality")
teachers = Teachers(*(load_teacher(f"{name}.safetensors") for name in names))
sizes = Profile("tiny", 16, (8, 16), 8, 8, 1, 1, 1)
small = {"batch": 8, "noise_dim": 8, "estimator_steps": 2, "refresh_every": 2, "adv_after": 0}
for name in RECIPES:
    loop = distill(teachers, recipe(name, **small), new_encoders(sizes, 3), steps=3, width=8)
    for step in loop:
        pass
    loop.save("state.pt")
    loop.resume("state.pt")
    print(name, step.index, *sorted(step.terms))
print("now an image is opened", flush=True)
open("b.JPEG")
"""


def guarded(code: str, folder: Path) -> subprocess.CompletedProcess:
    """Run `code` in `folder`, in a new process under the guard."""
    (folder / "script.py").write_text(GUARD + code, encoding="utf-8")
    command = [sys.executable, "script.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_real_steps_open_no_image(teachers, tmp_path):
    named = {"photo": teachers.photo, "sketch": teachers.sketch, "modality": teachers.guidance}
    for name, teacher in named.items():
        save_teacher(tmp_path / f"{name}.safetensors", teacher, {})
    done = guarded(LEARN, tmp_path)
    assert done.returncode == 3 and done.stderr.strip() == "GUARD: opened b.JPEG"
    *reports, last = (line.split() for line in done.stdout.splitlines())
    assert [report[:2] for report in reports] == [[name, "2"] for name in RECIPES]
    terms = {n: {k for k, v in vars(recipe(n).weights).items() if v} for n in RECIPES}
    assert all(terms[name] <= set(found) for name, _, *found in reports)
    assert last[0] == "now"


def test_an_import_trips_the_guard(tmp_path):
    done = guarded("try:\n    import PIL\nexcept BaseException:\n    pass", tmp_path)
    assert done.returncode == 3 and done.stderr.strip() == "GUARD: imported PIL"
