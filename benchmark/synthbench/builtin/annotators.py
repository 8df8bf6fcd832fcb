"""Selects the labels of generated images from the boxes of a detector, of the generator, or of people."""

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

    return map(selected, run.track(images, "annotate", unit="images"))


def select_generated(options: Native, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `Native.annotate`."""

    def selected(picture: Picture) -> Boxes:
        if picture.boxes is None:
            raise SynthbenchError(
                f"native: the generator returned no boxes with {picture.path.name}; use a generator that returns boxes, with the "
                "options it needs for that, or another annotator, such as 'teacher'"
            )
        edges = np.array([picture.width, picture.height, picture.width, picture.height], np.float64)
        clipped = replace(picture.boxes, xyxy=picture.boxes.xyxy.clip(0, edges))
        sides = clipped.xyxy[:, 2:] - clipped.xyxy[:, :2]
        # A box outside of the image has a side of 0 after clipping, and is dropped even with `min_side = 0`.
        kept = (sides >= options.min_side).all(1) & (sides > 0).all(1) & (clipped.scores >= options.score_threshold)
        return nms(clipped.keep(kept), options.nms_iou)

    return map(selected, run.track(images, "annotate", unit="images"))


def take_over(images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `Human.annotate`."""
    for picture in run.track(images, "annotate", unit="images"):
        if picture.boxes is None:
            raise SynthbenchError(f"human: {picture.path.name} has no boxes that people drew")
        yield picture.boxes
