"""Boxes from an attention map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage
from synthbench import Boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BOXES = 100  # of one image; COCO's evaluation uses no more


def boxes_from_map(heatmap: NDArray[np.float32], threshold: float | Literal["otsu"], min_area: float) -> Boxes:
    """A box around each connected region above the threshold, the highest scores first.

    heatmap: float32 (H, W), one value a pixel. It is normalized to 0..1 first, so every map that is not constant has a
    region.
    threshold: of the normalized map, or "otsu" to choose it by Otsu's method.
    min_area: area of the smallest region that makes a box, as a share of the map. A box's score is its region's mean.
    """
    low, high = float(heatmap.min()), float(heatmap.max())
    if high - low < 1e-9:
        return Boxes.none()
    normalized = (heatmap - low) / (high - low)
    regions, count = ndimage.label(normalized >= (otsu(normalized) if threshold == "otsu" else threshold))
    scores = ndimage.mean(normalized, regions, np.arange(1, count + 1))
    corners = [(across.start, down.start, across.stop, down.stop) for down, across in ndimage.find_objects(regions)]
    large = np.bincount(regions.ravel(), minlength=count + 1)[1:] >= min_area * heatmap.size
    boxes = Boxes.of(corners, scores=scores).keep(large)
    return boxes.keep(np.argsort(-boxes.scores, kind="stable")[:MAX_BOXES])


def otsu(values: NDArray[np.float32]) -> float:
    """The threshold that splits values in 0..1 into the two classes with the largest variance between them (Otsu 1979).

    The values are binned into 256 steps. If several thresholds are equally good, their mean is returned.
    """
    counts, edges = np.histogram(values, bins=256, range=(0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = values.size - below
    mass = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass[:-1] / below - (mass[-1] - mass[:-1]) / above) ** 2
    return float(edges[1:-1][between == np.nanmax(between)].mean())
