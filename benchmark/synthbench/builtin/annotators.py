"""Selects the labels of generated images from the boxes of a detector, of the generator, or of people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from synthbench.errors import SynthbenchError
from synthbench.metrics import nms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench.builtin import Native, Teacher
    from synthbench.contract.types import Boxes, ImageSet, Picture, Run


def select_detections(options: Teacher, images: ImageSet, run: Run) -> Iterator[Boxes]:
    """See `Teacher.annotate`."""

    highest = np.full(len(images.categories), -np.inf)
    for picture in run.track(images, "annotate", unit="images"):
        if picture.boxes is None:
            raise SynthbenchError(f"teacher: {picture.path.name} has no boxes of the detector '{options.detector}'")
        np.maximum.at(highest, picture.boxes.labels, picture.boxes.scores)
        boxes = nms(picture.boxes.keep(picture.boxes.scores >= options.score_threshold), options.nms_iou)
        yield boxes.keep(np.arange(min(len(boxes), options.max_detections)))
    if (note := not_kept(options, images, highest)) is not None:
        run.note(note)


def not_kept(options: Teacher, images: ImageSet, highest: NDArray[np.float64]) -> str | None:
    """What a reader should know of classes of which no box was kept, with the fix; None if each has one.

    highest: the highest score of each class, float64 (classes,); -inf if the detector found none.
    """
    lost = np.flatnonzero(highest < options.score_threshold)
    if not len(lost) or not len(images):
        return None
    several = len(highest) > 1
    each = ", ".join(
        f"{f'{images.categories[label]} ' if several else ''}{'no box' if np.isinf(score) else f'{score:.3g}'}"
        for label, score in zip(lost.tolist(), highest[lost].tolist(), strict=True)
    )
    which = " of some classes" if several and len(lost) < len(highest) else ""
    return (
        f"teacher: no box{which} that the detector '{options.detector}' found in {len(images)} images reaches score_threshold = "
        f"{options.score_threshold:g} (highest score: {each}); lower score_threshold, or train the detector longer (max_train_steps)"
    )


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
