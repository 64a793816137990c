"""Downloads that are whole or absent: pooch for files, and the first lines of long ones."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

import pooch
import requests

from dfsbir_lite.files import write_atomically
from dfsbir_lite.runtime import UserError, is_quiet

TIMEOUT = 30  # seconds without a byte from the server
pooch.get_logger().setLevel("WARNING")  # what else it prints is for programmers


@dataclass(frozen=True)
class Download:
    """One file to get."""

    url: str
    lines: int | None = None  # how many to transfer, if not all


def fetch(wanted: Download, folder: Path) -> Path:
    """Download a file into `folder`, unless it is there, and return its path.

    Raises UserError, naming the address and the reason, and how to get the file all the same.
    """
    path = folder / unquote(wanted.url.rpartition("/")[2])
    try:
        if not wanted.lines:
            get = pooch.HTTPDownloader(not is_quiet(), chunk_size=2**16, timeout=TIMEOUT)
            pooch.retrieve(wanted.url, None, path.name, folder, downloader=get)
        elif not path.is_file() or path.read_bytes().count(b"\n") < wanted.lines:
            with requests.get(wanted.url, stream=True, timeout=TIMEOUT) as answer:
                answer.raise_for_status()
                lines = [line + b"\n" for line in islice(answer.iter_lines(2**14), wanted.lines)]
            write_atomically(path, b"".join(lines))
    except (requests.RequestException, ValueError) as reason:
        curl = f"curl --location --continue-at - --output '{path}' '{wanted.url}'"
        advice = f"get it elsewhere and import it, or go on after each break: {curl}"
        raise UserError(f"{wanted.url}: {reason}; {advice}") from None
    return path
