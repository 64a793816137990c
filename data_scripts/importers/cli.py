"""The command line that all scripts share: download, import."""

import argparse
import shlex
import sys
from collections import Counter
from pathlib import Path

from dfsbir_lite.runtime import UserError, lossless_output
from importers.dataset import DataSet
from importers.download import fetch
from importers.importing import import_data


def main(dataset: DataSet, arguments: list[str] | None = None) -> None:
    """Run one command; end the script with a line on what was wrong, if anything was."""
    lossless_output()
    options = _parser(dataset).parse_args(arguments)
    try:
        options.command(dataset, options)
    except (UserError, OSError) as mistake:
        sys.exit(f"error: {mistake}")


def download_command(dataset: DataSet, options: argparse.Namespace) -> None:
    """Download what has a stable address, once the licence is accepted."""
    files = dataset.downloads(options.classes, options.per_class or 1000)
    if not files:
        raise UserError(f"{dataset.title} cannot be downloaded by a script. {dataset.by_hand}")
    print(f"{dataset.title}, {dataset.home}\nlicence: {dataset.licence}")
    if not options.accept_licence:
        raise UserError("nothing downloaded; with --accept-licence you accept the licence")
    for file in files:
        print(fetch(file, options.out))
    if dataset.by_hand:
        print(dataset.by_hand)
    print(f"next: python {sys.argv[0]} import {shlex.quote(str(options.out))} --out DIR")


def import_command(dataset: DataSet, options: argparse.Namespace) -> None:
    """Import archives and folders; print what they held, and the command that trains on it."""
    wishes = {name: getattr(options, name) for name in ("size", "per_class", "classes", "split")}
    manifest = import_data(dataset, options.paths, out := options.out, **wishes)
    parts = Counter("/".join(path.split("/")[:2]) for path in manifest["files"])
    for part, number in sorted(parts.items()):
        print(f"{out / part}: {number} pictures")
    for why, lines in manifest["left out"].items():
        if lines:
            print(f"left out, {why}: {len(lines)} (named in {out / 'manifest.json'})")
    words = ["--photos", str(out / "photo"), "--sketches", str(out / "sketch")]
    if unseen := manifest["unseen"]:
        words += ["--unseen", ",".join(unseen)]
    if len({part.split("/")[0] for part in parts}) == 2:
        print("python -m dfsbir_lite run", shlex.join(words))


def _parser(dataset: DataSet) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=dataset.title, epilog=dataset.by_hand)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--classes", type=lambda text: text.split(","), default=(), metavar="A,B")
    shared.add_argument("--per-class", type=int, metavar="N", help="pictures at most")
    shared.add_argument("--out", type=Path, required=True, metavar="DIR", help="where it goes")
    get = commands.add_parser("download", parents=[shared], help="get what can be downloaded")
    get.set_defaults(command=download_command)
    get.add_argument("--accept-licence", action="store_true", help="you accept the licence")
    take = commands.add_parser("import", parents=[shared], help="make a data set of what you have")
    take.set_defaults(command=import_command)
    take.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="archives and folders")
    take.add_argument("--size", type=int, default=64, help="pixels (%(default)s)")
    take.add_argument("--split", choices=["seen", *dataset.unseen], default="seen")
    return parser
