"""Is it really data-free? Which files and sets of real images some code touches, and by what.

    with audit.watch() as seen:
        ...
    print(seen)

Python announces every file that it opens as an audit event. The few places of this package that
draw real images or make sets of them announce that in the same way; the method knows nothing of
it. While a watch is open, reading `ImageSet.images` is noticed as well, so that sets made earlier
do not pass for none. A watch sees all threads of this process.

What it cannot see:
- an array or tensor that somebody took out of a set, or made in another way, before the watch;
- images decoded from bytes that are in memory, or given to a network by the caller's own code;
- what worker processes open (`toybox.render` announces its images before it starts any);
- files that C++ or Rust opens by itself, as `cv2.imread` and `safetensors.safe_open` do. The kit's
  networks are seen because their checksum is read first; a training state or a course is not;
- what is in a file: its kind is told from its name, and weights are taken at their word;
- code that wants to hide: this is a lamp, not a lock. `tests/test_data_free.py` has the lock.
"""

import os
import sys
import sysconfig
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType

from dfsbir_lite.data import IMAGE_SUFFIXES, ImageSet

EVENT = "dfsbir_lite.images"  # raised with (how, modality, count) wherever real images come from
_ARRAYS = (".npy", ".npz", ".ndjson", ".h5", ".hdf5", ".mat", ".pkl", ".pickle", ".parquet")
KINDS = {  # of files, by the ends of their names
    **dict.fromkeys(IMAGE_SUFFIXES, "image"),
    **dict.fromkeys(_ARRAYS, "array"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z"), "archive"),
    **dict.fromkeys((".safetensors", ".pt", ".pth", ".ckpt", ".onnx"), "weights"),
}
LINES = 12  # of one section in a printed report

_LIBRARY = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
_INSTALLED = ("site-packages", "dist-packages")
_WORDS = {"photo": "photos", "sketch": "sketches", "both": "photos and sketches"}


@dataclass(frozen=True, order=True)
class Touch:
    """Something that held, or may have held, real images; and the code that touched it.

    Attributes:
        kind: "set", or of a file "image", "array", "archive" or "weights".
        how: "opened" for files; "drawn", "made" or "read" for sets.
        what: the name of a file, the modality of a set.
        count: images in the set; 1 for a file.
        by: module.function, without the package's own name; "your own code" for a notebook's cell.
        line: where in that module's file, or in the cell.
        times: how often.
    """

    kind: str
    how: str
    what: str
    count: int
    by: str
    line: int
    times: int = 1
    path: str = field(default="", repr=False)  # two files may have one name

    def __str__(self) -> str:
        what = self.what
        if self.kind == "set":
            what = f"{self.count} {what if self.count == 1 else _WORDS.get(what, what)}"
        often = "once" if self.times == 1 else f"{self.times} times"
        return f"{what}, {self.how} by {self.by}, {often}"


class Seen:
    """What one watch has seen so far: `images` and `weights`, each a sorted list of touches."""

    def __init__(self):
        self._touches: list[Touch] = []  # one for each time; appending is safe in every thread

    @property
    def images(self) -> list[Touch]:
        """Files that may hold images or arrays, and sets of real images."""
        return [touch for touch in self._sorted() if touch.kind != "weights"]

    @property
    def weights(self) -> list[Touch]:
        """Files of weights, which the method is allowed to read."""
        return [touch for touch in self._sorted() if touch.kind == "weights"]

    @property
    def clean(self) -> bool:
        """Whether no real images were touched."""
        return not self.images

    def _sorted(self) -> list[Touch]:
        return sorted(replace(t, times=n) for t, n in Counter(list(self._touches)).items())

    def __str__(self) -> str:
        files = [touch for touch in self.images if touch.kind != "set"]
        sets = [touch for touch in self.images if touch.kind == "set"]
        weights = sorted({(touch.what, touch.path) for touch in self.weights})
        names = ", ".join(name for name, _ in weights)
        return "\n".join(
            [
                *_section("files of images opened", files),
                *_section("sets of real images made or read", sets),
                f"weights read: {len(weights)} ({names})" if weights else "weights read: none",
            ]
        )

    __repr__ = __str__  # a notebook's cell may end in it


def _section(title: str, touches: list[Touch]) -> list[str]:
    if not touches:
        return [f"{title}: none"]
    more = [f"  and {len(touches) - LINES} more"] if len(touches) > LINES else []
    return [f"{title}: {len(touches)}", *(f"  {touch}" for touch in touches[:LINES]), *more]


@contextmanager
def watch() -> Iterator[Seen]:
    """Everything touched within the `with` block; watches may overlap and do not share."""
    seen = Seen()
    _switch(seen, on=True)
    try:
        yield seen
    finally:
        _switch(seen, on=False)


_watching: tuple[Seen, ...] = ()
_lock = threading.Lock()
_hooked = False


def _switch(seen: Seen, on: bool) -> None:
    """Opens or closes a watch; with the last one, nothing is left but a hook that returns."""
    global _hooked, _watching
    with _lock:
        if not _hooked:  # for good: Python has no way to take an audit hook away
            sys.addaudithook(_hook)
            _hooked = True
        _watching = (*(other for other in _watching if other is not seen), *[seen] * on)
        if _watching:
            # goes before the attributes that the sets have, without a change to them
            ImageSet.images = property(_read_images, _write_images)
        elif "images" in vars(ImageSet):
            del ImageSet.images


def _read_images(images: ImageSet):
    _note("set", "read", images.modality, len(images), sys._getframe(1))
    return vars(images)["images"]


def _write_images(images: ImageSet, value) -> None:
    vars(images)["images"] = value  # for those made during a watch, which announce themselves


def _hook(event: str, args: tuple) -> None:
    """Sees every audit event of this process. Must not raise: the caller's code would fail."""
    if not _watching:
        return
    if event == EVENT:
        _note("set", *args, sys._getframe(1))
    elif event == "open":
        path, _, flags = args
        if not isinstance(path, (str, bytes, os.PathLike)):
            return  # a file that is open already
        if flags & 3 == os.O_WRONLY or flags & (os.O_TRUNC | os.O_EXCL):
            return  # nothing to read, or nothing left
        path = os.fsdecode(path)
        kind = KINDS.get(os.path.splitext(path)[1].lower())
        if kind and path not in sys.path:  # Python looks for modules in an archive there
            _note(kind, "opened", os.path.basename(path), 1, sys._getframe(1), path)


def _note(kind: str, how: str, what: str, count: int, frame: FrameType, path: str = "") -> None:
    by, line = _caller(frame)
    for seen in _watching:
        seen._touches.append(Touch(kind, how, what, count, by, line, path=path))


def _caller(frame: FrameType) -> tuple[str, int]:
    """The innermost function, and the line in it, that is the package's or the user's.

    Not ToyBox's own, which draws for somebody, and nothing of Python's or of other packages.
    """
    innermost = frame
    while frame is not None and not _tells(frame):
        frame = frame.f_back
    frame = frame or innermost
    module = frame.f_globals.get("__name__", "")
    names = [module.removeprefix("dfsbir_lite.") if module != "__main__" else ""]
    # comprehensions are functions in some versions of Python: the one around them tells more
    names.append(frame.f_code.co_qualname.split(".<locals>")[0].replace("<module>", ""))
    return ".".join(filter(None, names)) or "your own code", frame.f_lineno


def _tells(frame: FrameType) -> bool:
    module, file = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
    if module == "__main__":
        return True
    if file.startswith("<") or frame.f_code is ImageSet.__post_init__.__code__:
        return False  # generated code has no file: here, what a dataclass makes of its fields
    if module.split(".")[0] == "dfsbir_lite":
        return not module.startswith("dfsbir_lite.toybox")
    return not file.startswith(_LIBRARY) and not any(part in file for part in _INSTALLED)
