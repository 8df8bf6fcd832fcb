"""Boxes of many images in one file, exact: `.npz` with flat arrays and the number of boxes of each image.

For I images with N boxes: counts int64 (I,), xyxy float64 (N, 4), labels int64 (N,), scores float64 (N,), crowd bool (N,).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from synthbench.contract.types import Boxes


def write_boxes(path: Path, boxes: Iterable[Boxes]) -> int:
    """Writes the boxes of each image, in order, and says how many images there were."""
    images = list(boxes)
    every = [Boxes.none(), *images]
    np.savez_compressed(
        path,
        counts=np.array([len(each) for each in images], np.int64),
        xyxy=np.concatenate([each.xyxy for each in every], dtype=np.float64),
        labels=np.concatenate([each.labels for each in every]),
        scores=np.concatenate([each.scores for each in every], dtype=np.float64),
        crowd=np.concatenate([each.crowd for each in every]),
    )
    return len(images)


def read_boxes(path: Path) -> list[Boxes]:
    """What `write_boxes` wrote."""
    with np.load(path) as arrays:
        flat = Boxes(arrays["xyxy"], arrays["labels"], arrays["scores"], arrays["crowd"])
        ends = np.cumsum(arrays["counts"])
    return [flat.keep(np.arange(end - count, end)) for end, count in zip(ends, np.diff(ends, prepend=0), strict=True)]
