"""IoU as computed by `bbIou` in cocoapi's `maskApi.c`, and non-maximum suppression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench.contract.types import Boxes


DECIMALS = 9  # up to 9 million pixels, numpy rounds to them exactly, and two such numbers never give the same x2


def iou_matrix(boxes: NDArray[np.floating], others: NDArray[np.floating], crowd: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Intersection over union of each of N boxes with each of M others, xyxy: float64 (N, M), 0 for empty boxes.

    crowd: (M,), the others that contain several objects; for them, intersection over the area of the box of `boxes`.
    """
    (corners, area), (others_corners, other_area) = _corners_and_area(boxes), _corners_and_area(others)
    low, high = np.split(corners[:, None], 2, axis=-1)
    sides = np.minimum(high, others_corners[:, 2:]) - np.maximum(low, others_corners[:, :2])
    return _ratio(np.maximum(sides, 0).prod(axis=-1), area[:, None], other_area, crowd)


@dataclass(frozen=True, eq=False)
class Overlaps:
    """P pairs of a box and another box of the same image that share some area.

    box, other: int64 (P,), positions; ascending by box, then by other. iou: float64 (P,), above 0; see `iou_matrix` for crowds.
    """

    box: NDArray[np.int64]
    other: NDArray[np.int64]
    iou: NDArray[np.float64]

    def keep(self, which: NDArray[np.bool_]) -> Overlaps:
        """The pairs that a mask selects."""
        return Overlaps(self.box[which], self.other[which], self.iou[which])


def overlaps(
    boxes: tuple[NDArray[np.floating], NDArray[np.int64]],
    others: tuple[NDArray[np.floating], NDArray[np.int64]],
    crowd: NDArray[np.bool_],
    images: int,
) -> Overlaps:
    """All pairs of boxes that overlap in their image. boxes, others: xyxy, and the image of each, ascending. crowd: of the others."""
    from synthbench.metrics.pairing import touching

    (corners, area), (other_corners, other_area) = _corners_and_area(boxes[0]), _corners_and_area(others[0])
    ends, other_ends = (np.searchsorted(image, np.arange(images + 1)) for _, image in (boxes, others))
    one, other, shared = touching(corners, ends, other_corners, other_ends)
    pairs = Overlaps(one, other, _ratio(shared, area[one], other_area[other], crowd[other]))
    return pairs.keep(pairs.iou > 0)


def _corners_and_area(boxes: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The corners of N boxes as cocoapi sees them, (N, 4), and their areas, (N,).

    After rounding, x + width can differ from x2. COCO files have x, y, width, height, and cocoapi adds them.
    """
    rows = xywh(boxes)
    return np.concatenate([rows[:2], rows[:2] + rows[2:]]).T.copy(), rows[2] * rows[3]


def _ratio(
    shared: NDArray[np.float64], area: NDArray[np.float64], other: NDArray[np.float64], crowd: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Intersection over union from the shared area and both areas; 0 without a shared area."""
    union = area + other - shared
    if crowd is not None:
        union = np.where(crowd, area, union)
    iou: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return iou


def box_areas(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Areas of N boxes, xyxy, in square pixels: float64 (N,)."""
    areas: NDArray[np.float64] = xywh(boxes)[2:].prod(axis=0)
    return areas


def nms(boxes: Boxes, iou: float) -> Boxes:
    """The boxes by descending score, without those whose IoU with a kept box of the same label is above `iou`."""
    ordered = boxes.keep(np.argsort(-boxes.scores, kind="stable"))
    rivals = (iou_matrix(ordered.xyxy, ordered.xyxy) > iou) & (ordered.labels[:, None] == ordered.labels)
    kept = np.ones(len(ordered), np.bool_)
    for position in range(len(ordered)):
        if kept[position]:
            kept[position + 1 :] &= ~rivals[position, position + 1 :]
    return ordered.keep(kept)


def xywh(xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    """x, y, width and height of N boxes as rows: float64 (4, N), as a COCO file gives them.

    A width is what gives x2 when it is added to x1. x2 - x1 does, but differs in its last bits from the width of the file that x2
    was computed from, which decides whether an IoU reaches a threshold. So where a number of at most DECIMALS decimals gives the
    same x2, it is taken: this is the file's, unless that has more.
    """
    rows = xyxy.T.astype(np.float64)
    sides = rows[2:] - rows[:2]
    with np.errstate(over="ignore"):  # of boxes far outside of any image
        short = np.round(sides, DECIMALS)
    rows[2:] = np.where(rows[:2] + short == rows[2:], short, sides)
    return rows
