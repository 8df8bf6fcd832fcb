"""COCO detection JSON, the form in which the store keeps every image set.

A folder holds `images/` and `annotations.json`. Boxes are `[x, y, width, height]` in pixels; category ids count
from 1 in the order of the image set's categories. `area` is the box's.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from synthbench.contract.images import open_image, write_image
from synthbench.contract.types import Boxes, ImageSet, Picture, Sample

ANNOTATIONS = "annotations.json"


def read_set(folder: Path) -> ImageSet:
    """The image set that `write_set` left in `folder`."""
    held = json.loads((folder / ANNOTATIONS).read_text())
    by_image: dict[int, list[dict[str, object]]] = {image["id"]: [] for image in held["images"]}
    for annotation in held["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    pictures = [
        Picture(
            path=Path(os.path.normpath(folder / image["file_name"])),
            width=image["width"],
            height=image["height"],
            boxes=_boxes(by_image[image["id"]]) if image["labelled"] else None,
        )
        for image in held["images"]
    ]
    return ImageSet(tuple(category["name"] for category in held["categories"]), tuple(pictures))


def write_set(folder: Path, categories: tuple[str, ...], samples: Iterable[Sample]) -> ImageSet:
    """Stores samples as they come, in files of the core's naming, and gives them back as an image set."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    pictures, about = [], []
    for number, sample in enumerate(samples):
        if isinstance(sample.image, Path):
            path = folder / "images" / f"{number:06d}{sample.image.suffix.lower()}"
            width, height = open_image(sample.image).size
            shutil.copyfile(sample.image, path)
        else:
            path = folder / "images" / f"{number:06d}.png"
            height, width = sample.image.shape[:2]
            write_image(path, sample.image)
        pictures.append(Picture(path, width, height, sample.boxes))
        about.append(dict(sample.about))
    images = ImageSet(categories, tuple(pictures))
    write_annotations(folder, images, about)
    return images


def write_annotations(folder: Path, images: ImageSet, about: list[dict[str, str | int | float]] | None = None) -> None:
    """Writes `annotations.json` for pictures that lie below `folder`."""
    held = {
        "images": [
            {
                "id": number,
                "file_name": picture.path.relative_to(folder).as_posix(),
                "width": picture.width,
                "height": picture.height,
                "labelled": picture.boxes is not None,
                **({"about": about[number]} if about else {}),
            }
            for number, picture in enumerate(images)
        ],
        "annotations": annotations_of(images),
        "categories": [{"id": number + 1, "name": name} for number, name in enumerate(images.categories)],
    }
    (folder / ANNOTATIONS).write_text(json.dumps(held))


def annotations_of(images: ImageSet) -> list[dict[str, object]]:
    """COCO annotations; image ids are positions, annotation ids count from 1 (COCOeval takes 0 for no match)."""
    made: list[dict[str, object]] = []
    for number, picture in enumerate(images):
        boxes = picture.boxes or Boxes.none()
        for (x1, y1, x2, y2), label, score, crowd in zip(
            boxes.xyxy.astype(np.float64).tolist(), boxes.labels.tolist(), boxes.scores.tolist(), boxes.crowd.tolist(), strict=True
        ):
            made.append(
                {
                    "id": len(made) + 1,
                    "image_id": number,
                    "category_id": label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(crowd),
                    "score": score,
                }
            )
    return made


def _boxes(annotations: list[dict[str, object]]) -> Boxes:
    corners = np.array([annotation["bbox"] for annotation in annotations], np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return Boxes.of(
        corners,
        [int(str(annotation["category_id"])) - 1 for annotation in annotations],
        [float(str(annotation.get("score", 1.0))) for annotation in annotations],
        [bool(annotation.get("iscrowd", 0)) for annotation in annotations],
    )
