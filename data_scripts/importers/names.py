"""Class names that agree: one spelling for photos, sketches and published lists."""

import re
import unicodedata
from collections.abc import Iterable


def tidy(name: str) -> str:
    """Return `name` in lower case, with spaces: "hot air balloon" for "Hot-air_Balloon".

    Letters, digits, brackets, dots and apostrophes stay; the result is safe as a file name.
    """
    name = unicodedata.normalize("NFC", name).lower()
    return " ".join(re.sub(r"[^\w().']|_", " ", name).split()).strip(" .")


def key(name: str) -> str:
    """Return the letters and digits of `name`, which all spellings of one class share.

    Coarser than `dfsbir_lite.data.class_key`: archives run words together and drop brackets.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if c.isalnum())


def spellings(names: Iterable[str], misspelt: dict[str, str]) -> dict[str, str]:
    """Return the spelling to use for each of `names`.

    Names in `misspelt` are corrected. Of several spellings of one class the longest wins, because
    it has the most spaces and brackets: "hotairballoon" becomes "hot air balloon".
    """
    corrected = {key(wrong): right for wrong, right in misspelt.items()}
    tidied = {name: corrected.get(key(name), tidy(name)) for name in names}
    longest = {key(name): name for name in sorted(tidied.values(), key=lambda n: (len(n), n))}
    return {name: longest[key(right)] for name, right in tidied.items()}
