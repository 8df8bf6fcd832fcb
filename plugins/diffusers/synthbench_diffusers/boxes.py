"""Boxes from attention maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage
from synthbench import Boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BOXES = 100  # of one image and class; COCO's evaluation uses no more


def boxes_from_maps(heatmaps: NDArray[np.float32], labels: Sequence[int], threshold: float | Literal["otsu"], min_area: float) -> Boxes:
    """A box around each connected region above the threshold, the highest scores first.

    heatmaps: float32 (classes, H, W), one value a pixel, of the classes `labels`. Each is normalized to 0..1 first, so every map
    that is not constant has a region. A pixel belongs to the class whose normalized map is highest there.
    threshold: of the normalized map, or "otsu" to choose one for each map by Otsu's method.
    min_area: area of the smallest region that makes a box, as a share of the map. A box's score is its region's mean.
    """
    if not len(heatmaps):
        return Boxes.none()
    maps = np.stack([normalized(each) for each in heatmaps])
    highest = maps.argmax(0)
    found = [
        regions_of(each, (each >= (otsu(each) if threshold == "otsu" else threshold)) & (highest == place), min_area)
        for place, each in enumerate(maps)
        if each.any()
    ]
    kept = [label for label, each in zip(labels, maps, strict=True) if each.any()]
    corners, scores = (np.concatenate([getattr(each, part) for each in found] or [np.empty(0)]) for part in ("xyxy", "scores"))
    boxes = Boxes.of(corners, np.repeat(kept, [len(each) for each in found]), scores)
    return boxes.keep(np.argsort(-boxes.scores, kind="stable"))


def normalized(heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
    """The map in 0..1; zeros if it is constant."""
    low, high = float(heatmap.min()), float(heatmap.max())
    if high - low < 1e-9:
        return np.zeros_like(heatmap)
    scaled: NDArray[np.float32] = (heatmap - low) / (high - low)
    return scaled


def regions_of(normalized: NDArray[np.float32], above: NDArray[np.bool_], min_area: float) -> Boxes:
    """A box around each connected region of `above`, at most `MAX_BOXES`, the highest scores first."""
    regions, count = ndimage.label(above)
    scores = ndimage.mean(normalized, regions, np.arange(1, count + 1))
    corners = [(across.start, down.start, across.stop, down.stop) for down, across in ndimage.find_objects(regions)]
    large = np.bincount(regions.ravel(), minlength=count + 1)[1:] >= min_area * normalized.size
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
