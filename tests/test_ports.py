"""JupyterLab, as `make lab` opens it, listens on this machine alone and asks for its token; the
kit itself opens no port."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = ("127.0.0.1", "::1")
OWN = ("CONFIG", "DATA", "RUNTIME")  # Jupyter's folders, which are not the user's here


def lab_arguments() -> list[str]:
    """What `make lab` gives to Python, without LAB_ARGS."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    (words,) = re.findall(r"^\tJUPYTER_PREFER_ENV_PATH=1 \$\(PY\) (.+)$", recipe, re.MULTILINE)
    return words.replace("$(LAB_ARGS)", "").split()


def listening(pid: int) -> set[str]:
    """The addresses on which a process and its children wait for others."""
    parent, found = psutil.Process(pid), set()
    for process in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it has just ended
            connections = process.net_connections("inet")
            found |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    return found


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab as `make lab` starts it, without a browser: its process, URL and token."""
    if os.environ.get("JUPYTER_TOKEN"):
        pytest.skip("JUPYTER_TOKEN sets another token than that of `make lab`")
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in OWN}
    command = [sys.executable, *lab_arguments(), "--no-browser", "--allow-root"]
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(
            [*command, "--ServerApp.port=0"],
            cwd=ROOT,
            env={**os.environ, **own, "JUPYTER_PREFER_ENV_PATH": "1"},
            stdout=log,
            stderr=log,
        )
        try:
            yield server, *whereabouts(server, tmp_path)
        finally:
            server.terminate()
            server.wait(30)


def whereabouts(server, folder: Path) -> tuple[str, str]:
    """The URL and the token that the server writes down once it answers."""
    ends = time.monotonic() + 90
    while time.monotonic() < ends and server.poll() is None:
        for path in folder.glob("RUNTIME/jpserver-*.json"):
            try:
                told = json.loads(path.read_text())
            except json.JSONDecodeError:  # half written
                continue
            return told["url"], told["token"]
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{(folder / 'log').read_text()}")


@pytest.mark.slow
def test_the_lab_listens_here_alone_and_wants_its_token(lab):
    server, url, token = lab
    ask = requests.Session()
    ask.trust_env = False  # no proxy
    assert len(token) >= 32
    assert listening(server.pid) and listening(server.pid) <= set(LOOPBACK)
    for given in (None, "0" * len(token)):
        headers = {"Authorization": f"token {given}"} if given else {}
        assert ask.get(f"{url}api/contents", headers=headers, timeout=30).status_code == 403
        page = ask.get(f"{url}lab", headers=headers, timeout=30, allow_redirects=False)
        assert page.status_code == 302 and "/login" in page.headers["Location"]
        assert ask.post(f"{url}api/kernels", headers=headers, timeout=30).status_code == 403
    headers = {"Authorization": f"token {token}"}
    assert ask.get(f"{url}api/contents", headers=headers, timeout=30).status_code == 200
    kernel = ask.post(f"{url}api/kernels", headers=headers, json={}, timeout=60)
    assert kernel.status_code == 201
    ends = time.monotonic() + 120
    while not any(listening(child.pid) for child in psutil.Process(server.pid).children()):
        assert time.monotonic() < ends, "the kernel opens no port"
        time.sleep(0.2)
    for _ in range(10):  # it has several
        assert listening(server.pid) <= set(LOOPBACK)
        time.sleep(0.1)


GUARD = """
import sys

def guard(event, args):
    if event in ("socket.bind", "socket.sendto", "socket.connect"):
        address = args[1]
        if event == "socket.bind" or isinstance(address, tuple):
            raise SystemExit(f"GUARD: {event} {address}")

sys.addaudithook(guard)
"""
# what C++ opens is not audited
AFTER = """
import psutil
if connections := psutil.Process().net_connections("inet"):
    raise SystemExit(f"GUARD: open at the end: {connections}")
"""
USE = """
import pkgutil
import dfsbir_lite

for module in pkgutil.walk_packages(dfsbir_lite.__path__, "dfsbir_lite."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
        print(module.name)

import torch
from dfsbir_lite import widgets, zoo
from dfsbir_lite.__main__ import main
from dfsbir_lite.data import toybox_set
from dfsbir_lite.gallery import open_gallery
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import profile
from dfsbir_lite.synthesis import synthesize

given = ["--photos", sys.argv[1], "--sketches", sys.argv[2]]
assert main(["run", *given, "--out", "run", "--steps", "2", "--set", "batch=8"]) == 0
assert main(["export", "--out", "gallery"]) == 0
open_gallery("gallery")
student, teachers = zoo.load_or_train("student"), zoo.load_teachers()
photos = toybox_set("photo", "test", profile("laptop"), per_class=1)
widgets.DrawAndSearch({"student": student.embed}, photos)
settings = recipe("kit", batch=8)
panel = widgets.LivePanel(lambda r: synthesize(teachers, r), settings, teachers)
panel.start(), panel.stop(), panel.step()
print("done")
"""


def under_guard(code: str, folder: Path, *arguments) -> subprocess.CompletedProcess:
    """Runs `code` in `folder`, in a process that ends where it opens a port or calls another."""
    script = folder / "script.py"
    script.write_text(GUARD + code + AFTER, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DFSBIR_QUIET": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
def test_the_kit_opens_no_port_and_calls_nobody(tmp_path, write_folders):
    done = under_guard(USE, tmp_path, *write_folders(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "done" and "dfsbir_lite.widgets.panel" in lines and len(lines) > 40


@pytest.mark.parametrize(
    "code",
    [
        "import http.server\nhttp.server.HTTPServer(('127.0.0.1', 0), None)",
        "import socket\nsocket.create_server(('', 0))",
        "import socket\nsocket.create_connection(('127.0.0.1', 9))",
        "import torch.distributed as d\nstore = d.TCPStore('127.0.0.1', 0, is_master=True)",
    ],
)
def test_the_guard_trips(code, tmp_path):
    done = under_guard(code, tmp_path)
    assert "GUARD: " in done.stderr and done.returncode == 1
