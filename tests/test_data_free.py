"""Data-free, proven twice: synthesis and students cannot reach real images.

From the import graph, which knows every import that is written anywhere in the code; and at run
time, in a process that ends as soon as an image is opened or a forbidden module is imported.
"""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dfsbir_lite
from dfsbir_lite.data import IMAGE_SUFFIXES
from dfsbir_lite.teachers import save_teacher

PACKAGE = Path(dfsbir_lite.__file__).parent
LOOPS = ("dfsbir_lite.synthesis", "dfsbir_lite.students")
# modules of ours that see real images, and packages that read image files
SEEING = (
    *("data", "toybox", "sources", "baselines", "zoo", "pipeline", "bench", "export", "audit"),
    *("experiments", "own"),
)
OURS = tuple(f"dfsbir_lite.{module}" for module in SEEING)
OTHERS = ("PIL", "torchvision", "cv2", "imageio", "skimage")
# ways to import that a reader of the code would not see
HIDDEN = ("importlib", "runpy", "pkgutil", "__import__", "exec", "eval")


# --- the import graph -------------------------------------------------------------------------


def modules(package: Path) -> dict[str, Path]:
    """The package's modules by dotted name."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path) -> set[str]:
    """Everything that one module names in an import, at any depth of its code, dotted."""
    names = set()
    parent = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = parent.rsplit(".", node.level - 1)[0] if node.level > 1 else parent
                base = f"{above}.{base}".rstrip(".")
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Name) and node.id in HIDDEN:
            names.add(node.id)
    return names


def reach(package: Path, start: tuple[str, ...]) -> set[str]:
    """Everything that `start` imports, directly or through other modules of the package."""
    known = modules(package)
    assert set(start) <= known.keys()
    seen, to_do = set(), list(start)
    while to_do:
        name = to_do.pop()
        if name in seen:
            continue
        seen.add(name)
        if "." in name:
            to_do.append(name.rpartition(".")[0])  # importing a.b imports a
        if name in known:
            to_do += imported(name, known[name])
    return seen


def forbidden(package: Path) -> set[str]:
    """What the loops reach and must not."""
    bad = (*OURS, *OTHERS, *HIDDEN)
    return {n for n in reach(package, LOOPS) if any(n == b or n.startswith(f"{b}.") for b in bad)}


def test_no_import_leads_from_the_loops_to_images():
    assert forbidden(PACKAGE) == set()


def test_the_graph_is_not_empty():
    reached = reach(PACKAGE, LOOPS)
    ours = {"losses", "models", "teachers", "augment", "checkpoint", "recipes", "runtime"}
    assert {f"dfsbir_lite.{m}" for m in ours} <= reached and "torch" in reached
    # the same walk from the pipeline, which does see images, finds what it should
    seen = reach(PACKAGE, ("dfsbir_lite.pipeline",))
    assert {"dfsbir_lite.data", "dfsbir_lite.toybox", "PIL.Image", "cv2"} <= seen


@pytest.mark.parametrize(
    "module, line, found",
    [
        ("synthesis", "from dfsbir_lite import data", "dfsbir_lite.data"),
        ("students", "import dfsbir_lite.toybox.shapes as s", "dfsbir_lite.toybox.shapes"),
        ("losses", "from dfsbir_lite.data import read_image", "dfsbir_lite.data"),
        ("augment", "def f():\n    from .zoo import load_teachers", "dfsbir_lite.zoo"),
        ("runtime", "if 0:\n    from . import baselines", "dfsbir_lite.study.baselines"),
        ("__init__", "from .pipeline import run", "dfsbir_lite.pipeline"),
        ("models", "import torchvision.io", "torchvision.io"),
        ("checkpoint", "try:\n    from PIL import Image\nexcept ImportError:\n    pass", "PIL"),
        ("recipes", "import importlib", "importlib"),
        ("teachers", "__import__('cv2')", "__import__"),
    ],
)
def test_a_forbidden_import_is_noticed(tmp_path, module, line, found):
    copy = tmp_path / "dfsbir_lite"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("assets", "__pycache__"))
    with (copy / f"{module}.py").open("a") as file:
        file.write(f"\n{line}\n")
    assert found in forbidden(copy)


# --- at run time ------------------------------------------------------------------------------

FORBIDDEN = tuple(f"{name}." for name in OURS + OTHERS)
GUARD = f"""
import os, sys

def guard(event, args):
    if event == "open" and str(args[0]).lower().rstrip("'").endswith({IMAGE_SUFFIXES!r}):
        what = f"opened {{args[0]}}"
    elif event == "import" and (args[0] + ".").startswith({FORBIDDEN!r}):
        what = f"imported {{args[0]}}"
    else:
        return
    print("GUARD:", what, file=sys.stderr, flush=True)
    os._exit(3)  # nothing can catch this

sys.addaudithook(guard)
"""

LEARN = """
from itertools import islice
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile
from dfsbir_lite.students import distill, encoders_from_teachers, new_encoders
from dfsbir_lite.synthesis import synthesize
from dfsbir_lite.teachers import Teachers, load_teacher

names = ("photo", "sketch", "modality")
teachers = Teachers(*(load_teacher(f"{name}.safetensors") for name in names))
sizes = Profile("tiny", 16, (8, 16), 8, 8, 1, 1, 1)
small = {"batch": 8, "noise_dim": 8, "estimator_steps": 2, "refresh_every": 2, "adv_after": 0}
for name in ("kit", "paper"):
    settings = recipe(name, **small)
    for step in islice(synthesize(teachers, settings, width=8), 4):
        step.photos.sum().item()
    for start in (new_encoders(sizes, 3), encoders_from_teachers(teachers, sizes)):
        loop = distill(teachers, settings, start, steps=3, width=8)
        for step in loop:
            pass
        loop.save("state.safetensors")
        loop.resume("state.safetensors")
    print(name, step.index, *sorted(step.terms))
"""


def guarded(code: str, folder: Path) -> subprocess.CompletedProcess:
    """Runs `code` in `folder`, in a new process under the guard."""
    (folder / "script.py").write_text(GUARD + code, encoding="utf-8")
    command = [sys.executable, "script.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_real_steps_open_no_image(teachers, tmp_path):
    named = {"photo": teachers.photo, "sketch": teachers.sketch, "modality": teachers.guidance}
    for name, teacher in named.items():
        save_teacher(tmp_path / f"{name}.safetensors", teacher, {})
    done = guarded(LEARN, tmp_path)
    assert done.returncode == 0, done.stderr
    kit = "activation adv align bn diversity entropy hint match modal one_hot proxy"
    paper = "activation adv align bn contrastive diversity entropy match modal one_hot proxy"
    assert done.stdout.splitlines() == [f"kit 2 {kit}", f"paper 2 {paper}"]


@pytest.mark.parametrize(
    "code, told",
    [
        ("import dfsbir_lite.data", "imported dfsbir_lite.data"),
        ("from dfsbir_lite import toybox", "imported dfsbir_lite.toybox"),
        ("try:\n    import PIL\nexcept BaseException:\n    pass", "imported PIL"),
        ("import torchvision", "imported torchvision"),
        ("import cv2", "imported cv2"),
        ("open('x.png', 'rb')", "opened x.png"),
        ("import pathlib\npathlib.Path('b.JPEG').read_bytes()", "opened b.JPEG"),
        ("import os\nos.open(b'x.gif', os.O_RDONLY)", "opened b'x.gif'"),
        ("import numpy\nnumpy.fromfile('x.bmp')", "opened x.bmp"),
    ],
)
def test_the_guard_trips(code, told, tmp_path):
    done = guarded(f"{code}\nprint('came through')", tmp_path)
    assert done.returncode == 3 and done.stderr.strip() == f"GUARD: {told}"
    assert "came through" not in done.stdout


def test_the_guard_lets_other_code_pass(tmp_path):
    done = guarded("import json, dfsbir_lite\nopen('script.py').read()\nprint('fine')", tmp_path)
    assert (done.returncode, done.stdout) == (0, "fine\n")
