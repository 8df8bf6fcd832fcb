"""Boxes from a map of how much each pixel has to do with a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage
from synthbench import Boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 100  # boxes of an image: COCO scores no more


def boxes_of(heat: NDArray[np.float32], threshold: float | Literal["otsu"], area: float) -> Boxes:
    """A box around each connected region of `heat`, float32 (H, W) with a value a pixel, above the threshold.

    The map is stretched to 0..1 first, so the highest point of any map that is not flat lies in a box.
    area: the smallest region, as a share of the map. A box's score is its region's mean.
    """
    low, high = float(heat.min()), float(heat.max())
    if high - low < 1e-9:
        return Boxes.none()
    stretched = (heat - low) / (high - low)
    regions, count = ndimage.label(stretched >= (otsu(stretched) if threshold == "otsu" else threshold))
    numbers = np.arange(1, count + 1)
    scores = ndimage.mean(stretched, regions, numbers)
    corners = [(across.start, down.start, across.stop, down.stop) for down, across in ndimage.find_objects(regions)]
    large = np.bincount(regions.ravel(), minlength=count + 1)[1:] >= area * heat.size
    found = Boxes.of(corners, scores=scores).keep(large)
    return found.keep(np.argsort(-found.scores, kind="stable")[:MOST])


def otsu(values: NDArray[np.float32]) -> float:
    """The threshold that parts values in 0..1 into the two classes of least spread (Otsu 1979), of 256 steps.

    Where several do it equally well, their middle.
    """
    counts, edges = np.histogram(values, bins=256, range=(0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = values.size - below
    mass = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass[:-1] / below - (mass[-1] - mass[:-1]) / above) ** 2
    return float(edges[1:-1][between == np.nanmax(between)].mean())
