"""A generated set as a folder that COCO and YOLO readers both take: `images/`, `train.json`, `labels/`, `data.yaml`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from synthbench.contract.types import Boxes, ImageSet, Picture
from synthbench.data.formats.yolo_writer import share_line
from synthbench.storage.coco import annotations_of

VALIDATION = "# val: put real photographs of yours there; generated ones say nothing about photographs"


def write_dataset(folder: Path, images: ImageSet, license: str, source: str) -> ImageSet:
    """Writes images, byte for byte, and boxes. Images that nobody labelled are left out: in YOLO they would count as empty.

    Returns the images that were written.
    """
    labelled = images.subset(number for number, picture in enumerate(images) if picture.boxes is not None)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    named = list(_named(labelled))
    for name, picture in named:
        shutil.copyfile(picture.path, folder / "images" / name)
        (folder / "labels" / f"{Path(name).stem}.txt").write_text("".join(_lines(picture)))
    content = {
        "info": {"description": source},
        "licenses": [{"id": 1, "name": license}],
        "images": [{"id": n, "file_name": name, "width": each.width, "height": each.height} for n, (name, each) in enumerate(named)],
        "annotations": [{name: value for name, value in row.items() if name not in ("score", "xyxy")} for row in annotations_of(labelled)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(labelled.categories, 1)],
    }
    (folder / "train.json").write_text(json.dumps(content))
    names = "".join(f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for number, name in enumerate(labelled.categories))
    (folder / "data.yaml").write_text(f"{VALIDATION}\ntrain: images\nval: images\nnames:\n{names}")
    return labelled


def _named(images: ImageSet) -> Iterator[tuple[str, Picture]]:
    for number, picture in enumerate(images):
        yield f"{number:06d}{picture.path.suffix}", picture


def _lines(picture: Picture) -> Iterator[str]:
    """YOLO's lines: category, centre and size as shares of the image. Crowds have no form there."""
    boxes = picture.boxes or Boxes.none()
    for corners, label, crowd in zip(boxes.xyxy.tolist(), boxes.labels.tolist(), boxes.crowd.tolist(), strict=True):
        if not crowd:
            yield f"{label} {share_line(corners, (picture.width, picture.height))}\n"
