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
    """One picture that could be imported.

    Attributes:
        origin: its path, or an archive and the path in it.
        label: its class.
        stem: its file name without a suffix.
        load: return the picture in RGB, or raise UserError.
        split: "train" or "test" where the source says so.
    """

    origin: str
    modality: str
    label: str
    stem: str
    load: Callable[[], Image.Image]
    split: str | None = None


# Read the pictures of one file: (path, origin, their size in the end, how many at most).
Reader = Callable[[Path, str, int, int | None], Iterator[Item]]


@dataclass(frozen=True)
class DataSet:
    """A data set as a script describes it.

    Attributes:
        places: by modality, patterns like those of `COMMON`: "png/*/*" for ".../png/<class>/1.png".
        readers: by the end of a path, what reads such a file.
        downloads: return the files to download, for classes and a number of pictures of each.
        by_hand: how to get what a script cannot download.
        misspelt: wrong class names in its archives, and the right ones.
        unseen: by the name of a published split, the classes for the test alone.
    """

    title: str
    licence: str
    home: str
    places: dict[str, tuple[str, ...]] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    downloads: Callable[[tuple[str, ...], int], list[Download]] = lambda classes, per_class: []
    by_hand: str = ""
    misspelt: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, tuple[str, ...]] = field(default_factory=dict)
