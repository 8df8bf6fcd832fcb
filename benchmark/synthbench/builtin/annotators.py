"""Which of the boxes that came with generated images become their labels."""

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


def teach(options: Teacher, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """Yields the boxes of each image that the detector is sure of, surest first."""

    def chosen(picture: Picture) -> Boxes:
        if picture.boxes is None:
            raise SynthbenchError(f"teacher: {picture.path.name} came without boxes of the detector '{options.detector}'")
        sure = picture.boxes.keep(picture.boxes.scores >= options.score)
        alone = nms(sure, options.nms)
        return alone.keep(np.arange(min(len(alone), options.max_boxes)))

    return _counted(map(chosen, images), len(images), run)


def take_over(options: Native, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """Yields the boxes that the generator gave with each image, within that image."""

    def chosen(picture: Picture) -> Boxes:
        if picture.boxes is None:
            raise SynthbenchError(
                f"native: the generator gave no boxes with {picture.path.name}; set boxes = true at the generator where it has "
                "that option, or use the annotator 'teacher'"
            )
        edges = np.array([picture.width, picture.height, picture.width, picture.height], np.float32)
        within = replace(picture.boxes, xyxy=picture.boxes.xyxy.clip(0, edges))
        sides = within.xyxy[:, 2:] - within.xyxy[:, :2]
        # A box wholly outside has no side left, whatever the smallest one asked for.
        stands = (sides >= options.min_side).all(1) & (sides > 0).all(1) & (within.scores >= options.score)
        return nms(within.keep(stands), options.nms)

    return _counted(map(chosen, images), len(images), run)


def _counted(chosen: Iterator[Boxes], total: int, run: Run) -> Iterator[Boxes]:
    """Passes the boxes on and records how many there were: an annotator that finds nothing should show."""
    count = without = 0
    for boxes in run.track(chosen, "annotate", total=total, unit="images"):
        count += len(boxes)
        without += not len(boxes)
        yield boxes
    run.log_metrics(boxes=count, images_without_boxes=without)
