"""COCO detection JSON, the form in which the store keeps every image set.

A folder holds `images/` and `annotations.json`. Boxes are `[x, y, width, height]` in pixels; category ids count
from 1 in the order of the image set's categories. `area` is the box's. An annotation has `xyxy` too where x + width or y + height,
in float64, is not exactly the corner that was stored.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from synthbench.contract.images import open_image, read_header, write_image
from synthbench.contract.types import Boxes, ImageSet, Picture, Sample
from synthbench.metrics.overlap import xywh

ANNOTATIONS = "annotations.json"
WAITING = 16  # images that may wait to be written


def read_set(folder: Path) -> ImageSet:
    """The image set that `write_set` left in `folder`."""
    content = json.loads((folder / ANNOTATIONS).read_text())
    by_image: dict[int, list[dict[str, object]]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    pictures = [
        Picture(
            path=Path(os.path.normpath(folder / image["file_name"])),
            width=image["width"],
            height=image["height"],
            boxes=_boxes(by_image[image["id"]]) if image["labelled"] else None,
        )
        for image in content["images"]
    ]
    return ImageSet(tuple(category["name"] for category in content["categories"]), tuple(pictures))


def read_samples(folder: Path, count: int) -> Iterator[Sample]:
    """The first `count` images that `write_set` left in `folder`, as the samples it was given."""
    content = json.loads((folder / ANNOTATIONS).read_text())
    for picture, image in zip(read_set(folder)[:count], content["images"], strict=False):
        yield Sample(picture.path, picture.boxes, image.get("about", {}))


def read_groups(folder: Path) -> list[str] | None:
    """The group of each image that `write_set` left in `folder`, such as its video; None unless all have one."""
    content = json.loads((folder / ANNOTATIONS).read_text())
    groups = [str(image.get("about", {}).get("group", "")) for image in content["images"]]
    return groups if all(groups) else None


def names_of(folder: Path) -> list[str]:
    """What to call the images that `write_set` left in `folder`: the files that they came from, as far as that is known, else their own.

    A source says so with `about={"file": NAME}`, with `left` and `top` for a part of that file.
    """
    names = []
    for image in json.loads((folder / ANNOTATIONS).read_text())["images"]:
        about = image.get("about", {})
        place = f" at {about['left']}, {about['top']}" if about.get("left") or about.get("top") else ""
        names.append(f"{about['file']}{place}" if "file" in about else f"{folder.name}/{image['file_name']}")
    return names


def link_or_copy(source: Path, target: Path) -> None:
    """Gives a file of the store a second name; copies it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_set(folder: Path, categories: tuple[str, ...], samples: Iterable[Sample], *, link: bool = False) -> ImageSet:
    """Stores samples as they come, in files of the core's naming, and returns them as an image set.

    link: image files are other artifacts' of the same store, which never change, so they need not be copied.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    pictures, about = [], []
    writing: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=1) as writer:  # while the next images are made, perhaps on a GPU
        for number, sample in enumerate(samples):
            if isinstance(sample.image, Path):
                path = folder / "images" / f"{number:06d}{sample.image.suffix.lower()}"
                width, height = read_header(sample.image).upright if link else open_image(sample.image).size
                (link_or_copy if link else shutil.copyfile)(sample.image, path)
            else:
                path = folder / "images" / f"{number:06d}.png"
                height, width = sample.image.shape[:2]
                writing.append(writer.submit(write_image, path, sample.image.copy()))  # who made it may use its memory again
                if len(writing) > WAITING:
                    writing.popleft().result()
            pictures.append(Picture(path, width, height, sample.boxes))
            about.append(dict(sample.about))
        for each in writing:
            each.result()
    images = ImageSet(categories, tuple(pictures))
    write_annotations(folder, images, about)
    return images


def write_annotations(folder: Path, images: ImageSet, about: list[dict[str, str | int | float]] | None = None) -> None:
    """Writes `annotations.json` for pictures that lie below `folder`."""
    content = {
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
    (folder / ANNOTATIONS).write_text(json.dumps(content))


def annotations_of(images: ImageSet) -> list[dict[str, object]]:
    """COCO annotations; image ids are positions, annotation ids count from 1 (COCOeval takes 0 for no match)."""
    annotations: list[dict[str, object]] = []
    for number, picture in enumerate(images):
        boxes = picture.boxes or Boxes.none()
        rows = (xywh(boxes.xyxy).T, boxes.xyxy, boxes.labels, boxes.scores, boxes.crowd)
        for (x, y, width, height), xyxy, label, score, crowd in zip(*(row.tolist() for row in rows), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label + 1,
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": int(crowd),
                    "score": score,
                    **({} if [x + width, y + height] == xyxy[2:] else {"xyxy": xyxy}),
                }
            )
    return annotations


def _boxes(annotations: list[dict[str, object]]) -> Boxes:
    corners = np.array([annotation["bbox"] for annotation in annotations], np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    for number, annotation in enumerate(annotations):
        if "xyxy" in annotation:
            corners[number] = np.asarray(annotation["xyxy"], np.float64)
    return Boxes.of(
        corners,
        [int(str(annotation["category_id"])) - 1 for annotation in annotations],
        [float(str(annotation.get("score", 1.0))) for annotation in annotations],
        [bool(annotation.get("iscrowd", 0)) for annotation in annotations],
    )
