"""pip and conda users get the same packages: pyproject.toml and environment.yml agree."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent

# What conda-forge calls the packages that PyPI calls otherwise.
CONDA_NAMES = {"torch": "pytorch", "opencv-python-headless": "py-opencv"}


def split(requirement: str) -> tuple[str, frozenset[str]]:
    """`torch>=2.4,<3` or `pytorch >=2.4,<3` as a name and its bounds, in any order."""
    name, bounds = re.fullmatch(r"\s*([\w.-]+)\s*(.*?)\s*", requirement).groups()
    return name.lower(), frozenset(bounds.replace(" ", "").split(",")) - {""}


def pip_ranges() -> dict[str, frozenset[str]]:
    """Bounds by conda name, of pyproject.toml; Python is one of the packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ranges = dict(split(requirement) for requirement in project["dependencies"])
    ranges["python"] = split("python" + project["requires-python"])[1]
    return {CONDA_NAMES.get(name, name): bounds for name, bounds in ranges.items()}


def test_both_files_name_the_same_packages_and_ranges():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *packages, package_from_here = environment["dependencies"]
    assert package_from_here == {"pip": ["-e ."]}
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert dict(split(package) for package in packages if package != "pip") == pip_ranges()


def test_every_package_has_a_lower_bound_and_no_exact_pin():
    for name, bounds in pip_ranges().items():
        assert any(bound.startswith(">=") for bound in bounds), name
        assert not any(bound.startswith(("==", "~=")) for bound in bounds), name
