"""COCO detection JSON: a batch to load into a tool, and what a tool saved. Corners are those of the file, x + width and y + height."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthbench.labelling.batch import Asked, Batch
from synthbench.labelling.reply import Replies, Reply

TOOL = "coco"
ID = "synthbench_id"


def dataset(batch: Batch, images: Sequence[Asked]) -> dict[str, Any]:
    """Some images of a batch with the boxes that were drawn before; ids count from 1."""
    ids = {name: number for number, name in enumerate(batch.categories, 1)}
    rows = [
        {
            "image_id": each.number + 1,
            "category_id": ids[label],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
            "score": score,
        }
        for each in images
        if each.drawn is not None
        for (x1, y1, x2, y2), label, score in zip(each.drawn.xyxy, each.drawn.labels, each.drawn.scores, strict=True)
    ]
    return {
        "images": [
            {"id": each.number + 1, "file_name": each.file, "width": each.width, "height": each.height, ID: each.id} for each in images
        ],
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, 1)],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }


def read(content: Mapping[str, Any], file: str) -> Replies:
    """The images of a COCO file with their boxes; the file does not say which of them somebody has looked at."""
    replies = Replies(TOOL)
    try:
        names = {each["id"]: str(each["name"]) for each in content["categories"]}
        boxes: dict[Any, list[Mapping[str, Any]]] = {each["id"]: [] for each in content["images"]}
        for key, known in (("images", boxes), ("categories", names)):
            if len(known) < len(content[key]):  # as in two files that were put together: nobody can tell whose the boxes are
                raise ValueError(f"two of its {key} have the same id")
        for annotation in content["annotations"]:
            boxes[annotation["image_id"]].append(annotation)
        for image in content["images"]:
            place, own = f"{file}: image {image['id']}", boxes[image["id"]]
            if any(each.get("iscrowd") for each in own):
                replies.problems.append(f"{place}: a crowd region; draw a box around each object")
            corners = [[float(value) for value in each["bbox"]] for each in own]
            replies.found.append(
                Reply(
                    place=place,
                    names=[str(image[name]) for name in (ID, "file_name") if image.get(name)],
                    boxes=[(x, y, x + width, y + height) for x, y, width, height in corners],
                    labels=[names[each["category_id"]] for each in own],
                    size=(int(image["width"]), int(image["height"])) if image.get("width") and image.get("height") else None,
                )
            )
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        replies.problems.append(f"{file}: not a COCO file that can be read ({type(error).__name__}: {error})")
    return replies
