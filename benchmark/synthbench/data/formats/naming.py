"""What images are called in the folders that we write."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from synthbench.data.formats.tree import SPLIT_WORDS, encodable, folded, stem

IMAGE_FOLDERS = frozenset({"images", "jpegimages", "imgs", "img"})


def names_for(paths: Sequence[str]) -> list[str]:
    """Names for images at relative paths: the paths without a folder called after images and one called after a split.

    If two names would then be the same but for their suffix or case, all keep the folder of the split. So a name stays the same when
    a folder that we wrote is read and written again.
    """
    for splits in (True, False):
        names = [shortened(path, splits) for path in paths]
        if len({folded(stem(name)) for name in names}) == len(names):
            return names
    return unique(names)


def unique(names: Sequence[str]) -> list[str]:
    """The names, with `_png` or a number before the suffix where two would have the same label file: a.jpg, a_png.png."""
    taken: set[str] = set()
    found = []
    for name in names:
        base, suffix = stem(name), name[len(stem(name)) :]
        endings = ("", f"_{suffix.removeprefix('.').lower()}", *(f"_{number}" for number in range(2, len(names) + 2)))
        ending = next(each for each in endings if folded(base + each) not in taken)
        taken.add(folded(base + ending))
        found.append(f"{base}{ending}{suffix}")
    return found


def shortened(path: str, splits: bool) -> str:
    """A path without its first folder of images and, with `splits`, without the folder of a split next to it."""
    folder, _, name = encodable(path).rpartition("/")
    return shortened_folder(folder, splits) + name


@lru_cache(maxsize=10_000)
def shortened_folder(folder: str, splits: bool) -> str:
    """A folder as `shortened` leaves it, with `/` at its end if anything is left."""
    folders = folder.split("/") if folder else []
    at = next((number for number, part in enumerate(folders) if part.lower() in IMAGE_FOLDERS), None)
    if at is not None:
        del folders[at]
    if splits:
        near = [number for number in ((at - 1, at) if at is not None else (0,)) if 0 <= number < len(folders)]
        for number in near:
            if folders[number].lower() in SPLIT_WORDS:
                del folders[number]
                break
    return "".join(f"{part}/" for part in folders)
