"""Run notebooks top to bottom and store their outputs in place: all, or those that are named.

One that fails keeps its old file; the others are still run, and the exit status is 1.
"""

import ast
import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

from dfsbir_lite.files import write_atomically
from dfsbir_lite.runtime import progress

ROOT = Path(__file__).resolve().parent.parent
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# What the kernel runs before the first cell and after the last, to tell which files it read.
BEFORE = """import sys as _sys
_sys.read = []
_sys.addaudithook(lambda event, args: event == "open" and _sys.read.append(args[0]))"""
AFTER = """_sys.read += [m.__file__ for n, m in [*_sys.modules.items()] if "dfsbir_lite" in n]
print(*{str(path) for path in _sys.read if "dfsbir_lite" in str(path)}, sep="\\n")"""
# Of a dumped syntax tree: what only some Pythons write, commas beside it, and docstrings.
IDLE = r"""\w+=(\[\]|Load\(\))|, |Expr\(value=Constant\(value=(['"])(\\.|(?!\2).)*\2\)\)"""


def run(path: Path) -> None:
    """Run the notebook at `path` in its own folder and replace the file, unless a cell fails."""
    notebook, now = nbformat.read(path, as_version=4), digests()
    notebook.cells.append(last := nbformat.v4.new_code_cell(AFTER))
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.resolve().parent)}},
        timeout=600,  # seconds a cell
        coalesce_streams=True,
        record_timing=False,
        on_notebook_start=lambda notebook: client.kc.execute(BEFORE, silent=True),
    )
    client.execute(cleanup_kc=True, stderr=subprocess.DEVNULL)  # the process's, not a cell's
    notebook.cells.remove(last)
    read = last.outputs[0].text.splitlines()
    used = {name: value for name, value in now.items() if str(ROOT / name) in read}
    normalise(notebook, {"its own code": of_cells(notebook), **used})
    write_atomically(path, (nbformat.writes(notebook) + "\n").encode())


def normalise(notebook, made_from: dict[str, str]) -> None:
    """Drop whatever differs from run to run or from reader to reader and teaches nothing."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    known = {"kernelspec": kernel, "language_info": {"name": "python"}, "made_from": made_from}
    notebook.metadata = nbformat.from_dict(known)
    for cell in notebook.cells:
        for key in ("collapsed", "scrolled", "execution", "ExecuteTime"):
            cell.metadata.pop(key, None)
        # a stored widget view shows "model not found"; without it one sees its text or picture
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("data") != {}]


def digests() -> dict[str, str]:
    """Return a digest of each file of the package on which stored outputs may depend."""
    kinds = (".py", ".json", ".csv", ".safetensors")  # no stored output shows JavaScript or CSS
    paths = [path for path in (ROOT / "dfsbir_lite").rglob("*") if path.suffix in kinds]
    contents = [p.read_text("utf-8") if p.suffix == ".py" else p.read_bytes() for p in paths]
    return {p.relative_to(ROOT).as_posix(): digest(each) for p, each in zip(paths, contents)}


def of_cells(notebook) -> str:
    """Return a digest of the notebook's code cells."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return digest(*map(TransformerManager().transform_cell, cells))


def digest(*parts: str | bytes) -> str:
    """Return a digest of bytes, or of code, whose comments, layout and docstrings do not count."""
    known = [re.sub(IDLE, "", ast.dump(ast.parse(p))) if isinstance(p, str) else p for p in parts]
    return sha256(repr(known).encode()).hexdigest()[:8]


if __name__ == "__main__":
    paths = [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/solutions/*.ipynb")]
    os.environ["PYTHONPATH"] = str(ROOT)  # this copy of the package, whose files are recorded
    os.environ.pop("DFSBIR_DATA_ROOT", None)  # real photos are not ours to store
    os.environ |= {"OMP_NUM_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1"}  # digits, kernel
    failed = 0
    for path in progress([*map(Path, sys.argv[1:])] or sorted(paths), desc="notebooks"):
        try:
            run(path)
        except Exception as error:  # of any cell
            failed = 1
            print(f"{path}: not stored: {type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(failed)
