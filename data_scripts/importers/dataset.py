"""What a script says about its data set: where it lives, its folders, its published splits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from importers.download import Download

# The end of an image's path, besides a data set's own patterns: the last folder is the class.
COMMON = {m: (f"{m}/*/*", f"{m}/train/*/*", f"{m}/test/*/*") for m in ("photo", "sketch")}


@dataclass(frozen=True, slots=True)
class Item:
    """One picture that could be imported."""

    origin: str  # its path, or an archive and the path in it
    modality: str
    label: str  # its class
    stem: str  # its file name without a suffix
    load: Callable[[], Image.Image]  # return it in RGB, or raise UserError
    split: str | None = None  # "train" or "test" where the source says so


# Read the pictures of one file: (path, origin, their size in the end, how many at most).
Reader = Callable[[Path, str, int, int | None], Iterator[Item]]


@dataclass(frozen=True)
class DataSet:
    """A data set as a script describes it."""

    title: str
    licence: str
    home: str
    # by modality, patterns like those of `COMMON`: "png/*/*" for ".../png/<class>/1.png"
    places: dict[str, tuple[str, ...]] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)  # by the end of a path
    # the files to download, for classes and a number of pictures of each
    downloads: Callable[[tuple[str, ...], int], list[Download]] = lambda classes, per_class: []
    by_hand: str = ""  # how to get what a script cannot download
    misspelt: dict[str, str] = field(default_factory=dict)  # class names in archives: right ones
    # by split the test classes, as ZSE-SBIR has them: github.com/buptLinfy/ZSE-SBIR, data_utils
    unseen: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def patterns(self, modality: str) -> tuple[str, ...]:
        return self.places.get(modality, ()) + COMMON[modality]
