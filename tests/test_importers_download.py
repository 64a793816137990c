"""Downloads from a server that fails in every way a server can."""

import hashlib
import json
import shutil
import threading
import time
from collections import namedtuple
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from pacs import PACS

import quickdraw
from dfsbir_lite.runtime import UserError
from importers import download
from importers.cli import main
from importers.download import Download, fetch

CONTENT = np.random.default_rng(0).bytes(100_000)
CHUNK = 16_384  # 6 whole ones in CONTENT


class Server(ThreadingHTTPServer):
    """Serves `content`, and breaks off after each number of `cuts` in turn.

    Attributes:
        asked: the Range header of every request, "" without one. sent: bytes that went out.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag, self.kind = CONTENT, '"one"', "application/zip"
        self.cuts, self.statuses, self.asked = [], [], []
        self.ranges, self.delay, self.sent, self.paths = True, 0, 0, []
        self.with_length = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        content = server.content(self.path) if callable(server.content) else server.content
        total = len(content)
        server.asked.append(asked := self.headers.get("Range", ""))
        server.paths.append(self.path)
        same = self.headers.get("If-Range", server.tag) == server.tag
        start = int(asked[6:-1]) if asked and server.ranges and same else 0
        status = server.statuses.pop(0) if server.statuses else 206 if start else 200
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if status >= 400 else server.kind)
        if server.tag:
            self.send_header("ETag", server.tag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if server.with_length:
            self.send_header("Content-Length", str(total - start))
        self.end_headers()
        time.sleep(server.delay)
        stop = server.cuts.pop(0) if server.cuts else total
        try:
            for i in range(start, stop, 65_536):
                server.sent += self.wfile.write(content[i : min(stop, i + 65_536)])
        except OSError:  # the client has enough
            pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(download, "TIMEOUT", 10)
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=[0.01], daemon=True).start()
        yield running
        running.shutdown()


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_whole_file(server, tmp_path):
    path = fetch(Download(server.url, "x.zip"), tmp_path / "new")
    assert path == tmp_path / "new" / "x.zip" and path.read_bytes() == CONTENT
    assert names(tmp_path / "new") == ["x.zip"] and server.asked == [""]
    fetch(Download(server.url, "x.zip"), tmp_path / "new")
    assert server.asked == [""]  # it is there already


@pytest.mark.parametrize(
    "cut, resumed",  # what had come in whole chunks is kept
    [(0, 0), (1, 0), (CHUNK - 1, 0), (CHUNK, CHUNK), (CHUNK + 1, CHUNK), (99_999, 6 * CHUNK)],
)
def test_the_connection_breaks_off_at_any_byte(server, tmp_path, cut, resumed):
    server.cuts = [cut]
    path = fetch(Download(server.url, "x.zip"), tmp_path)
    assert path.read_bytes() == CONTENT and names(tmp_path) == ["x.zip"]
    assert server.asked == ["", f"bytes={resumed}-" if resumed else ""]


def test_it_breaks_off_again_and_again(server, tmp_path):
    server.cuts = [n * CHUNK + 7 for n in range(1, 7)]  # more often than TRIES, but it gets on
    assert fetch(Download(server.url, "x.zip"), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["", *(f"bytes={n * CHUNK}-" for n in range(1, 7))]


def test_a_second_call_goes_on_where_the_first_gave_up(server, tmp_path):
    server.cuts = [20_000] * download.TRIES
    with pytest.raises(UserError, match=r"file\.zip: .*broke off, with 16,384 bytes here"):
        fetch(Download(server.url, "x.zip"), tmp_path)
    assert names(tmp_path) == ["x.zip.part", "x.zip.part.json"]
    assert (tmp_path / "x.zip.part").read_bytes() == CONTENT[:CHUNK]
    server.cuts, server.asked = [], []
    assert fetch(Download(server.url, "x.zip"), tmp_path).read_bytes() == CONTENT
    assert server.asked == [f"bytes={CHUNK}-"] and names(tmp_path) == ["x.zip"]


def test_ctrl_c_leaves_a_part_to_go_on_from(server, tmp_path, monkeypatch, capsys):
    original = download.progress

    def interrupted(**options):
        bar = original(**options)
        calls = iter([None, None, KeyboardInterrupt])

        def update(n):
            if (what := next(calls)) is not None:
                raise what

        bar.update = update
        return bar

    monkeypatch.setattr(download, "progress", interrupted)
    dataset = replace(PACS, downloads=lambda classes, n: [Download(server.url, "x.zip")])
    command = ["download", "--out", str(tmp_path), "--accept-licence"]
    assert main(dataset, command) == 130
    assert capsys.readouterr().err.startswith("interrupted; the same command goes on")
    assert names(tmp_path) == ["x.zip.part", "x.zip.part.json"]
    monkeypatch.setattr(download, "progress", original)
    assert main(dataset, command) == 0
    assert (tmp_path / "x.zip").read_bytes() == CONTENT
    assert server.asked == ["", f"bytes={3 * CHUNK}-"]


def test_the_file_has_changed_meanwhile(server, tmp_path):
    server.cuts = [50_000] * download.TRIES
    with pytest.raises(UserError):
        fetch(Download(server.url, "x.zip"), tmp_path)
    server.content, server.tag, server.cuts = CONTENT[::-1], '"two"', []
    assert fetch(Download(server.url, "x.zip"), tmp_path).read_bytes() == CONTENT[::-1]


def test_the_file_has_changed_and_the_server_does_not_say_so(server, tmp_path):
    """Without an ETag only the length tells."""
    server.tag, server.cuts = "", [50_000] * download.TRIES
    with pytest.raises(UserError):
        fetch(Download(server.url, "x.zip"), tmp_path)
    server.content, server.cuts, server.asked = CONTENT[:70_000][::-1], [], []
    assert fetch(Download(server.url, "x.zip"), tmp_path).read_bytes() == CONTENT[:70_000][::-1]
    assert server.asked == [f"bytes={3 * CHUNK}-", ""]


def test_a_part_of_another_address_is_not_used(server, tmp_path):
    server.cuts = [50_000] * download.TRIES
    with pytest.raises(UserError):
        fetch(Download(server.url, "x.zip"), tmp_path)
    server.cuts, server.asked = [], []
    assert fetch(Download(server.url + "?2", "x.zip"), tmp_path).read_bytes() == CONTENT
    assert server.asked == [""]


def test_a_server_that_cannot_go_on_in_the_middle(server, tmp_path):
    server.ranges, server.cuts = False, [50_000]
    assert fetch(Download(server.url, "x.zip"), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["", f"bytes={3 * CHUNK}-"]


def test_a_part_longer_than_the_file(server, tmp_path):
    server.cuts = [50_000] * download.TRIES
    with pytest.raises(UserError):
        fetch(Download(server.url, "x.zip"), tmp_path)
    server.cuts, server.statuses, server.asked = [], [416], []
    assert fetch(Download(server.url, "x.zip"), tmp_path).read_bytes() == CONTENT
    assert server.asked == [f"bytes={3 * CHUNK}-", ""]


def test_a_server_that_does_not_know_the_length(server, tmp_path):
    server.with_length = False
    assert fetch(Download(server.url, "x.zip"), tmp_path).read_bytes() == CONTENT


def test_checksums(server, tmp_path):
    md5, sha = (hashlib.new(k, CONTENT).hexdigest() for k in ("md5", "sha256"))
    for n, checksum in enumerate((f"md5:{md5}", f"sha256:{sha}")):
        assert fetch(Download(server.url, f"{n}.zip", checksum), tmp_path).is_file()
    wrong = Download(server.url, "x.zip", f"sha256:{sha[::-1]}")
    with pytest.raises(UserError, match=rf"wrong checksum, thrown away \(sha256 {sha}, expected"):
        fetch(wrong, tmp_path)
    assert names(tmp_path) == ["0.zip", "1.zip"]
    (tmp_path / "x.zip").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"x\.zip: already there, but with a wrong checksum"):
        fetch(wrong, tmp_path)
    assert (tmp_path / "x.zip").read_bytes() == b"something else"  # it may be the user's own


def test_no_such_file_on_the_server(server, tmp_path):
    server.statuses = [404]
    with pytest.raises(UserError, match=r"file\.zip: the server answered 404 Not Found"):
        fetch(Download(server.url, "x.zip"), tmp_path)
    assert names(tmp_path) == [] and len(server.asked) == 1  # asking again would not help


def test_a_server_that_recovers(server, tmp_path):
    server.statuses = [503, 500]
    assert fetch(Download(server.url, "x.zip"), tmp_path).read_bytes() == CONTENT


def test_a_web_page_instead_of_the_file(server, tmp_path):
    server.kind, server.content = "text/html; charset=utf-8", b"<html>log in first</html>"
    with pytest.raises(UserError, match=r"a web page instead of the file; open the address"):
        fetch(Download(server.url, "x.zip"), tmp_path)
    assert names(tmp_path) == []


def test_a_server_that_is_too_slow(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    monkeypatch.setattr(download, "TRIES", 2)
    server.delay = 0.5
    with pytest.raises(UserError, match=r"no answer for 0\.1 seconds, with 0 bytes here"):
        fetch(Download(server.url, "x.zip"), tmp_path)
    assert "x.zip" not in names(tmp_path) and len(server.asked) == 2


def test_nobody_answers(server, tmp_path):
    url = server.url
    server.server_close()
    with pytest.raises(UserError, match="broke off, with 0 bytes here"):
        fetch(Download(url, "x.zip"), tmp_path)
    with pytest.raises(UserError, match="No host"):
        fetch(Download("http://", "x.zip"), tmp_path)


def test_no_room_on_the_disk(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 0, 99_999))
    with pytest.raises(UserError, match="100,000 bytes to come, 99,999 free"):
        fetch(Download(server.url, "x.zip"), tmp_path)


# --- the first lines of a long file -----------------------------------------------------------


def lines(count: int, width: int = 100) -> bytes:
    return b"".join(b"%0*d\n" % (width - 1, n) for n in range(count))


def test_only_the_first_lines_are_transferred(server, tmp_path):
    server.content = lines(300_000)  # 30 MB
    path = fetch(Download(server.url, "x.ndjson", lines=500), tmp_path)
    assert path.read_bytes() == lines(500) and names(tmp_path) == ["x.ndjson"]
    deadline = time.monotonic() + 5
    while server.sent < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.sent < len(server.content) / 2


@pytest.mark.parametrize("cut", [1, CHUNK, CHUNK + 50, 49_999])
def test_lines_go_on_in_the_middle_of_one(server, tmp_path, cut):
    server.content, server.cuts = lines(1000), [cut]
    path = fetch(Download(server.url, "x.ndjson", lines=500), tmp_path)
    assert path.read_bytes() == lines(500) and len(server.asked) == 2


def test_more_lines_than_before_or_than_there_are(server, tmp_path):
    server.content = lines(50)
    for wanted, got in ((5, 5), (3, 5), (8, 8), (99, 50)):
        path = fetch(Download(server.url, "x.ndjson", lines=wanted), tmp_path)
        assert path.read_bytes() == lines(got)
    assert len(server.asked) == 3  # three were among the five


# --- the command ------------------------------------------------------------------------------


def test_the_licence_comes_first(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(quickdraw, "STORAGE", server.url)
    command = ["download", "--classes", "cat", "--out", str(tmp_path / "new")]
    assert main(quickdraw.QUICKDRAW, command) == 2
    out, err = capsys.readouterr()
    assert "CC BY 4.0" in out and err.startswith("error: nothing downloaded: --accept-licence")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, status in (("", 2), ("n", 2), ("y", 0)):
        monkeypatch.setattr("builtins.input", lambda prompt, answer=answer: answer)
        assert names(tmp_path / "new") == [] and main(quickdraw.QUICKDRAW, command) == status
    assert names(tmp_path / "new") == ["cat.ndjson"]


def test_drawings_are_found_by_any_spelling(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(quickdraw, "STORAGE", server.url.rpartition("/")[0])
    server.content = lambda path: b"".join(
        json.dumps({"drawing": [[[0, 255, n], [0, 9 * len(path), 255]]]}).encode() + b"\n"
        for n in range(200)
    )
    wanted = ["Hot-Air_Balloon", "eiffel tower", "T shirt"]
    command = ["download", "--classes", ",".join(wanted), "--per-class", "20"]
    assert main(quickdraw.QUICKDRAW, [*command, "--out", str(tmp_path), "--accept-licence"]) == 0
    assert sorted(server.paths) == [
        "/The%20Eiffel%20Tower.ndjson",
        "/hot%20air%20balloon.ndjson",
        "/t-shirt.ndjson",
    ]
    assert names(tmp_path) == [  # as the storage calls them
        "The Eiffel Tower.ndjson",
        "hot air balloon.ndjson",
        "t-shirt.ndjson",
    ]
    assert "import" in capsys.readouterr().out
    out = tmp_path / "set"
    assert main(quickdraw.QUICKDRAW, ["import", str(tmp_path), "--out", str(out)]) == 0
    assert names(out / "sketch/train") == ["eiffel tower", "hot air balloon", "t shirt"]
    assert len(names(out / "sketch/train/t shirt")) == 18  # a tenth of 20 is for the test


def test_what_only_people_can_download(tmp_path, capsys):
    assert main(PACS, ["download", "--out", str(tmp_path), "--accept-licence"]) == 2
    assert "PACS cannot be downloaded by a script. Get the archive from" in capsys.readouterr().err
