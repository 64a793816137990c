"""pip and conda users get the same packages: pyproject.toml and environment.yml agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent

# What conda-forge calls the packages that PyPI calls otherwise.
CONDA_NAMES = {"torch": "pytorch", "opencv-python-headless": "py-opencv"}


def split(requirement: str) -> tuple[str, frozenset[str]]:
    """`torch>=2.4,<3` or `pytorch >=2.4,<3` as a name and its bounds, in any order."""
    name, bounds = re.fullmatch(r"\s*([\w.-]+)\s*(.*?)\s*", requirement).groups()
    return name.lower(), frozenset(bounds.replace(" ", "").split(",")) - {""}


def pip_ranges(pyproject: str) -> dict[str, frozenset[str]]:
    """Bounds by conda name, from the text of pyproject.toml; Python is one of the packages."""
    project = tomllib.loads(pyproject)["project"]
    ranges = dict(split(requirement) for requirement in project["dependencies"])
    ranges["python"] = split("python" + project["requires-python"])[1]
    return {CONDA_NAMES.get(name, name): bounds for name, bounds in ranges.items()}


def conda_ranges(environment: str) -> dict[str, frozenset[str]]:
    """Bounds by conda name, from the text of environment.yml, without pip itself."""
    packages = [x for x in yaml.safe_load(environment)["dependencies"] if isinstance(x, str)]
    return dict(split(package) for package in packages if package != "pip")


@pytest.fixture
def pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.fixture
def environment() -> str:
    return (ROOT / "environment.yml").read_text(encoding="utf-8")


def test_both_files_name_the_same_packages_and_ranges(pyproject, environment):
    assert conda_ranges(environment) == pip_ranges(pyproject)


def test_every_package_has_a_lower_bound_and_no_exact_pin(pyproject):
    for name, bounds in pip_ranges(pyproject).items():
        assert any(bound.startswith(">=") for bound in bounds), name
        assert not any(bound.startswith(("==", "~=")) for bound in bounds), name


def test_conda_takes_everything_from_conda_forge_and_the_package_from_here(environment):
    parsed = yaml.safe_load(environment)
    assert parsed["channels"] == ["conda-forge", "nodefaults"]
    assert {"pip": ["-e ."]} in parsed["dependencies"]
    assert "pip" in parsed["dependencies"]
