"""Selects the labels of generated images from the boxes of a detector, or of the generator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from synthbench.errors import SynthbenchError
from synthbench.metrics import nms

if TYPE_CHECKING:
    from synthbench.builtin import Native, Teacher
    from synthbench.contract.types import Boxes, ImageSet, Picture, Run


def select_detections(options: Teacher, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `Teacher.annotate`."""

    def selected(picture: Picture) -> Boxes:
        if picture.boxes is None:
            raise SynthbenchError(f"teacher: {picture.path.name} has no boxes of the detector '{options.detector}'")
        boxes = nms(picture.boxes.keep(picture.boxes.scores >= options.score_threshold), options.nms_iou)
        return boxes.keep(np.arange(min(len(boxes), options.max_detections)))

    return _counted(map(selected, images), len(images), run)


def select_generated(options: Native, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `Native.annotate`."""

    def selected(picture: Picture) -> Boxes:
        if picture.boxes is None:
            raise SynthbenchError(
                f"native: the generator returned no boxes with {picture.path.name}; use a generator that returns boxes, with the "
                "options it needs for that, or another annotator, such as 'teacher'"
            )
        edges = np.array([picture.width, picture.height, picture.width, picture.height], np.float32)
        clipped = replace(picture.boxes, xyxy=picture.boxes.xyxy.clip(0, edges))
        sides = clipped.xyxy[:, 2:] - clipped.xyxy[:, :2]
        # A box outside of the image has a side of 0 after clipping, and is dropped even with `min_side = 0`.
        kept = (sides >= options.min_side).all(1) & (sides > 0).all(1) & (clipped.scores >= options.score_threshold)
        return nms(clipped.keep(kept), options.nms_iou)

    return _counted(map(selected, images), len(images), run)


def _counted(selected: Iterator[Boxes], total: int, run: Run) -> Iterator[Boxes]:
    """Yields `selected`, and logs the number of boxes and of images without any, so that an annotator that finds nothing is noticed."""
    count = without = 0
    for boxes in run.track(selected, "annotate", total=total, unit="images"):
        count += len(boxes)
        without += not len(boxes)
        yield boxes
    run.log_metrics(boxes=count, images_without_boxes=without)
