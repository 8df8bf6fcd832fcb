"""A generated set as a folder that COCO and YOLO readers both take: `images/`, `train.json`, `labels/`, `data.yaml`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from synthbench.contract.types import Boxes, ImageSet
from synthbench.data.formats.coco_writer import coco_json
from synthbench.data.formats.dataset import Dataset, Photograph, Table
from synthbench.data.formats.faults import Faults
from synthbench.data.formats.finishing import DECIMALS
from synthbench.data.formats.yolo_writer import write_yolo

VALIDATION = "# val: put real photographs of yours there; generated ones say nothing about photographs\n"


def write_dataset(folder: Path, images: ImageSet, license: str, source: str) -> ImageSet:
    """Writes images, byte for byte, and boxes. Images that nobody labelled are left out: in YOLO they would count as empty.

    Returns the images that were written.
    """
    labelled = images.subset(number for number, picture in enumerate(images) if picture.boxes is not None)
    dataset = dataset_of(labelled, license, source)
    write_yolo(dataset, folder, Faults(), copy=True)  # boxes of crowds have no form there, and are in train.json
    (folder / "train.json").write_bytes(coco_json(dataset))
    data = folder / "data.yaml"
    data.write_text(VALIDATION + data.read_text(encoding="utf-8"), encoding="utf-8")
    return labelled


def dataset_of(images: ImageSet, license: str, source: str) -> Dataset:
    """An image set in the form that the writers start from. Its files may lie in folders of several stages."""
    root = Path(Path.cwd().anchor)
    photos = [
        Photograph(
            path=picture.path.absolute().relative_to(root).as_posix(),
            size=(picture.width, picture.height),
            name=f"{number:06d}{picture.path.suffix}",
        )
        for number, picture in enumerate(images)
    ]
    boxes = [picture.boxes or Boxes.none() for picture in images]
    count = sum(map(len, boxes))
    table = Table(
        xyxy=np.round(np.concatenate([np.empty((0, 4)), *(each.xyxy for each in boxes)]), DECIMALS),
        photo=np.repeat(np.arange(len(boxes)), [len(each) for each in boxes]),
        label=np.concatenate([np.empty(0, np.int64), *(each.labels for each in boxes)]).astype(np.int64),
        where=np.zeros(count, np.int64),
        crowd=np.concatenate([np.empty(0, np.bool_), *(each.crowd for each in boxes)]).astype(np.bool_),
        difficult=np.zeros(count, np.bool_),
    )
    return Dataset(root, "coco", images.categories, photos, table, license, source)
