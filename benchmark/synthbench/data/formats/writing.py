"""What the writers have in common: images that take no room twice, numbers and names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from synthbench.data.formats.dataset import Dataset
from synthbench.errors import SynthbenchError


def refuse_nested(source: Path, target: Path) -> None:
    """Raises SynthbenchError if one of two folders lies in the other: the next reading would find both."""
    first, second = source.resolve(), target.resolve()
    if first == second or first in second.parents or second in first.parents:
        raise SynthbenchError(f"{target}: lies in {source}, or the other way round; name a folder beside it")


def put_images(dataset: Dataset, folder: Path, names: list[str], *, copy: bool) -> None:
    """Puts the images below `folder`, byte for byte: as further names of the same files, unless they are to be copied.

    names: with `/`. A file on another disk, and what is a link itself, is copied in any case.
    """
    made: set[str] = set()
    base, out = str(dataset.root), str(folder)
    for photo, name in zip(dataset.photos, names, strict=True):
        inner = name.rpartition("/")[0]
        if inner not in made:
            os.makedirs(f"{out}/{inner}", exist_ok=True)  # noqa: PTH103
            made.add(inner)
        source, target = f"{base}/{photo.path}", f"{out}/{name}"
        if not copy and not os.path.islink(source):  # noqa: PTH114
            try:
                os.link(source, target)
                continue
            except OSError:
                pass
        shutil.copyfile(source, target)


def decimal(value: float, digits: int) -> str:
    """A number with up to so many decimals, without zeros at the end."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def folder_of(split: str) -> str:
    """`train/`, or nothing for images without a split."""
    return f"{split}/" if split else ""
