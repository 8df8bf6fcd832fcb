"""Label Studio: tasks and a labelling configuration to import there, and its JSON export.

https://labelstud.io/guide/task_format and https://labelstud.io/guide/export#Label-Studio-JSON-format-of-annotated-tasks
A region's x, y, width and height are percent of the image's sides; `rotation` is in degrees, clockwise, around its top left corner.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from synthbench.labelling.batch import Asked, Batch, Box
from synthbench.labelling.reply import Replies, Reply

TOOL = "label-studio"
ID = "synthbench_id"
"""The field of a task's data by which its answer is matched."""
# Okabe and Ito's palette, which colour-blind people can tell apart.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000")


def configuration(categories: Sequence[str]) -> str:
    """The labelling configuration: rectangles with these labels."""
    labels = [
        f"    <Label value={quoteattr(name)} background={quoteattr(COLOURS[number % len(COLOURS)])}/>"
        for number, name in enumerate(categories)
    ]
    return "\n".join(
        [
            "<View>",
            '  <Image name="image" value="$image" zoom="true" zoomControl="true"/>',
            '  <RectangleLabels name="label" toName="image" strokeWidth="2" canRotate="false">',
            *labels,
            "  </RectangleLabels>",
            "</View>",
            "",
        ]
    )


def tasks(batch: Batch, images: Sequence[Asked], below: str) -> list[dict[str, Any]]:
    """The tasks of some images of a batch; the boxes that were drawn before are predictions.

    below: the batch's folder, relative to the one whose files Label Studio shows.
    """
    return [
        {
            "data": {"image": f"/data/local-files/?d={quote(f'{below}/{each.file}')}", ID: each.id},
            **({"predictions": [prediction(batch, each)]} if each.drawn is not None else {}),
        }
        for each in images
    ]


def prediction(batch: Batch, image: Asked) -> dict[str, Any]:
    """The boxes that were drawn before."""
    assert image.drawn is not None, "an image without boxes has no prediction"
    scores = image.drawn.scores
    return {
        "model_version": batch.pre_labels,
        "score": sum(scores) / len(scores) if scores else 0.0,
        "result": [
            {
                "id": f"{image.number}-{number}",
                "type": "rectanglelabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": image.width,
                "original_height": image.height,
                "image_rotation": 0,
                "score": score,
                "value": {
                    "x": 100 * x1 / image.width,
                    "y": 100 * y1 / image.height,
                    "width": 100 * (x2 - x1) / image.width,
                    "height": 100 * (y2 - y1) / image.height,
                    "rotation": 0,
                    "rectanglelabels": [label],
                },
            }
            for number, ((x1, y1, x2, y2), label, score) in enumerate(zip(image.drawn.xyxy, image.drawn.labels, scores, strict=True))
        ],
    }


def read(content: Sequence[Any], file: str) -> Replies:
    """The answers in an export in the format `JSON`."""
    replies = Replies(TOOL)
    for number, task in enumerate(content):
        place = f"{file}: task {task.get('id', number) if isinstance(task, Mapping) else number}"
        try:
            read_task(task, place, replies)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            replies.problems.append(f"{place}: not a task of Label Studio's JSON export ({type(error).__name__}: {error})")
    return replies


def read_task(task: Mapping[str, Any], place: str, replies: Replies) -> None:
    """The latest annotation of a task that was submitted, if there is one."""
    given = [each for each in task["annotations"] if not each.get("was_cancelled")]
    for reason, count in (
        ("task that was skipped in Label Studio", len(task["annotations"]) > 0 and not given),
        ("draft that was not submitted", not given and bool(task.get("drafts"))),
        ("second annotation of a task, of which the latest counts", len(given) > 1),
    ):
        if count:
            replies.skip(reason)
    if not given:
        return
    latest = max(given, key=lambda each: str(each.get("updated_at", "")))
    boxes, labels, size = [], [], None
    for region in latest["result"]:
        if region["type"] not in ("rectanglelabels", "rectangle"):
            replies.problems.append(f"{place}: a region of the type '{region['type']}'; only rectangles are read")
            return
        named = region["value"].get("rectanglelabels", [])
        if len(named) != 1:
            replies.problems.append(f"{place}: a rectangle with {len(named)} labels; give it one")
            return
        size = (int(region["original_width"]), int(region["original_height"]))
        boxes.append(upright(region["value"], size))
        labels.append(str(named[0]))
    seconds, data = duration(latest.get("lead_time")), task["data"]
    replies.found.append(
        Reply(
            place=place,
            names=[str(data[ID])] if ID in data else [str(data.get("image", ""))],
            boxes=boxes,
            labels=labels,
            size=size,
            sure=True,
            seconds=seconds,
        )
    )


def duration(value: object) -> float | None:
    """Seconds; None if they are not told, or are none: a browser's clock may be set back while somebody labels."""
    seconds = float(value) if isinstance(value, int | float | str) else math.nan
    return seconds if 0 <= seconds < math.inf else None


def upright(value: Mapping[str, Any], size: tuple[int, int]) -> Box:
    """A region as the upright box around it, in pixels."""
    across, down = size[0] / 100, size[1] / 100
    x, y, width, height = value["x"] * across, value["y"] * down, value["width"] * across, value["height"] * down
    angle = math.radians(value.get("rotation", 0) or 0)
    cos, sin = math.cos(angle), math.sin(angle)
    corners = [(x + dx * cos - dy * sin, y + dx * sin + dy * cos) for dx, dy in ((0, 0), (width, 0), (0, height), (width, height))]
    return min(c[0] for c in corners), min(c[1] for c in corners), max(c[0] for c in corners), max(c[1] for c in corners)
