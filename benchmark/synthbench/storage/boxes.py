"""Boxes of many images in one file, exact: `.npz` with flat arrays and the number of boxes of each image.

For I images with N boxes: counts int64 (I,), xyxy float64 (N, 4), labels int64 (N,), scores float64 (N,), crowd bool (N,).
unknown bool (I,): the images that have none to train on, which differs from no boxes: nobody looked at them, or an annotator rejected
them; left out if there are none.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from synthbench.contract.types import Boxes

REJECTED, REASON = "rejected.json", "rejected."
"""The file that lists rejected images with their reasons, and how the names of facts about them begin."""


def write_boxes(path: Path, boxes: Iterable[Boxes | None]) -> int:
    """Writes the boxes of each image, in order, and says how many images there were. None: they are not known."""
    found = list(boxes)
    images = [Boxes.none() if each is None else each for each in found]
    unknown = np.array([each is None for each in found], np.bool_)
    every = [Boxes.none(), *images]
    arrays: dict[str, Any] = {
        "counts": np.array([len(each) for each in images], np.int64),
        "xyxy": np.concatenate([each.xyxy for each in every], dtype=np.float64),
        "labels": np.concatenate([each.labels for each in every]),
        "scores": np.concatenate([each.scores for each in every], dtype=np.float64),
        "crowd": np.concatenate([each.crowd for each in every]),
    }
    if unknown.any():
        arrays["unknown"] = unknown
    np.savez_compressed(path, **arrays)
    return len(images)


def read_boxes(path: Path) -> list[Boxes]:
    """What `write_boxes` wrote, of images whose boxes are known. Raises ValueError if those of one are not."""
    found = read_known_boxes(path)
    boxes = [each for each in found if each is not None]
    if len(boxes) < len(found):
        raise ValueError(f"{path.name}: the boxes of {len(found) - len(boxes)} images are not known")
    return boxes


def read_known_boxes(path: Path) -> list[Boxes | None]:
    """What `write_boxes` wrote; None for an image whose boxes are not known."""
    with np.load(path) as arrays:
        flat = Boxes(arrays["xyxy"], arrays["labels"], arrays["scores"], arrays["crowd"])
        ends = np.cumsum(arrays["counts"])
        unknown = arrays["unknown"] if "unknown" in arrays else np.zeros(len(ends), np.bool_)
    rows = zip(ends, np.diff(ends, prepend=0), unknown, strict=True)
    return [None if missing else flat.keep(np.arange(end - count, end)) for end, count, missing in rows]
