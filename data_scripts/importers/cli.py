"""The command line that all scripts share: download, import, check."""

import argparse
import shlex
import sys
from pathlib import Path

from dfsbir_lite.runtime import UserError
from importers.dataset import MODALITIES, SPLITS, DataSet
from importers.download import fetch
from importers.importing import SEEN, Wish, check, import_data


def main(dataset: DataSet, arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, or 2 after one line about what was wrong."""
    options = _parser(dataset).parse_args(arguments)
    try:
        options.command(dataset, options)
    except (UserError, OSError) as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "interrupted; the same command goes on with a download, and begins an import anew",
            file=sys.stderr,
        )
        return 130
    return 0


def download_command(dataset: DataSet, options) -> None:
    """The files at stable addresses into a folder, once the licence is accepted."""
    files = dataset.downloads(options.classes, options.per_class)
    if not files:
        raise UserError(f"{dataset.title} cannot be downloaded by a script. {dataset.by_hand}")
    _accept(dataset, options.accept_licence)
    for file in files:
        print(fetch(file, options.out))
    if dataset.by_hand:
        print(dataset.by_hand)
    print(f"next: python {sys.argv[0]} import {shlex.quote(str(options.out))} --out DIR")


def import_command(dataset: DataSet, options) -> None:
    """Archives, folders and files into one data set."""
    wish = Wish(
        size=options.size,
        per_class=options.per_class,
        classes=options.classes,
        split=options.split,
        test_share=options.test_share,
        skip_bad=options.bad == "skip",
    )
    manifest = import_data(dataset, options.paths, options.out, wish, options.again)
    _report(manifest, options.out)


def check_command(dataset: DataSet, options) -> None:
    """Whether a data set is still what was imported."""
    _report(check(options.out), options.out)


def _accept(dataset: DataSet, accepted: bool) -> None:
    print(f"{dataset.title}, {dataset.home}\nlicence: {dataset.licence}")
    if accepted:
        return
    if not sys.stdin.isatty():
        raise UserError("nothing downloaded: --accept-licence says that you accept the licence")
    if input("Do you accept it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UserError("nothing downloaded: the licence was not accepted")


def _report(manifest: dict, out: Path) -> None:
    counts, unseen = manifest["counts"], manifest["unseen"]
    for modality in counts:
        told = [f"{sum(counts[modality].get(s, {}).values())} for {s}" for s in SPLITS]
        print(f"{modality}: {', '.join(told)}")
    labels = {label for splits in counts.values() for part in splits.values() for label in part}
    print(f"{len(labels)} classes, {len(unseen)} of them unseen; split {manifest['split']}")
    for reason, files in manifest["skipped"].items():
        if files:
            count = sum(n if isinstance(n, int) else 1 for n in files.values())  # by folder or file
            print(f"{reason}: {count} (in {out / 'manifest.json'})")
    if len(counts) == len(MODALITIES):
        command = ["python", "-m", "dfsbir_lite", "run"]
        command += ["--photos", str(out / "photo"), "--sketches", str(out / "sketch")]
        print(shlex.join(command + (["--unseen", ",".join(unseen)] if unseen else [])))


def _parser(dataset: DataSet) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=f"{dataset.title}. {dataset.home}", epilog=dataset.by_hand
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument(
        "--classes", type=_names, default=(), metavar="A,B", help="only these classes"
    )
    chosen.add_argument(
        "--per-class", type=_at_least(2), metavar="N", help="pictures of a class and modality"
    )

    get = commands.add_parser("download", parents=[chosen], help="get what can be downloaded")
    get.set_defaults(command=download_command)
    get.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go")
    get.add_argument("--accept-licence", action="store_true", help="do not ask")

    take = commands.add_parser("import", parents=[chosen], help="make a data set of what you have")
    take.set_defaults(command=import_command)
    take.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="archives and folders")
    take.add_argument("--out", type=Path, required=True, metavar="DIR", help="where it goes")
    take.add_argument("--size", type=_at_least(8), default=64, help="pixels (%(default)s)")
    take.add_argument(
        "--split",
        choices=[SEEN, *dataset.unseen],
        default=SEEN,
        help="unseen classes (%(default)s)",
    )
    take.add_argument(
        "--test-share", type=_share, default=0.1, metavar="X", help="of seen classes (%(default)s)"
    )
    take.add_argument(
        "--bad", choices=["refuse", "skip"], default="refuse", help="files that cannot be used"
    )
    take.add_argument("--again", action="store_true", help="replace what is there")

    look = commands.add_parser("check", help="compare a data set with its manifest")
    look.set_defaults(command=check_command)
    look.add_argument("out", type=Path, metavar="DIR")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _at_least(least: int):
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return int(text)

    return number


def _share(text: str) -> float:
    if not 0 < float(text) < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return float(text)
