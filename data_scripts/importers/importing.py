"""From the pictures that were found to a data set in the common layout, whole or not at all.

OUT/{photo,sketch}/{train,test}/<class>/<name>.{png,jpg}
OUT/manifest.json
"""

import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from dfsbir_lite.data import fit
from dfsbir_lite.files import put_in_place, write_json
from dfsbir_lite.runtime import UserError, progress
from importers.dataset import MODALITIES, SPLITS, DataSet, Item
from importers.download import hash_file
from importers.names import repairer
from importers.sources import Found, look_through
from importers.splits import assign, rank

MANIFEST = "manifest.json"
KEYS = {  # of every manifest
    "data set", "home", "licence", "sources", "size", "split", "unseen", "counts", "renamed",
    "skipped", "files",
}  # fmt: skip
SEEN = "seen"  # the split in which every class is trained on
LOSSLESS = 64  # pixels up to which photos are PNG: JPEG shows in small pictures
WORKERS = min(8, os.cpu_count() or 1)
NAMED = 5  # of all that is wrong, so many in one message


@dataclass(frozen=True)
class Wish:
    """What the user asked for.

    Attributes:
        size: side of the pictures, in pixels.
        per_class: pictures of a class and modality at most, training and test together.
        classes: only these; empty for all.
        split: "seen", or one of the data set's published splits.
        test_share: of a seen class, where the source has no test part.
        skip_bad: leave out what cannot be used; else nothing is imported.
    """

    size: int = 64
    per_class: int | None = None
    classes: tuple[str, ...] = ()
    split: str = SEEN
    test_share: float = 0.1
    skip_bad: bool = False


def import_data(
    dataset: DataSet, paths: list[Path], out: Path, wish: Wish, again: bool = False
) -> dict:
    """Writes what `paths` hold of `dataset` to `out`, and returns the manifest.

    Nothing is at `out` before everything is. Raises UserError if `out` exists (unless `again`,
    which replaces it in the end if all of it is of an import), if nothing fits the data set, or
    for anything bad (unless `wish.skip_bad`).
    """
    _refuse_to_replace(out, again)
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        work = Path(scratch)
        found = look_through(dataset, paths, work / "unpacked", wish.per_class)
        unseen = _unseen(dataset, wish, found)
        build = _Build(work / "new", wish, unseen, bad=dict(found.bad))
        items = _of_wanted_classes(found.items, wish, dataset)
        lone = _lone_classes(items)
        build.bad |= lone
        items = [item for item in items if item.label not in lone]
        build.run(items, assign(items, unseen, wish.test_share))
        build.drop_thin_classes()
        if build.bad and not wish.skip_bad:
            raise UserError(_refusal(build.bad))
        if len(build.labels()) < 2:
            raise UserError(f"a data set needs two classes; there is {build.labels() or 'none'}")
        manifest = _manifest(dataset, paths, found, build)
        write_json(build.folder / MANIFEST, manifest)
        _refuse_to_replace(out, again)  # what came to be there in the meantime
        put_in_place(build.folder, out)
    return manifest


def _refuse_to_replace(out: Path, again: bool) -> None:
    """Raises UserError if `out` is there, unless `again` and all in it is of an import."""
    if not out.exists():
        return
    if not again:
        raise UserError(f"{out}: already there; --again replaces it")
    there = {p.relative_to(out) for p in out.rglob("*") if p.is_symlink() or not p.is_dir()}
    others = sorted(p.as_posix() for p in there - {*map(Path, [MANIFEST, *_read(out)["files"]])})
    if others:
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        raise UserError(
            f"{out}: holds {', '.join(others[:NAMED])}{more}, which is not of the import; "
            "move it away"
        )


def _unseen(dataset: DataSet, wish: Wish, found: Found) -> tuple[str, ...]:
    """The unseen classes of the split that is asked for. Raises UserError if one is not there."""
    if wish.split == SEEN:
        return ()
    if wish.split not in dataset.unseen:
        raise UserError(f"no split {wish.split!r}: choose {', '.join([SEEN, *dataset.unseen])}")
    repair = repairer(dataset.classes, dataset.misspelt)
    unseen = [repair(name) for name in dataset.unseen[wish.split]]
    if wish.classes:
        asked = {repair(name) for name in wish.classes}
        unseen = [name for name in unseen if name in asked]
    there = {item.label for item in found.items}
    if missing := [name for name in unseen if name not in there]:
        raise UserError(
            f"the split {wish.split} needs classes that are not there: {', '.join(missing)}; "
            "--classes picks some of both kinds"
        )
    return tuple(unseen)


def _of_wanted_classes(items: list[Item], wish: Wish, dataset: DataSet) -> list[Item]:
    if not wish.classes:
        return items
    repair = repairer(dataset.classes, dataset.misspelt)
    there = sorted({item.label for item in items})
    for label in there:
        repair(label)  # so that other spellings of it become it
    asked = {repair(name) for name in wish.classes}
    if missing := sorted(asked - set(there)):
        raise UserError(f"no class {missing[0]!r}: there are {', '.join(there)}")
    return [item for item in items if item.label in asked]


def _lone_classes(items: list[Item]) -> dict[str, str]:
    """Classes of one modality that the other lacks, if there are pictures of both."""
    labels = {m: {item.label for item in items if item.modality == m} for m in MODALITIES}
    if not all(labels.values()):
        return {}
    return {
        label: f"has no {'sketches' if label in labels['photo'] else 'photos'}"
        for label in sorted(labels["photo"] ^ labels["sketch"])
    }


def _refusal(bad: dict[str, str]) -> str:
    told = [f"{origin}: {reason}" for origin, reason in bad.items()]
    more = f"; and {len(told) - NAMED} more" if len(told) > NAMED else ""
    return (
        f"nothing imported, because of {len(told)} thing(s) that cannot be used "
        f"(--bad skip leaves them out): {'; '.join(told[:NAMED])}{more}"
    )


@dataclass
class _Build:
    """A data set on its way into `folder`.

    Attributes:
        bad: what cannot be used, and why.
        repeated: pictures that are there already, and as what.
        files: SHA-256 of every file that was written.
    """

    folder: Path
    wish: Wish
    unseen: tuple[str, ...]
    bad: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    _counts: Counter = field(default_factory=Counter)
    _seen: dict = field(default_factory=dict)  # by content: whose picture it was first
    _names: set = field(default_factory=set)

    def run(self, items: list[Item], splits: dict[str, str]) -> None:
        """Reads, checks and writes the items until there are enough of each class.

        Test pictures come first: of a picture that is in both parts, the one in the test stays.
        """

        def order(item: Item):
            return splits[item.origin] != "test", item.label, rank(item.label, item.stem)

        def wanted() -> Iterator[Item]:
            bar = progress(sorted(items, key=order), desc="importing", unit="image")
            return (item for item in bar if not self._enough(item, splits[item.origin]))

        for item, done in _side_by_side(self._prepare, wanted()):
            if self._enough(item, split := splits[item.origin]):
                continue
            try:
                content, data = done.result()
            except UserError as reason:
                self.bad[item.origin] = str(reason).removeprefix(f"{item.origin}: ")
                continue
            first = self._seen.setdefault((item.modality, content), (item, split))
            if first[0] is item:
                self._write(item, split, data)
            else:
                self.repeated[item.origin] = _repetition(item, split, *first)

    def _prepare(self, item: Item) -> tuple[bytes, bytes]:
        """A digest of the picture as it was found, and the file to write of it."""
        image = item.load(self.wish.size)
        content = hashlib.sha256(image.tobytes() + repr(image.size).encode()).digest()[:16]
        file = io.BytesIO()
        small = Image.fromarray(fit(image, self.wish.size).transpose(1, 2, 0))
        if self._suffix(item.modality) == "png":
            small.save(file, "PNG")
        else:
            small.save(file, "JPEG", quality=95, subsampling=0)
        return content, file.getvalue()

    def _suffix(self, modality: str) -> str:
        return "png" if modality == "sketch" or self.wish.size <= LOSSLESS else "jpg"

    def _enough(self, item: Item, split: str) -> bool:
        if self.wish.per_class is None:
            return False
        test = self.wish.per_class
        if item.label not in self.unseen:
            share = round(self.wish.test_share * self.wish.per_class)
            test = min(self.wish.per_class - 1, max(1, share))
        most = test if split == "test" else self.wish.per_class - test
        return self._counts[item.modality, split, item.label] >= most

    def _write(self, item: Item, split: str, data: bytes) -> None:
        self._counts[item.modality, split, item.label] += 1
        folder = f"{item.modality}/{split}/{item.label}"
        stem = re.sub(r"[^\w.() -]", "_", item.stem)[:100].strip(". ") or "picture"
        name, n = f"{folder}/{stem}", 1
        while name.lower() in self._names:  # lower: so that no file system mixes up two
            n += 1
            name = f"{folder}/{stem}-{n}"
        self._names.add(name.lower())
        path = f"{name}.{self._suffix(item.modality)}"
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self.files[path] = hashlib.sha256(data).hexdigest()

    def labels(self) -> list[str]:
        return sorted({path.split("/")[2] for path in self.files})

    def drop_thin_classes(self) -> None:
        """Takes out classes that lack a part, and names them among the bad."""
        present = {tuple(path.split("/")[:3]) for path in self.files}
        modalities = {modality for modality, _, _ in present}
        thin = {}
        for label in self.labels():
            parts = ("test",) if label in self.unseen else SPLITS
            lacking = [
                f"{m} {s}"
                for m in sorted(modalities)
                for s in parts
                if (m, s, label) not in present
            ]
            if lacking:
                thin[label] = f"has no pictures for {' and '.join(lacking)}"
        for path in [p for p in self.files if p.split("/")[2] in thin]:
            del self.files[path]
        for part in present:
            if part[2] in thin:
                shutil.rmtree(self.folder.joinpath(*part))
        self.bad |= thin


def _repetition(item: Item, split: str, first: Item, first_split: str) -> str:
    """Why a picture is not imported a second time."""
    told = f"the same picture as {first.origin}"
    if first.label != item.label:
        told += f", of class {first.label}"
    if first_split != split:
        told += f", a leak: that one is for the {first_split}"
    return told


def _side_by_side(
    function: Callable[[Item], tuple], items: Iterable[Item]
) -> Iterator[tuple[Item, Future]]:
    """Each item with `function` of it, in order, a few ahead: Pillow works outside Python's lock.

    Items are taken one by one as the results are, so that their number costs no memory.
    """
    pool, waiting = ThreadPoolExecutor(WORKERS), deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > 2 * WORKERS:
                yield waiting.popleft()
        yield from waiting
    finally:
        pool.shutdown(cancel_futures=True)


def _manifest(dataset: DataSet, paths: list[Path], found: Found, build: _Build) -> dict:
    counts = defaultdict(lambda: defaultdict(Counter))
    for path in build.files:
        modality, split, label, _ = path.split("/")
        counts[modality][split][label] += 1
    return {
        "data set": dataset.title,
        "home": dataset.home,
        "licence": dataset.licence,
        "sources": {
            str(path): f"sha256:{hash_file(path)}" if path.is_file() else "a folder"
            for path in dict.fromkeys([*paths, *found.archives])
        },
        "size": build.wish.size,
        "split": build.wish.split,
        "unseen": [label for label in build.labels() if label in build.unseen],
        "counts": counts,
        "renamed": found.renamed,
        "skipped": {
            "bad": build.bad,
            "repeated": build.repeated,
            "outside the expected folders": found.outside,
        },
        "files": build.files,
    }


def _read(out: Path) -> dict:
    """The manifest of a data set. Raises UserError if there is none, or another program's."""
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{out}: has no {MANIFEST}; it was not made by these scripts") from None
    except ValueError:
        raise UserError(f"{out / MANIFEST}: damaged") from None
    ours = isinstance(manifest, dict) and manifest.keys() >= KEYS
    if not ours or not isinstance(manifest["files"], dict):
        raise UserError(f"{out / MANIFEST}: was not made by these scripts, or is damaged")
    return manifest


def check(out: Path) -> dict:
    """Compares a data set with its manifest, and returns the manifest.

    Raises UserError, naming files, if any is missing, changed or not in the manifest.
    """
    manifest = _read(out)
    files = manifest["files"]
    there = {p.relative_to(out).as_posix() for p in out.glob("*/*/*/*") if p.is_file()}
    wrong = [f"{name} is missing" for name in files if name not in there]
    wrong += [f"{name} is not in the manifest" for name in sorted(there - set(files))]
    for name in progress([n for n in files if n in there], desc="checking", unit="image"):
        if hash_file(out / name) != files[name]:
            wrong.append(f"{name} has changed")
    if wrong:
        more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise UserError(f"{out}: {len(wrong)} file(s) wrong: {'; '.join(wrong[:NAMED])}{more}")
    return manifest
