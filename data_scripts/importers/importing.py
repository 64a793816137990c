"""From archives and folders to a data set in one layout, whole or not at all."""

import hashlib
import io
import tempfile
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from joblib import Parallel, delayed
from PIL import Image

from dfsbir_lite.data import NOTE, fit
from dfsbir_lite.files import write_json
from dfsbir_lite.runtime import UserError, progress
from importers.dataset import DataSet, Item
from importers.names import spellings
from importers.sources import look_through
from importers.splits import assign, limit


def import_data(
    dataset: DataSet,
    paths: list[Path],
    out: Path,
    *,
    size: int = 64,
    per_class: int | None = None,
    classes: tuple[str, ...] = (),
    split: str = "seen",
) -> dict:
    """Write `out`/{photo,sketch}/{train,test}/<class>/ and the manifest, which is returned.

    `size` is in pixels; `per_class` limits each class, modality and part; `classes` are the only
    ones, if any; `split` is a published one, or "seen": all classes are trained on. The manifest
    says where each picture came from and what was left out. Raises UserError if `out` exists, if a
    class is missing, or if fewer than two can be read.
    """
    if size < 8 or (per_class or 2) < 2:
        raise UserError("--size must be at least 8, and --per-class at least 2")
    if out.exists():
        raise UserError(f"{out}: already there; delete it, or choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name[:40]}.", dir=out.parent) as scratch:
        work = Path(scratch)
        items, outside = look_through(dataset, paths, work / "unpacked", size, per_class)
        items, unseen, lone = _choose(dataset, items, classes, split)
        if per_class:
            items = limit(items, per_class)
        files, left_out, notes = _write(items, work / "new", size)
        left_out |= {
            "only photos or only sketches": sorted(lone),
            "in other folders, or no images": [f"{path}: {n} files" for path, n in outside.items()],
        }
        if len({path.split("/")[2] for path in files}) < 2:
            examples = [f"{why}: {lines[0]}" for why, lines in left_out.items() if lines]
            raise UserError(f"fewer than two classes are left; {'; '.join(examples)}")
        counts = Counter(path.rpartition("/")[0] for path in files)
        manifest = {"data set": dataset.title, "licence": dataset.licence, "size": size}
        manifest |= {"split": split, "unseen": sorted(unseen), "counts": counts}
        manifest |= {"left out": left_out, "imported all the same": notes, "files": files}
        write_json(work / "new" / "manifest.json", manifest)
        (work / "new").rename(out)
    return manifest


def _choose(
    dataset: DataSet, items: list[Item], classes: tuple[str, ...], split: str
) -> tuple[list[Item], set[str], set[str]]:
    """Return the items to import, with their splits; the unseen classes; and the lone ones."""
    found, published = {item.label for item in items}, dataset.unseen.get(split, ())
    right = spellings([*found, *published, *classes], dataset.misspelt)
    there, unseen, wanted = ({right[n] for n in names} for names in (found, published, classes))
    if wanted:
        unseen &= wanted
    if missing := sorted((wanted | unseen) - there):
        why = f"no pictures of {', '.join(missing)}, which --classes or --split asks for"
        raise UserError(f"{why}; there are {', '.join(sorted(there))}")
    items = [replace(item, label=right[item.label]) for item in items]
    items = [item for item in items if item.label in (wanted or there)]
    labels = [{i.label for i in items if i.modality == m} for m in ("photo", "sketch")]
    # those without photos or without sketches, where other classes have both
    lone = labels[0] ^ labels[1] if all(labels) else set()
    return assign([i for i in items if i.label not in lone], unseen), unseen - lone, lone


def _write(items: list[Item], out: Path, size: int) -> tuple[dict, dict, dict]:
    """Write the pictures; return origins by path, by why they were left out, and by note.

    Test pictures come first: of a picture that is in both parts, the one in the test stays.
    """
    items = sorted(items, key=lambda item: item.split != "test")
    # threads, because Pillow works outside Python's lock
    pool = Parallel(n_jobs=-1, prefer="threads", return_as="generator")
    encoded = pool(delayed(_encoded)(item, size) for item in items)
    files, first, counts = {}, {}, Counter()
    left_out, notes = {"cannot be read": [], "repeated": []}, defaultdict(list)
    bar = progress(encoded, desc="importing", total=len(items), unit="image")
    for item, (data, note) in zip(items, bar):
        if not data:
            left_out["cannot be read"].append(note)
            continue
        twin = first.setdefault((item.modality, hashlib.sha256(data).digest()), item)
        if twin is not item:
            left_out["repeated"].append(f"{item.origin}: the same picture as {twin.origin}")
            continue
        folder = f"{item.modality}/{item.split}/{item.label}"
        counts[folder] += 1
        path = out / folder / f"{counts[folder]:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        files[path.relative_to(out).as_posix()] = item.origin
        if note:
            notes[note].append(item.origin)
    return files, left_out, notes


def _encoded(item: Item, size: int) -> tuple[bytes, str | None]:
    """Return the picture as a PNG file, with its note; or nothing, and why."""
    try:
        picture = item.load()
    except UserError as reason:
        return b"", str(reason)
    file = io.BytesIO()
    Image.fromarray(fit(picture, size).transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue(), picture.info.get(NOTE)
