"""Class names that agree: one spelling for photos, sketches and published lists."""

import re
import unicodedata
from collections.abc import Callable, Iterable

from dfsbir_lite.runtime import UserError


def tidy(name: str) -> str:
    """`name` in lower case, words apart by one space: "Hot-air_Balloon" is "hot air balloon".

    Letters of any script, digits, brackets, dots and apostrophes stay; it is safe as a file name.
    """
    name = unicodedata.normalize("NFC", name).lower()
    return " ".join(re.sub(r"[^\w().']|_", " ", name).split()).strip(" .")


def key(name: str) -> str:
    """What two spellings of one class have in common: its letters and digits alone.

    Coarser than `dfsbir_lite.data.class_key`: archives run words together and drop brackets.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if c.isalnum())


def repairer(known: Iterable[str] = (), misspelt: dict[str, str] | None = None) -> Callable:
    """A function from a class name as found to the name to use.

    Args:
        known: names that are right; other spacings, hyphens and cases of them become them.
        misspelt: what else was found in archives, and the right name for it.

    A name that is neither is tidied, and is from then on the spelling for its other spacings.
    The function raises UserError for a name without letters or digits.
    """
    table = {key(name): tidy(name) for name in known}
    table |= {key(wrong): tidy(right) for wrong, right in (misspelt or {}).items()}

    def repair(name: str) -> str:
        if not key(name):
            raise UserError(f"{name!r}: a class name needs letters or digits")
        return table.setdefault(key(name), tidy(name))

    return repair
