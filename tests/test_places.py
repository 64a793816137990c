"""The kit in awkward places: it works there, or says in one line what to do.

A home that cannot be written to, a folder with blanks and umlauts, no network, no display, a
kernel spec that leads nowhere, JupyterLab in another environment than the kernel, wrong packages.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from jupyter_client import BlockingKernelClient

from dfsbir_lite import environment

ROOT = Path(__file__).resolve().parent.parent
PLACE = "mit Leerzeichen und Ümläuten"
WELL = "Everything is in place.\n"
GONE = {"argv": ["/gone/bin/python", "-f", "{connection_file}"], "display_name": "Python 3"}
GONE["language"] = "python"
UNSET = ("DISPLAY", "WAYLAND_DISPLAY", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "DFSBIR_CACHE")


def surroundings(home: Path, root: Path = ROOT) -> dict[str, str]:
    """The environment of a process at `home`, without a display, that finds the kit in `root`."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(root)}


def ask(env: dict[str, str]) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dfsbir_lite.environment"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


# --- what is told -----------------------------------------------------------------------------


def test_a_good_place_is_told_in_one_line(tmp_path):
    told = ask(surroundings(tmp_path))
    assert (told.stdout, told.stderr, told.returncode) == (WELL, "", 0)


def test_a_home_that_cannot_be_written_to_is_told(tmp_path):
    home = tmp_path / "home"
    home.touch()  # where there should be a folder: root may write into one that is read-only
    told = ask(surroundings(home))
    assert told.stdout.splitlines() == [
        f"{home}/.local/share/jupyter/runtime is for JupyterLab and cannot be written to: "
        "set HOME to another",
        f"{home}/.cache/dfsbir_lite is for networks that you train and cannot be written to: "
        "set HOME or DFSBIR_CACHE to another",
    ]
    assert told.returncode == 1  # so that `make lab` stops there
    elsewhere = {"JUPYTER_RUNTIME_DIR": tmp_path / "r", "DFSBIR_CACHE": tmp_path / "c"}
    told = ask(surroundings(home) | {name: str(folder) for name, folder in elsewhere.items()})
    assert (told.stdout, told.returncode) == (WELL, 0)


def test_where_nothing_compiled_can_be_kept_is_told(monkeypatch, tmp_path):
    """Neither with umap, in an environment that somebody else installed, nor at home."""
    kept = Path(environment.find_spec("umap").origin).parent
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DFSBIR_CACHE", str(tmp_path))
    refused = (kept, tmp_path / ".cache" / "numba")
    monkeypatch.setattr(environment, "_writable", lambda folder: folder not in refused)
    (told,) = environment.findings()
    assert told.startswith(f"{refused[1]} is for the maps of notebook 04") and "NUMBA_" in told


def test_another_version_is_told_with_the_remedy(tmp_path):
    fake = tmp_path / "torch-2.3.0.dist-info"
    fake.mkdir()
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.3.0\n")
    env = surroundings(tmp_path)
    told = ask(env | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert told.stdout == (
        "torch 2.3.0 is installed, and <3,>=2.4 is needed; "
        f"run: {sys.executable} -m pip install 'torch<3,>=2.4'\n"
    )


def test_a_missing_package_is_told_with_the_remedy(monkeypatch):
    wanted = ["nonesuch>=1.5", "torch>=2", "other; extra == 'onnx'"]
    monkeypatch.setattr(environment.metadata, "requires", lambda name: wanted)
    remedy = f"run: {sys.executable} -m pip install 'nonesuch>=1.5'"
    assert environment.findings() == [f"nonesuch is not installed; {remedy}"]


def test_a_kit_that_is_not_installed_is_told(monkeypatch):
    def requires(name):
        raise environment.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(environment.metadata, "requires", requires)
    (told,) = environment.findings()
    assert told.startswith("The kit is not installed in") and "make lab" in told


# --- JupyterLab and its kernel ----------------------------------------------------------------


@pytest.fixture
def other(tmp_path) -> Path:
    """Another environment with a JupyterLab, whose kernel `kit` is that of this one.

    It borrows this one's packages, but for the parts of the page that widgets need.
    """
    prefix = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    (site,) = prefix.glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("-packages")]
    (site / "borrowed.pth").write_text("\n".join(here))
    share, kernels = prefix / "share/jupyter", prefix / "share/jupyter/kernels/kit"
    kernels.mkdir(parents=True)
    (share / "lab").symlink_to(Path(sys.prefix) / "share/jupyter/lab")
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernels / "kernel.json").write_text(json.dumps(GONE | {"argv": argv}))
    return prefix


def in_lab(program: Path, kernel: str, home: Path, code: str) -> str:
    """What `code` prints in a new kernel of a JupyterLab that is started by `program`."""
    runtime = home / "runtime"
    env = surroundings(home) | {"JUPYTER_RUNTIME_DIR": str(runtime), "JUPYTER_PREFER_ENV_PATH": "1"}
    command = [program, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ServerApp.port=0", f"--ServerApp.root_dir={home}"]
    with open(home / "log", "w") as log:
        server = subprocess.Popen(command, env=env, cwd=home, stdout=log, stderr=log)
    try:
        ends = time.monotonic() + 120
        while not (found := [*runtime.glob("jpserver-*.json")]):
            assert server.poll() is None and time.monotonic() < ends, (home / "log").read_text()
            time.sleep(0.2)
        time.sleep(0.5)  # it may be half written
        told = json.loads(found[0].read_text())
        session = requests.Session()
        session.trust_env = False  # no proxy
        session.headers["Authorization"] = f"token {told['token']}"
        answer = session.post(f"{told['url']}api/kernels", json={"name": kernel}, timeout=60)
        assert answer.status_code == 201, answer.text
        client = BlockingKernelClient(
            connection_file=str(runtime / f"kernel-{answer.json()['id']}.json")
        )
        client.load_connection_file()
        client.start_channels()
        printed = []
        client.wait_for_ready(timeout=120)
        reply = client.execute_interactive(code, output_hook=printed.append, timeout=120)
        client.stop_channels()
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(m["content"].get("text", "") for m in printed)
    finally:
        server.terminate()
        server.wait(30)


REPORT = "from dfsbir_lite import environment; environment.report()"


@pytest.mark.slow
def test_a_lab_of_another_environment_that_cannot_show_widgets_is_told(other, tmp_path):
    told = in_lab(other / "bin/python", "kit", tmp_path, REPORT)
    assert told == (
        f"JupyterLab runs in {other}, without ipywidgets and anywidget: sliders will not show; "
        "open it with `make lab`, or install ipywidgets anywidget there and open it again\n"
    )
    extensions = other / "share/jupyter/labextensions"
    extensions.symlink_to(Path(sys.prefix) / "share/jupyter/labextensions")
    assert in_lab(other / "bin/python", "kit", tmp_path, REPORT) == WELL


@pytest.mark.slow
def test_a_stale_kernel_spec_of_the_user_does_no_harm(tmp_path):
    """The name of ours, and an interpreter that is gone: `make lab` prefers that of its venv."""
    spec = tmp_path / ".local/share/jupyter/kernels/python3/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps(GONE))
    assert in_lab(Path(sys.executable), "python3", tmp_path, REPORT) == WELL


# --- the first notebook -----------------------------------------------------------------------

INSIDE = """
import fcntl, os, socket, struct, subprocess, sys
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 1))  # 127.0.0.1 answers
if sys.argv[1] == "read-only":
    home = os.environ["HOME"]
    subprocess.run(["mount", "--bind", home, home], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", home], check=True)
    try:
        open(os.path.join(home, "x"), "w")
    except OSError:
        pass
    else:
        sys.exit("home can be written to")
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
except OSError:
    pass
else:
    sys.exit("there is a network")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@pytest.fixture
def secluded():
    """A command in front of others: without any network, and its mounts are its own."""
    command = ["unshare", "--map-root-user", "--net", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"]).returncode:
        pytest.skip("needs Linux and the right to make namespaces")
    return command


@pytest.mark.slow
@pytest.mark.parametrize("home", ["read-only", "with a stale kernel spec"])
def test_the_first_notebook_works_in_an_awkward_place(home, secluded, tmp_path):
    """In a folder with blanks and umlauts, without network and display."""
    root = tmp_path / PLACE / "kit"
    unwanted = shutil.ignore_patterns("__pycache__", "gpu")
    shutil.copytree(ROOT / "dfsbir_lite", root / "dfsbir_lite", ignore=unwanted)
    (root / "notebooks").mkdir()
    for name in ("notebooks/00_start_here.ipynb", "tests/nbval_sanitize.cfg"):
        shutil.copy(ROOT / name, root / "notebooks")
    spec = tmp_path / PLACE / "home/.local/share/jupyter/kernels/python3/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps(GONE))
    if home == "read-only":  # it is told in the first cell, whose output then is another
        spec.unlink()
        options = ["--nbval-lax"]
    else:
        options = ["--nbval", "--nbval-sanitize-with=nbval_sanitize.cfg"]
    nbval = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "--nbval-current-env"]
    nbval += ["--nbval-cell-timeout=600", "00_start_here.ipynb"]
    done = subprocess.run(
        [*secluded, sys.executable, "-c", INSIDE, home, *nbval],
        env=surroundings(tmp_path / PLACE / "home", root),
        cwd=root / "notebooks",
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_figures_need_no_display(tmp_path):
    """Not even where the user wants matplotlib to open windows."""
    code = "import torch; from dfsbir_lite import plots\n"
    code += "print(len(plots.png(plots.image_rows({'a': torch.zeros(1, 3, 8, 8)}, ('b',)))))"
    env = surroundings(tmp_path) | {"MPLBACKEND": "TkAgg"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and int(done.stdout) > 100, done.stderr
