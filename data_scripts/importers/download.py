"""Downloads that go on where they stopped, and are whole or absent under their own name."""

import hashlib
import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import requests
from requests.exceptions import ChunkedEncodingError

from dfsbir_lite.files import write_json
from dfsbir_lite.runtime import UserError, progress

TIMEOUT = 30  # seconds without a byte from the server
TRIES = 5  # times in a row that a download may stop without having got any further
PAUSE = 1.0  # seconds before the first of them, doubled each time
CHUNK = 2**14  # what is lost at most when a connection breaks off


@dataclass(frozen=True)
class Download:
    """One file to get.

    Attributes:
        name: what it is called here.
        checksum: "md5:..." or "sha256:..." where one is published.
        lines: stop after so many lines, and leave the rest where it is.
    """

    url: str
    name: str
    checksum: str = ""
    lines: int | None = None


class _Dropped(Exception):
    """The connection ended before the file did."""


def fetch(wanted: Download, folder: Path) -> Path:
    """Gets a file into `folder`, and returns its path; one that is already there is kept.

    What has arrived waits in `<name>.part`, with its origin in `<name>.part.json`: the next call
    asks the server for the rest, and starts over if the file there is another one by now. Raises
    UserError, naming the address and the reason; the part stays unless its checksum is wrong.
    """
    path = folder / wanted.name
    if path.is_file() and not (wanted.lines and count_lines(path) < wanted.lines):
        _verify(path, wanted, f"{path}: already there, but with a wrong checksum; delete it")
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = _Part(path.with_name(path.name + ".part"))
    tries = 0
    while True:
        before = part.size
        try:
            _get_rest(wanted, part)
            break
        except _Dropped as reason:
            tries = 1 if part.size > before else tries + 1
            if tries >= TRIES:
                raise UserError(
                    f"{wanted.url}: {reason}, with {part.size:,} bytes here; "
                    "the same command goes on from there"
                ) from None
            time.sleep(PAUSE * 2 ** (tries - 1))
    try:
        _verify(part.path, wanted, f"{wanted.url}: wrong checksum, thrown away")
    except UserError:
        part.forget()
        raise
    part.path.replace(path)
    part.forget()
    return path


@dataclass
class _Part:
    """A file that is not whole yet, and what the server said of it."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def card(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def origin(self) -> "_Origin | None":
        """What the bytes that are here came from; None if that is not known."""
        try:
            return _Origin(**json.loads(self.card.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self.card.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Origin:
    """Which version of which file: enough to tell whether a rest fits what is here."""

    url: str
    total: int | None
    etag: str | None
    modified: str | None

    @property
    def version(self) -> str | None:
        """What If-Range takes: a weak ETag does not promise the same bytes."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    @property
    def recognisable(self) -> bool:
        return bool(self.version or self.total)


def _get_rest(wanted: Download, part: _Part) -> None:
    """Adds to `part` what it lacks. Raises _Dropped to be called again, or UserError."""
    origin = part.origin()
    resumable = origin and origin.url == wanted.url and origin.recognisable
    start = part.size if resumable else 0
    if start and start == origin.total:
        return
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if origin.version:
            headers["If-Range"] = origin.version
    try:
        with requests.get(wanted.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            _check(wanted.url, answer)
            now = _origin(wanted.url, answer)
            if answer.status_code == 416 or (start and not _continues(answer, start, origin, now)):
                part.forget()  # another file by now, or a server that cannot go on in the middle
                if answer.status_code != 200:
                    raise _Dropped("the file there is another one by now")
                start = 0
            write_json(part.card, asdict(now))
            _write(answer, part, start, now.total, wanted)
    except (requests.ConnectionError, requests.Timeout, ChunkedEncodingError) as reason:
        late = "timed out" in str(reason)
        told = f"no answer for {TIMEOUT:g} seconds" if late else "the connection broke off"
        raise _Dropped(told) from None
    except requests.RequestException as reason:
        raise UserError(f"{wanted.url}: {reason}") from None


def _check(url: str, answer: requests.Response) -> None:
    """Raises UserError if this is no file, or _Dropped if the server may recover."""
    if answer.status_code >= 500 or answer.status_code == 429:
        raise _Dropped(f"the server answered {answer.status_code} {answer.reason}")
    if answer.status_code not in (200, 206, 416):
        raise UserError(f"{url}: the server answered {answer.status_code} {answer.reason}")
    page = answer.headers.get("Content-Type", "").startswith("text/html")
    if page and answer.status_code != 416:
        raise UserError(
            f"{url}: the server sent a web page instead of the file; open the address in a "
            "browser, save the file by hand and import it"
        )


def _origin(url: str, answer: requests.Response) -> _Origin:
    if answer.status_code == 206:
        total = answer.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        total = answer.headers.get("Content-Length", "")
    etag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
    return _Origin(url, int(total) if total.isdecimal() else None, etag, modified)


def _continues(answer: requests.Response, start: int, before: _Origin, now: _Origin) -> bool:
    """Whether the answer is the rest, from `start` on, of the same file as before."""
    begins = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    facts = zip(asdict(before).values(), asdict(now).values())
    same = all(a == b for a, b in facts if a is not None and b is not None)
    return answer.status_code == 206 and begins and same


def _write(answer, part: _Part, start: int, total: int | None, wanted: Download) -> None:
    """The answer's body into the part from `start` on, until it ends or has enough lines."""
    free = shutil.disk_usage(part.path.parent).free
    if total and wanted.lines is None and total - start > free:
        raise UserError(f"{part.path.parent}: {total - start:,} bytes to come, {free:,} free")
    missing = None
    if wanted.lines is not None:
        missing = wanted.lines - (count_lines(part.path) if start else 0)
    bar = {"total": total, "initial": start, "unit": "B", "unit_scale": True}
    with (
        part.path.open("ab" if start else "wb") as file,
        progress(desc=wanted.name, **bar) as shown,
    ):
        for chunk in answer.iter_content(CHUNK):
            if missing is not None:
                lines = chunk.splitlines(keepends=True)[: max(missing, 0)]
                chunk, missing = b"".join(lines), missing - chunk.count(b"\n")
            file.write(chunk)
            shown.update(len(chunk))
            if missing is not None and missing <= 0:
                return
    if total is not None and part.size < total:
        raise _Dropped("the connection broke off")
    if total is not None and part.size > total:
        part.forget()
        raise UserError(f"{wanted.url}: more bytes came than the server announced")


def count_lines(path: Path) -> int:
    """How many line ends the file has."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(CHUNK), b""))


def _verify(path: Path, wanted: Download, complaint: str) -> None:
    kind, _, expected = wanted.checksum.partition(":")
    if kind and (found := hash_file(path, kind)) != expected:
        raise UserError(f"{complaint} ({kind} {found}, expected {expected})")


def hash_file(path: Path, kind: str = "sha256") -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
