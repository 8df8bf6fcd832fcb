"""How differently two image sets are boxed: sizes, counts and places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthbench.similarity.distances import wasserstein

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from synthbench.contract.types import Picture


def box_distances(first: Iterable[Picture], second: Iterable[Picture]) -> dict[str, float]:
    """1-Wasserstein distances between two sets of images, of those that are labelled; empty if one has none.

    box_count: boxes in an image. box_size: the root of a box's area, as a share of the root of its image's. box_x, box_y: a box's
    centre, as a share of its image's width or height. The last three are left out if a set has no box. Crowds do not count.
    """
    (counts, boxes), (other_counts, other_boxes) = _statistics(first), _statistics(second)
    if not counts or not other_counts:
        return {}
    distances = {"box_count": wasserstein(counts, other_counts)}
    if len(boxes) and len(other_boxes):
        columns = zip(("box_size", "box_x", "box_y"), boxes.T, other_boxes.T, strict=True)
        distances |= {name: wasserstein(one, other) for name, one, other in columns}
    return distances


def _statistics(pictures: Iterable[Picture]) -> tuple[list[int], NDArray[np.float64]]:
    """The number of boxes of each labelled image, and size and centre of each box, (N, 3)."""
    counts, rows = [], [np.empty((0, 3))]
    for picture in pictures:
        if picture.boxes is None:
            continue
        corners = picture.boxes.xyxy[~picture.boxes.crowd].astype(np.float64) / np.tile([picture.width, picture.height], 2)
        counts.append(len(corners))
        sides = corners[:, 2:] - corners[:, :2]
        rows.append(np.column_stack([np.sqrt(sides.prod(1)), (corners[:, :2] + corners[:, 2:]) / 2]))
    return counts, np.concatenate(rows)
