"""Boxes of many images in one file, exact: `.npz` with flat arrays and the number of boxes of each image.

For I images with N boxes: counts int64 (I,), known bool (I,), False for an image that was rejected,
xyxy float64 (N, 4), labels int64 (N,), scores float64 (N,), crowd bool (N,).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from synthbench.contract.types import Boxes

REJECTED, REASON = "rejected.json", "rejected."
"""The file that lists rejected images with their reasons, and how the names of facts about them begin."""


def write_boxes(path: Path, boxes: Iterable[Boxes | None]) -> int:
    """Writes the boxes of each image, in order, None for a rejected one, and says how many images there were."""
    items = list(boxes)
    images = [each or Boxes.none() for each in items]
    every = [Boxes.none(), *images]
    np.savez_compressed(
        path,
        counts=np.array([len(each) for each in images], np.int64),
        known=np.array([each is not None for each in items], np.bool_),
        xyxy=np.concatenate([each.xyxy for each in every], dtype=np.float64),
        labels=np.concatenate([each.labels for each in every]),
        scores=np.concatenate([each.scores for each in every], dtype=np.float64),
        crowd=np.concatenate([each.crowd for each in every]),
    )
    return len(images)


def read_annotations(path: Path) -> list[Boxes | None]:
    """What `write_boxes` wrote. Files of earlier versions have no `known`, and no rejected images."""
    boxes = read_boxes(path)
    with np.load(path) as arrays:
        known = arrays["known"] if "known" in arrays else np.ones(len(boxes), np.bool_)
    return [each if one else None for each, one in zip(boxes, known.tolist(), strict=True)]


def read_boxes(path: Path) -> list[Boxes]:
    """What `write_boxes` wrote; rejected images have no boxes."""
    with np.load(path) as arrays:
        flat = Boxes(arrays["xyxy"], arrays["labels"], arrays["scores"], arrays["crowd"])
        ends = np.cumsum(arrays["counts"])
    return [flat.keep(np.arange(end - count, end)) for end, count in zip(ends, np.diff(ends, prepend=0), strict=True)]
