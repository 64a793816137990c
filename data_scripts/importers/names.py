"""Class names that agree: one spelling for photos, sketches and published lists."""

import unicodedata
from collections.abc import Iterable

from dfsbir_lite.data import class_key, file_name


def tidy(name: str) -> str:
    """Return `name` in lower case, with spaces: "hot air balloon" for "Hot-air_Balloon".

    Letters, digits, brackets, dots and apostrophes stay; the result is safe as a file name.
    """
    kept = "".join(c if _is_written(c) or c in "().'" else " " for c in class_key(name))
    return file_name(" ".join(kept.split()).strip(" ."))


def key(name: str) -> str:
    """Return the letters and digits of `name`: archives run words together and drop brackets."""
    return "".join(filter(_is_written, class_key(name)))


def _is_written(c: str) -> bool:
    """Tell letters, digits and the marks upon letters from everything else."""
    return c.isalnum() or unicodedata.category(c)[0] == "M"


def spellings(names: Iterable[str], misspelt: dict[str, str]) -> dict[str, str]:
    """Return the spelling to use for each of `names`; those in `misspelt` are corrected.

    Of several spellings the longest wins: "hotairballoon" becomes "hot air balloon".
    """
    corrected = {key(wrong): right for wrong, right in misspelt.items()}
    tidied = {name: corrected.get(key(name), tidy(name)) for name in names}
    longest = {key(name): name for name in sorted(tidied.values(), key=lambda n: (len(n), n))}
    return {name: longest[key(right)] for name, right in tidied.items()}
