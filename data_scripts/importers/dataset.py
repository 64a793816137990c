"""What is to be known of a data set before its images are read: the facts that the scripts hold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from importers.download import Download

MODALITIES = ("photo", "sketch")
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Place:
    """Where images of one modality lie.

    Attributes:
        folder: glob of the last folders of an image's path; the last of them is its class:
            "png/*" for ".../png/<class>/1.png". Upper and lower case are alike.
        split: "train" or "test", if what lies there is only that part.
    """

    modality: str
    folder: str
    split: str | None = None


# What every script can read: one folder for each modality, and what the scripts themselves write.
COMMON = (
    *(Place(m, f"{m}/*") for m in MODALITIES),
    *(Place(m, f"{m}/{split}/*", split) for m in MODALITIES for split in SPLITS),
)


@dataclass(frozen=True, slots=True)
class Item:
    """One picture that could be imported. There are as many as pictures, so they are kept small.

    Attributes:
        origin: what people call it: a path, or an archive and the path in it.
        label: its class, as found and then as repaired.
        stem: its file name without a suffix.
        load: gives the picture in RGB, for the wanted size; raises UserError if it is bad.
        split: "train" or "test" where the source says so.
    """

    origin: str
    modality: str
    label: str
    stem: str
    load: Callable[[int], Image.Image]
    split: str | None = None


# Reads a file that holds many pictures: (path, origin, how many of a class at most).
Reader = Callable[[Path, str, int | None], Iterator[Item]]


def nothing_to_download(classes: tuple[str, ...], per_class: int | None) -> list[Download]:
    return []


@dataclass(frozen=True)
class DataSet:
    """A data set as a script describes it.

    Attributes:
        licence: what people accept before a download.
        places: where its archives hold images; `COMMON` is understood besides.
        readers: glob of a file name, and what reads such files.
        downloads: the files at stable addresses, for the classes that are asked for.
        by_hand: where to get what has no stable address.
        classes: its class names, where other spellings of them are known to exist.
        misspelt: names that archives have for them.
        unseen: by the name of a published split, the classes that nobody is trained on.
    """

    title: str
    licence: str
    home: str
    places: tuple[Place, ...] = ()
    readers: tuple[tuple[str, Reader], ...] = ()
    downloads: Callable[[tuple[str, ...], int | None], list[Download]] = nothing_to_download
    by_hand: str = ""
    classes: tuple[str, ...] = ()
    misspelt: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, tuple[str, ...]] = field(default_factory=dict)
