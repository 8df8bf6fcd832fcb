"""Whether an exported ONNX file gives the boxes that the detector gave in the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthbench.contract.types import Boxes, ImageSet
from synthbench.exporting import detect
from synthbench.metrics.overlap import iou_matrix

Array = NDArray[Any]
IMAGES = 10
SCORE = 0.1  # boxes with a lower score are not compared: of hundreds near zero, other digits keep others
IOU, SCORE_APART = 0.9, 0.02  # what counts as the same box
LOST = 0.01  # share of boxes that may differ: a score near a threshold falls on its other side by its last digit


@dataclass(frozen=True)
class Checked:
    """How many boxes of so many images were compared, how many were found again, and the largest differences of these.

    corner: pixels. score: from 0 to 1.
    """

    images: int
    boxes: int
    same: int
    corner: float
    score: float

    @property
    def holds(self) -> bool:
        """Whether they are the same boxes."""
        return self.same >= (1 - LOST) * self.boxes

    def __str__(self) -> str:
        if not self.boxes:
            return f"on {self.images} test images neither it nor the run found a box with a score of at least {SCORE:g}"
        return (
            f"{self.same} of {self.boxes} boxes on {self.images} test images are those of the run (scores from {SCORE:g}; "
            f"largest differences: {self.corner:.3f} pixels, {self.score:.4f} in the score)"
        )


def check(folder: Path, images: ImageSet, predicted: Sequence[Boxes]) -> Checked:
    """Runs the file in `folder` on the first test images with onnxruntime. predicted: the run's boxes for all test images."""
    detector = detect.Detector(folder)
    found = [Boxes.of(*_reordered(detector.detect(picture.pixels()))) for picture in images[:IMAGES]]
    pairs = [pair for ours, theirs in zip(predicted, found, strict=False) for pair in (_missing(ours, theirs), _missing(theirs, ours))]
    corners, scores = (np.concatenate([pair[number] for pair in pairs] or [np.zeros(0)]) for number in (1, 2))
    return Checked(
        images=len(found),
        boxes=sum(pair[0] for pair in pairs),
        same=len(corners),
        corner=float(corners.max(initial=0)),
        score=float(scores.max(initial=0)),
    )


def _reordered(found: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    boxes, scores, labels = found
    return boxes, labels, scores


def _missing(first: Boxes, second: Boxes) -> tuple[int, Array, Array]:
    """How many boxes of the first are compared, and of those found in the second the largest corner and the score difference."""
    compared = first.keep(first.scores >= SCORE)
    if not len(compared) or not len(second):
        return len(compared), np.zeros(0), np.zeros(0)
    overlap = iou_matrix(compared.xyxy, second.xyxy)
    apart = np.abs(compared.scores[:, None] - second.scores[None])
    fits = (overlap >= IOU) & (apart <= SCORE_APART) & (compared.labels[:, None] == second.labels[None])
    best = np.where(fits, overlap, -1).argmax(1)
    hit = np.flatnonzero(fits.any(1))
    corners = np.abs(compared.xyxy[hit] - second.xyxy[best[hit]]).max(1) if len(hit) else np.zeros(0)
    return len(compared), corners, apart[hit, best[hit]]
