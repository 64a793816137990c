"""Run notebooks top to bottom and store their outputs in place: all, or those that are named.

Each runs in a fresh kernel of the Python that runs this script, in its own folder, as the tests run
it. One that fails keeps its old file; the others are still run, and the exit status is 1.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import nbformat
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient

from dfsbir_lite.files import write_atomically
from dfsbir_lite.runtime import progress

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"

# The same for everyone who runs the series, so that a diff shows what changed in the lesson.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py", "mimetype": "text/x-python", "name": "python",
        "nbconvert_exporter": "python", "pygments_lexer": "ipython3",
    },
}  # fmt: skip
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class ThisPython(KernelSpecManager):
    """Knows one kernel, that of this Python; `python3` alone might lead to another."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


def run(path: Path, timeout: int) -> None:
    """Run the notebook at `path` and replace the file; where a cell fails, raise and leave it."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_spec_manager=ThisPython()),
        resources={"metadata": {"path": str(path.resolve().parent)}},
        timeout=timeout,
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
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        for key in ("collapsed", "scrolled", "execution", "ExecuteTime"):
            cell.metadata.pop(key, None)
        # a stored widget view shows "model not found"; without it one sees its text or picture
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("data") != {}]


def main(arguments: list[str] | None = None) -> int:
    """Run the notebooks that the `arguments` name and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks to run (default: all)")
    parser.add_argument("--timeout", type=int, default=600, help="seconds a cell (default: 600)")
    options = parser.parse_args(arguments)
    # `[!.]` leaves out the copies that JupyterLab keeps in .ipynb_checkpoints
    paths = options.paths or [*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("[!.]*/*.ipynb")]
    os.environ["OMP_NUM_THREADS"] = "1"  # the same digits with any number of cores
    failed = []
    for path in (bar := progress(sorted(paths), desc="notebooks")):
        try:
            run(path, options.timeout)
        except Exception as error:  # of any cell
            failed.append(str(path))
            bar.write(f"{path}: {type(error).__name__}: {error}", file=sys.stderr)
    print("not stored:", ", ".join(failed) or "none", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
