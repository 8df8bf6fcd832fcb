"""IoU as computed by `bbIou` in cocoapi's `maskApi.c`, and non-maximum suppression."""

from __future__ import annotations

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
    (x, y, width, height), (left, top, wide, high) = xywh(boxes)[..., None], xywh(others)
    # After rounding, x + width can differ from x2. COCO files have x, y, width, height, and cocoapi adds them.
    across = np.minimum(x + width, left + wide) - np.maximum(x, left)
    down = np.minimum(y + height, top + high) - np.maximum(y, top)
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    union = width * height + wide * high - shared
    if crowd is not None:
        union = np.where(crowd, width * height, union)
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
