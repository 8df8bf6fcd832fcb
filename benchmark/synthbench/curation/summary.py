"""What there is in a folder of labelled photographs, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthbench.data.formats.dataset import Dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Summary:
    """images: by split. classes: boxes by category, and by split. sizes: images by width and height, most frequent first.

    boxes_per_image, side: smallest, median and largest; side: the square root of a box's area, in pixels. empty: images without boxes;
    unlabelled: those without labels.
    """

    images: dict[str, int]
    classes: dict[str, dict[str, int]]
    sizes: list[tuple[tuple[int, int], int]]
    boxes: int
    boxes_per_image: tuple[float, float, float]
    side: tuple[float, float, float]
    empty: int
    unlabelled: int


def summarise(dataset: Dataset) -> Summary:
    """The summary of a data set."""
    photos, boxes = dataset.photos, dataset.boxes
    splits = Counter(photo.split for photo in photos)
    split_of = np.array([photo.split for photo in photos])[boxes.photo] if len(boxes) else np.array([], str)
    classes = {
        name: {split: int(((boxes.label == label) & (split_of == split)).sum()) for split in splits}
        for label, name in enumerate(dataset.categories)
    }
    each = np.bincount(boxes.photo, minlength=len(photos))
    sides = np.sqrt((boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).prod(1))
    labelled = np.array([bool(photo.labels) for photo in photos])
    return Summary(
        images=dict(splits),
        classes=classes,
        sizes=Counter(photo.size for photo in photos).most_common(),
        boxes=len(boxes),
        boxes_per_image=spread(each),
        side=spread(sides),
        empty=int(((each == 0) & labelled).sum()),
        unlabelled=int((~labelled).sum()),
    )


def spread(values: NDArray[np.float64] | NDArray[np.int64]) -> tuple[float, float, float]:
    """Smallest, median and largest; zeros for none."""
    return (float(np.min(values)), float(np.median(values)), float(np.max(values))) if len(values) else (0.0, 0.0, 0.0)
