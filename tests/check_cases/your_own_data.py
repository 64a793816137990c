"""Answers for notebook 09."""

import random
import zlib

from check_cases import Cases

PHOTO = ("Hot-air balloon", "cat", "aeroplane", "Cardigan", "cardigan", "T-shirt")
SKETCH = ("airplane", "CAT", "t shirt", "cardigan", "hot air balloon", "zebra")


def shared_names() -> Cases:
    def case(*names):
        return list(names), PHOTO, SKETCH

    return Cases(
        right=[
            case("cat", "T-shirt", "Hot-air balloon"),
            case("hot air balloon", "t shirt", "CAT"),
        ],
        wrong=[
            (case("cat", "T-shirt"), "1 more can be matched"),
            (case("cat", "T-shirt", "Hot-air balloon", "aeroplane"), "not known to both"),
            (case("cat", "T-shirt", "Hot-air balloon", "cardigan"), "twice"),
        ],
    )


def split() -> Cases:
    def photo(file):
        return file.rpartition("-")[0]

    def divided(files, test):
        return [f for f in files if photo(f) not in test], [f for f in files if photo(f) in test]

    def by_photo(files):
        return divided(files, set(sorted({photo(f) for f in files})[::5]))

    def by_hash(files):
        return divided(files, {photo(f) for f in files if zlib.crc32(photo(f).encode()) % 4 == 0})

    def at_random(files):
        mixed = random.Random(0).sample(sorted(files), len(files))
        return mixed[len(files) // 5 :], mixed[: len(files) // 5]

    def without_a_seed(files):
        photos = sorted({photo(f) for f in files})
        return divided(files, set(random.sample(photos, len(photos) // 5)))

    def without_mugs(files):
        return divided(files, {photo(f) for f in files if f.startswith("mug")})

    def lost(files):
        train, test = by_photo(files)
        return train[1:], test

    return Cases(
        right=[(by_photo,), (by_hash,)],
        wrong=[
            ((at_random,), "on both sides"),
            ((without_a_seed,), "set a seed"),
            ((without_mugs,), "mug is not in both parts"),
            ((lost,), "went in"),
        ],
    )


def cases() -> dict[str, Cases]:
    return {function.__name__: function() for function in (shared_names, split)}
