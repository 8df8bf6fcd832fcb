"""What is in a folder of labelled photographs, as far as a first suite depends on it. No image is opened."""

from __future__ import annotations

import shlex
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from synthbench.data.coco_file import CocoFile, read_coco
from synthbench.errors import SynthbenchError
from synthbench.files import beside

LISTED = 10  # problems in an error message
LOOKED_AT = 2000  # files of a folder that is not COCO


@dataclass(frozen=True)
class Facts:
    """classes: the training boxes of each category. sizes: how many images have a width and height, both splits, most common first.

    side: the median of the root of a training box's area, in pixels. longest: the median of an image's longer side, in pixels.
    """

    classes: dict[str, int]
    train: int
    test: int
    sizes: dict[tuple[int, int], int]
    side: float
    longest: int

    @property
    def aspect(self) -> float:
        """The shorter side of the most common size as a share of the longer one."""
        width, height = next(iter(self.sizes))
        return min(width, height) / max(width, height)


def look(folder: Path) -> Facts:
    """The facts of a folder with images/, train.json and test.json.

    Raises SynthbenchError with what is wrong with these; for a folder in another format, with the command that converts it.
    """
    if not folder.is_dir():
        raise SynthbenchError(f"{folder}: no such folder")
    if not all((folder / name).exists() for name in ("images", "train.json", "test.json")):
        raise SynthbenchError(elsewise(folder))
    problems: list[str] = []
    files = [read_coco(folder, name, problems) for name in ("train.json", "test.json")]
    train, test = files
    if problems or train is None or test is None:
        more = [f"and {len(problems) - LISTED} more"] * (len(problems) > LISTED)
        raise SynthbenchError("\n  ".join([f"{folder}: not a folder that a suite can read", *problems[:LISTED], *more]))
    boxes = [row for rows in train.annotations.values() for row in rows if not row.iscrowd]
    if not boxes:
        raise SynthbenchError(f"{folder}: train.json has no boxes, so there is nothing to learn")
    counts = Counter(train.categories[row.category_id] for row in boxes)
    sizes = Counter((image.width, image.height) for file in (train, test) for image in file.images)
    return Facts(
        classes={name: counts[name] for name in names(train)},
        train=len(train.images),
        test=len(test.images),
        sizes=dict(sizes.most_common()),
        side=statistics.median((max(row.bbox[2], 0) * max(row.bbox[3], 0)) ** 0.5 for row in boxes),
        longest=round(statistics.median(max(size) for size in sizes.elements())),
    )


def names(file: CocoFile) -> tuple[str, ...]:
    """The categories in the order of their ids, as the data source `coco` takes them."""
    return tuple(dict.fromkeys(file.categories[number] for number in sorted(file.categories)))


def elsewise(folder: Path) -> str:
    """What to do with a folder that has not images/, train.json and test.json."""
    source, target = (shlex.quote(str(each)) for each in (folder, beside(folder, "-coco")))
    convert = f"make one of it: synthbench data import {source} {target}, then synthbench init {target}"
    if format_ := guess(folder):
        return f"{folder}: looks like {format_}, and a suite reads COCO with training and test images; {convert}"
    lacking = [name for name in ("images/", "train.json", "test.json") if not (folder / name).exists()]
    return f"{folder}: lacks {', '.join(lacking)}. If the photographs are labelled in COCO, YOLO or Pascal VOC, {convert}"


def guess(folder: Path) -> str:
    """The format of a folder's labels by its files; empty if none looks like one."""
    found = {path.suffix.lower() for path in some_files(folder) if path.suffix.lower() == ".xml" or "labels" in path.parts}
    if ".xml" in found:
        return "Pascal VOC"
    if ".txt" in found or any((folder / name).exists() for name in ("data.yaml", "data.yml")):
        return "YOLO"
    return "COCO" if any(path.suffix == ".json" for path in some_files(folder)) else ""


def some_files(folder: Path) -> Iterator[Path]:
    """The first files in a folder and the folders in it."""
    for number, path in enumerate(folder.rglob("*")):
        if number == LOOKED_AT:
            return
        yield path
