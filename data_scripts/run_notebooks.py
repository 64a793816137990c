"""Run notebooks top to bottom and store their outputs in place: all, or those that are named.

One that fails keeps its old file; the others are still run, and the exit status is 1.
"""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from dfsbir_lite.files import write_atomically
from dfsbir_lite.runtime import progress

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"

# The same for everyone who runs the series, so that a diff shows what changed in the lesson.
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def run(path: Path) -> None:
    """Run the notebook at `path` in its own folder and replace the file, unless a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.resolve().parent)}},
        timeout=600,  # seconds a cell
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
    )
    # what the kernel process itself says is no output of a cell
    client.execute(cleanup_kc=True, stderr=subprocess.DEVNULL)
    normalise(notebook)
    write_atomically(path, (nbformat.writes(notebook) + "\n").encode())


def normalise(notebook) -> None:
    """Drop whatever differs from run to run or from reader to reader and teaches nothing."""
    language = notebook.metadata["language_info"]  # as the kernel says
    kept = {key: language[key] for key in language if key not in ("version", "codemirror_mode")}
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": kept})
    for cell in notebook.cells:
        for key in ("collapsed", "scrolled", "execution", "ExecuteTime"):
            cell.metadata.pop(key, None)
        # a stored widget view shows "model not found"; without it one sees its text or picture
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("data") != {}]


if __name__ == "__main__":
    # `[!.]` leaves out the copies that JupyterLab keeps in .ipynb_checkpoints
    paths = [*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("[!.]*/*.ipynb")]
    os.environ["OMP_NUM_THREADS"] = "1"  # the same digits with any number of cores
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # the kernel of this Python, not the user's own
    failed = []
    for path in (bar := progress([*map(Path, sys.argv[1:])] or sorted(paths), desc="notebooks")):
        try:
            run(path)
        except Exception as error:  # of any cell
            failed.append(str(path))
            bar.write(f"{path}: {type(error).__name__}: {error}", file=sys.stderr)
    if failed:
        sys.exit(f"not stored: {', '.join(failed)}")
