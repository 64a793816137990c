"""Is everything in place? Each thing that is not is told in one line, with what to do about it.

`python -m dfsbir_lite.environment`, before JupyterLab is opened, and notebook 00 in its kernel ask.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

# what a page needs of JupyterLab's environment to show sliders and drawing pad, by package
PARTS = {"ipywidgets": "@jupyter-widgets/jupyterlab-manager", "anywidget": "anywidget"}


def findings() -> list[str]:
    """What is not in place, a line each; empty if all is well.

    Packages come first: where they are not right, nothing else is asked.
    """
    return [*_packages()] or [*_folders(), *_widgets(lab_prefix())]


def report() -> None:
    """Prints the findings, or that there are none."""
    print("\n".join(findings()) or "Everything is in place.")


def cache_folder() -> Path:
    """Where networks trained on this machine are kept: DFSBIR_CACHE, or ~/.cache/dfsbir_lite."""
    return Path(os.environ.get("DFSBIR_CACHE") or Path.home() / ".cache" / "dfsbir_lite")


def _packages() -> Iterator[str]:
    """Packages that are missing, or of versions that the kit cannot work with."""
    if find_spec("packaging") is None:
        yield f"packaging is not installed; run: {sys.executable} -m pip install packaging"
        return
    from packaging.requirements import Requirement  # here, as what this module looks for elsewhere

    try:
        wanted = map(Requirement, metadata.requires("dfsbir-lite"))
    except metadata.PackageNotFoundError:
        yield f"The kit is not installed in {sys.prefix}: run `make lab`, or `pip install -e .`"
        return
    for need in wanted:
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        pip = f"run: {sys.executable} -m pip install '{need}'"
        try:
            has = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            if not (need.name == "opencv-python-headless" and find_spec("cv2")):  # has other names
                yield f"{need.name} is not installed; {pip}"
        else:
            if not need.specifier.contains(has, prereleases=True):
                yield f"{need.name} {has} is installed, and {need.specifier} is needed; {pip}"


def _folders() -> Iterator[str]:
    """Folders of the user that cannot be written to, as in a home that is read-only."""
    homes = {"JupyterLab": ("HOME", _runtime())}
    homes["networks that you train"] = ("HOME or DFSBIR_CACHE", cache_folder())
    if not _writable(Path(find_spec("umap").origin).parent):  # what numba compiles stays there, or
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        numba = os.environ.get("NUMBA_CACHE_DIR") or caches / "numba"
        homes["the maps of notebook 04"] = ("HOME or NUMBA_CACHE_DIR", numba)
    for purpose, (names, folder) in homes.items():
        if not _writable(Path(folder)):
            yield f"{folder} is for {purpose} and cannot be written to: set {names} to another"


def _runtime() -> Path:
    """Where JupyterLab writes down what it needs to run."""
    from jupyter_core.paths import jupyter_runtime_dir

    return Path(jupyter_runtime_dir())


def _writable(folder: Path) -> bool:
    """Whether `folder` is one that can be written to, or can be made."""
    # os.path's: that of Path raises if a folder on the way may not be entered
    folders = (folder, *folder.absolute().parents)
    there = next(path for path in folders if os.path.exists(path))
    return there.is_dir() and os.access(there, os.W_OK)


def lab_prefix() -> Path | None:
    """The environment of the JupyterLab that has started this kernel; None if nothing tells."""
    import psutil

    try:
        parent = psutil.Process(os.getppid())
        words, path = parent.cmdline(), parent.environ().get("PATH")
        program = Path(parent.cwd(), shutil.which(words[0], path=path) or words[0])
    except (psutil.Error, IndexError):
        return None
    if not any("jupyter" in word for word in words[:3]):
        return None
    around = (program.parent, program.parent.parent)  # on Windows, and elsewhere
    return next((folder for folder in around if (folder / "share" / "jupyter").is_dir()), None)


def _widgets(lab: Path | None) -> Iterator[str]:
    """Whether JupyterLab, in the environment `lab`, can show what this kernel sends."""
    if lab is None or os.path.samefile(lab, sys.prefix):
        return
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    folders = [folder for folder in folders if Path(sys.prefix) not in folder.parents]
    folders.append(lab / "share" / "jupyter" / "labextensions")
    missing = [
        name for name, part in PARTS.items() if not any((f / part).is_dir() for f in folders)
    ]
    if missing:
        names = " ".join(missing)
        yield (
            f"JupyterLab runs in {lab}, without {' and '.join(missing)}: sliders will not show; "
            f"open it with `make lab`, or install {names} there and open it again"
        )


if __name__ == "__main__":
    report()
    sys.exit(find_spec("jupyter_core") is None or not _writable(_runtime()))  # no JupyterLab then
