"""The files of a folder: what is there, and which of them a name from another machine means."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

IMAGES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".jp2", ".avif"})
UNREAD = frozenset(
    {
        ".heic",
        ".heif",
        ".jxl",
        ".psd",
        ".dng",
        ".nef",
        ".cr2",
        ".cr3",
        ".arw",
        ".orf",
        ".raf",
        ".rw2",
        ".zip",
        ".rar",
        ".7z",
        ".tar",
        ".tgz",
    }
)
"""What may have photographs and is not read."""
SHEET = "contact-sheet.jpg"
"""What an import leaves beside the folder of images: no photograph."""
LABELS = frozenset({".json", ".txt", ".xml", ".yaml", ".yml", ".names"})
SURROGATES = re.compile("[\ud800-\udfff]")
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass
class Tree:
    """The files below a folder, as relative paths with `/`, sorted. Hidden files and folders are left out, links are followed once."""

    root: Path
    images: list[str]
    labels: list[str]
    unread: list[str]

    @cached_property
    def known(self) -> frozenset[str]:
        """All images."""
        return frozenset(self.images)

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """Images by the last part of their path, folded."""
        found: dict[str, list[str]] = defaultdict(list)
        for image in self.images:
            found[folded(image.rpartition("/")[2])].append(image)
        return found

    @cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """Images by the last part of their path without its suffix, folded."""
        found: dict[str, list[str]] = defaultdict(list)
        for image in self.images:
            found[folded(stem(image).rpartition("/")[2])].append(image)
        return found

    def find(self, name: str, prefixes: Iterable[str] = (), hint: str = "") -> tuple[str | None, str]:
        """The image that a name means, and the kind of fault with that name ("" for none).

        name: with `/`. prefixes: folders that it may be relative to, tried in order. hint: a split: of several images in different
        folders, the one in a folder of this name is meant.
        """
        known = self.known
        for prefix in prefixes:
            if (path := f"{prefix}/{name}" if prefix else name) in known:
                return path, ""
        for prefix in prefixes:
            if (path := joined(prefix, name)) in known:
                return path, ""
        candidates = self.by_name.get(folded(name.rpartition("/")[2]), [])
        wanted = [folded(part) for part in name.split("/") if part not in ("", ".", "..")]
        if not candidates or not wanted:
            return None, "no image"
        agreeing = [(common_tail(wanted, [folded(part) for part in each.split("/")]), each) for each in candidates]
        longest = max(count for count, _ in agreeing)
        best = [each for count, each in agreeing if count == longest]
        if len(best) > 1 and hint:
            best = [each for each in best if split_of(each) == hint] or best
        if len(best) > 1:
            return None, "ambiguous name"
        if longest < len(wanted):
            return best[0], "foreign path"
        return best[0], "" if best[0].endswith(name) else "other spelling"


def read_tree(root: Path) -> Tree:
    """Lists the files below `root`. Raises OSError if it cannot be listed."""
    images, labels, unread = [], [], []
    base = str(root)
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(base, followlinks=True):
        about = os.stat(folder)  # noqa: PTH116
        if (about.st_dev, about.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        inner = os.path.relpath(folder, base).replace(os.sep, "/")
        prefix = "" if inner == "." else f"{inner}/"
        for name in files:
            if name.startswith("."):
                continue
            suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path for each of 100,000 files takes seconds
            if suffix in IMAGES and (inner != "." or name != SHEET):
                images.append(prefix + name)
            elif suffix in LABELS and os.path.isfile(f"{folder}/{name}"):  # noqa: PTH113 - reading a pipe would wait for ever
                labels.append(prefix + name)
            elif suffix in UNREAD:
                unread.append(prefix + name)
    return Tree(root, sorted(images), sorted(labels), sorted(unread))


def folded(name: str) -> str:
    """A name as file systems compare them that know neither case nor forms of accents."""
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def encodable(text: str) -> str:
    """The text with `_` in place of what UTF-8 cannot hold: the rest of a name in another encoding."""
    return SURROGATES.sub("_", text)


def stem(path: str) -> str:
    """The path without the suffix of its last part."""
    dot = path.rfind(".")
    return path[:dot] if dot > path.rfind("/") + 1 else path


def joined(folder: str, name: str) -> str:
    """A path below a folder, both with `/`, without `.` and `..`."""
    path = os.path.normpath(f"{folder}/{name}" if folder else name).replace(os.sep, "/")
    return path.removeprefix("./")


def common_tail(first: list[str], second: list[str]) -> int:
    """How many last parts are the same."""
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count


def slashes(name: str) -> str:
    """A path of any system with `/`."""
    return name.replace("\\", "/")


def split_of(path: str) -> str:
    """The split that a path names by its folders or its own name, such as `images/val/a.jpg` or `instances_train2017.json`; "" if none.

    The last folder that names one counts; the file's own name counts for label files only.
    """
    folder, _, name = path.rpartition("/")
    if word := split_of_folder(folder):
        return word
    if os.path.splitext(name)[1].lower() in LABELS:  # noqa: PTH122
        for token in re.split(r"[^a-z]+", stem(name).casefold()):
            if token in SPLIT_WORDS:
                return SPLIT_WORDS[token]
    return ""


@lru_cache(maxsize=10_000)
def split_of_folder(folder: str) -> str:
    """The split that the last of some folders names that does, such as `val` for `images/val2017`."""
    words = (SPLIT_WORDS.get(re.sub(r"[_-]?\d{0,4}$", "", part.casefold())) for part in reversed(folder.split("/")))
    return next(filter(None, words), "")
