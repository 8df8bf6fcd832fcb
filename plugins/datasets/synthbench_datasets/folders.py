"""Folders with `images/`, `train.json` and `test.json` (COCO), as the data source `coco` reads them, and YOLO's label files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from synthbench import SynthbenchError

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""


@dataclass(frozen=True)
class Labelled:
    """An image file in `images/` with its size in pixels and its boxes."""

    file: str
    width: int
    height: int
    boxes: list[Box] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class About:
    """What an annotation file says of the data. license: as SPDX or in words, and its address."""

    description: str
    url: str
    license: tuple[str, str]


def write_coco(path: Path, images: Iterable[Labelled], about: About, category: str = "apple") -> None:
    """Writes COCO detection JSON of one category."""
    listed = list(images)
    boxes = [(number, box) for number, image in enumerate(listed, 1) for box in image.boxes]
    content = {
        "info": {"description": about.description, "url": about.url},
        "licenses": [{"id": 1, "name": about.license[0], "url": about.license[1]}],
        "images": [
            {"id": number, "file_name": image.file, "width": image.width, "height": image.height} for number, image in enumerate(listed, 1)
        ],
        "annotations": [
            {"id": number, "image_id": image, "category_id": 1, "bbox": list(box), "area": round(box[2] * box[3], 2), "iscrowd": 0}
            for number, (image, box) in enumerate(boxes, 1)
        ],
        "categories": [{"id": 1, "name": category}],
    }
    path.write_text(json.dumps(content))


def yolo_boxes(path: Path) -> Iterator[Box]:
    """The boxes of a label file of YOLO, as shares of the image: centre x, centre y, width, height. Raises SynthbenchError."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        try:
            _, x, y, width, height = map(float, parts)
        except ValueError:
            raise SynthbenchError(f"{path}: line {number} is not a class and four numbers: {line[:80]!r}") from None
        yield x, y, width, height


def in_pixels(box: Box, width: int, height: int) -> Box:
    """A box of YOLO as x, y, width, height in pixels, cut at the image's edges."""
    x, y, across, down = box
    left, right = ((x + side * across / 2) * width for side in (-1, 1))
    top, bottom = ((y + side * down / 2) * height for side in (-1, 1))
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    return left, top, right - left, bottom - top
