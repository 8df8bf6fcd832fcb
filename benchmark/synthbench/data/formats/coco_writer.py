"""Writes COCO detection JSON: `images/`, and a file for each split."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from synthbench.data.formats.dataset import Dataset
from synthbench.data.formats.finishing import DECIMALS
from synthbench.data.formats.writing import put_images


class Image(msgspec.Struct, gc=False):
    """An entry of `images`."""

    id: int
    file_name: str
    width: int
    height: int


class Annotation(msgspec.Struct, gc=False):
    """An entry of `annotations`."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float
    iscrowd: int


WHOLE = "annotations"  # the file of images without a split


def write_coco(dataset: Dataset, folder: Path, *, copy: bool = False) -> None:
    """Writes a data set to a folder: `images/NAME` and `train.json`, `val.json`, `test.json`, or `annotations.json` without a split.

    Ids count from 1 in each file. Boxes have four decimals.
    """
    put_images(dataset, folder, [f"images/{photo.name}" for photo in dataset.photos], copy=copy)
    splits = np.array([photo.split for photo in dataset.photos])
    for split in np.unique(splits).tolist():
        part = dataset.keep(np.flatnonzero(splits == split))
        (folder / f"{split or WHOLE}.json").write_bytes(coco_json(part))


def coco_json(dataset: Dataset) -> bytes:
    """The content of an annotation file of all images. An empty category stays."""
    boxes = dataset.boxes
    sides = np.round(boxes.xyxy[:, 2:] - boxes.xyxy[:, :2], DECIMALS)
    x, y, width, height = (column.tolist() for column in (*boxes.xyxy[:, :2].T, *sides.T))
    areas = np.round(sides.prod(1), DECIMALS).tolist()
    photos, labels, crowd = (boxes.photo + 1).tolist(), (boxes.label + 1).tolist(), boxes.crowd.astype(np.int8).tolist()
    rows = zip(photos, labels, zip(x, y, width, height, strict=True), areas, crowd, strict=True)
    content = {
        "info": {"description": dataset.source},
        "licenses": [{"id": 1, "name": dataset.license}] if dataset.license else [],
        "images": [Image(number, photo.name, *photo.size) for number, photo in enumerate(dataset.photos, start=1)],
        "annotations": [Annotation(number, *row) for number, row in enumerate(rows, start=1)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(dataset.categories, start=1)],
    }
    return msgspec.json.encode(content)
