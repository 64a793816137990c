"""Downloads from a server that fails in the ways that servers do."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import numpy as np
import pytest
from pacs import PACS

import quickdraw
from dfsbir_lite.runtime import UserError
from importers.cli import main
from importers.download import Download, fetch

CONTENT = np.random.default_rng(0).bytes(100_000)


class Server(ThreadingHTTPServer):
    """Serve `content` up to the byte `cut`; `paths` is what was asked for, `sent` how much came."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut, self.with_length = CONTENT, None, True
        self.status, self.paths, self.sent = 200, [], 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.paths.append(self.path)
        self.send_response(server.status)
        if server.with_length:
            self.send_header("Content-Length", str(len(server.content)))
        self.end_headers()
        content = server.content[: server.cut]
        try:
            for i in range(0, len(content), 65_536):
                server.sent += self.wfile.write(content[i : i + 65_536])
        except OSError:  # the client has enough
            pass


@pytest.fixture
def server():
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=[0.01], daemon=True).start()
        yield running
        running.shutdown()


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize("with_length", [True, False])
def test_a_whole_file(server, tmp_path, with_length):
    server.with_length = with_length
    path = fetch(Download(server.url), tmp_path / "new")
    assert path == tmp_path / "new" / "file.zip" and path.read_bytes() == CONTENT
    assert names(tmp_path / "new") == ["file.zip"]
    fetch(Download(server.url), tmp_path / "new")
    assert len(server.paths) == 1  # it is there already


@pytest.mark.parametrize("cut", [0, 1, 99_999])
@pytest.mark.parametrize("lines", [None, 9_999])
def test_a_connection_that_breaks_off_leaves_nothing_and_names_a_way_out(
    server, tmp_path, cut, lines
):
    server.cut = cut
    path = tmp_path / "file.zip"
    curl = f"curl --location --continue-at - --output '{path}' '{server.url}'"
    with pytest.raises(UserError) as refusal:
        fetch(Download(server.url, lines=lines), tmp_path)
    assert str(refusal.value).startswith(server.url) and curl in str(refusal.value)
    assert names(tmp_path) == []
    server.cut = None
    assert fetch(Download(server.url), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("lines", [None, 5])
@pytest.mark.parametrize("status", [404, 503])
def test_a_dead_link(server, tmp_path, status, lines):
    server.status = status
    with pytest.raises(
        UserError, match=rf"^{server.url}: {status} .*; get it elsewhere and import"
    ):
        fetch(Download(server.url, lines=lines), tmp_path)
    assert names(tmp_path) == []


def numbered(count: int) -> bytes:
    return b"".join(b"%099d\n" % n for n in range(count))


def test_only_the_first_lines_are_transferred(server, tmp_path):
    server.content = numbered(300_000)  # 30 MB
    path = fetch(Download(server.url, lines=500), tmp_path)
    assert path.read_bytes() == numbered(500) and names(tmp_path) == ["file.zip"]
    assert server.sent < len(server.content) / 2


def test_more_lines_than_before_or_than_there_are(server, tmp_path):
    server.content = numbered(50)
    for wanted, there in ((5, 5), (3, 5), (8, 8), (99, 50)):
        path = fetch(Download(server.url, lines=wanted), tmp_path)
        assert path.read_bytes() == numbered(there)
    assert len(server.paths) == 3  # three were among the five


def test_drawings_in_any_spelling_once_the_licence_is_accepted(
    server, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(quickdraw, "STORAGE", server.url.rpartition("/")[0])
    server.content = numbered(200)
    get = ["download", "--classes", "Hot-Air_Balloon,eiffel tower, T shirt", "--per-class", "20"]
    get += ["--out", str(tmp_path / "raw")]
    with pytest.raises(SystemExit, match="error: nothing downloaded; with --accept-licence"):
        main(quickdraw.QUICKDRAW, get)
    assert "CC BY 4.0" in capsys.readouterr().out and names(tmp_path) == []
    main(quickdraw.QUICKDRAW, [*get, "--accept-licence"])
    found = ["The Eiffel Tower.ndjson", "hot air balloon.ndjson", "t-shirt.ndjson"]
    assert names(tmp_path / "raw") == found
    assert sorted(map(unquote, server.paths)) == [f"/{name}" for name in found]
    assert (tmp_path / "raw/t-shirt.ndjson").read_bytes() == numbered(20)
    assert f"import {tmp_path}/raw --out DIR" in capsys.readouterr().out


def test_what_only_people_can_download(tmp_path):
    with pytest.raises(SystemExit, match="PACS cannot be downloaded by a script"):
        main(PACS, ["download", "--out", str(tmp_path), "--accept-licence"])
