"""YOLO's text files: a batch to load into a tool, and a folder that a tool saved.

A line is `class x y width height`: the centre and the sides of a box as shares of the image's. ultralytics' layout: `data.yaml`,
`images/`, `labels/`; Label Studio writes `classes.txt` in place of `data.yaml`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from synthbench.labelling.batch import Asked, Batch, Box
from synthbench.labelling.reply import Replies, Reply

TOOL = "yolo"
NAMES = ("classes.txt", "obj.names")
DATA = "data.yaml"


def description(categories: Sequence[str]) -> str:
    """The content of `data.yaml`. A JSON string is one of YAML's."""
    lines = [f"  {number}: {json.dumps(name, ensure_ascii=False)}" for number, name in enumerate(categories)]
    return "\n".join(["path: .", "train: images", "val: images", "names:", *lines, ""])


def lines(batch: Batch, image: Asked) -> str:
    """The content of an image's text file: the boxes that were drawn before."""
    drawn = [] if image.drawn is None else zip(image.drawn.xyxy, image.drawn.labels, strict=True)
    rows = [
        (
            batch.categories.index(label),
            (x1 + x2) / 2 / image.width,
            (y1 + y2) / 2 / image.height,
            (x2 - x1) / image.width,
            (y2 - y1) / image.height,
        )
        for (x1, y1, x2, y2), label in drawn
    ]
    return "".join(f"{row[0]} {' '.join(f'{value:.9g}' for value in row[1:])}\n" for row in rows)


def is_yolo(folder: Path) -> bool:
    """Whether a folder has text files where YOLO's are."""
    return bool(label_files(folder))


def label_files(folder: Path) -> list[Path]:
    """The text files of a folder, sorted: below `labels/`, else `obj_train_data/`, as CVAT calls it, else beside the list of classes."""
    for name in ("labels", "obj_train_data"):
        if (folder / name).is_dir():
            return sorted((folder / name).rglob("*.txt"))
    return sorted(path for path in folder.glob("*.txt") if path.name not in NAMES) if class_names(folder) else []


def read(folder: Path, categories: Sequence[str]) -> Replies:
    """The images that have a text file; an image without one has not been looked at, and one with a file perhaps.

    categories: those of the batch, for a folder that does not name its classes.
    """
    replies = Replies(TOOL)
    names = class_names(folder) or list(categories)
    if (folder / DATA).is_file() and not class_names(folder):
        replies.problems.append(f"{folder / DATA}: no `names` of classes that can be read")
    for path in label_files(folder):
        found: list[tuple[Box, str]] = []
        for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
            try:
                found += [(corners(row), names[int(row[0])])] if (row := line.split()) else []
            except (ValueError, IndexError):
                kinds = f"class x y width height, with a class from 0 to {len(names) - 1}"
                replies.problems.append(f"{path}, line {number}: expected {kinds}, got {line[:80]!r}")
        boxes, labels = [box for box, _ in found], [label for _, label in found]
        replies.found.append(Reply(place=str(path), names=[path.stem], boxes=boxes, labels=labels, shares=True))
    return replies


def corners(row: Sequence[str]) -> Box:
    """The corners of a line's box, as shares of the image's sides. Raises ValueError for anything but a class and four numbers."""
    if len(row) != 5 or int(row[0]) < 0:
        raise ValueError
    x, y, width, height = map(float, row[1:])
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def class_names(folder: Path) -> list[str]:
    """The names of the classes, by their numbers; empty if the folder does not say them."""
    for name in NAMES:
        if (folder / name).is_file():
            return [line.strip() for line in (folder / name).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    path = folder / DATA
    return names_in(path.read_text(encoding="utf-8-sig")) if path.is_file() else []


def names_in(text: str) -> list[str]:
    """`names` of a `data.yaml`: a list, or a table by number, in any order. Empty if they are neither, or a number has no name."""
    try:
        content = yaml.load(text, yaml.BaseLoader)  # every value is text, also yes and 1.0
    except (yaml.YAMLError, RecursionError):
        return []
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        names = [names.get(str(number)) for number in range(len(names))]
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []
