"""Choosing images that differ from each other: greedy k-centre on their features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def farthest_first(features: NDArray[np.floating], count: int, first: int) -> list[int]:
    """`count` rows of features (N, D), in the order in which they are chosen: `first`, then always the row that is farthest from all
    chosen ones, by the Euclidean distance to the nearest of them; of equally far ones the first.

    So the first k are a solution of the k-centre problem whose largest distance of a row to its centre is at most twice the
    smallest possible one (Gonzalez 1985, "Clustering to minimize the maximum intercluster distance"). Raises ValueError if there
    are fewer rows.
    """
    if not 0 < count <= len(features):
        raise ValueError(f"expected a number from 1 to {len(features)}, not {count}")
    chosen = [first]
    nearest = np.square(features - features[first]).sum(1)
    while len(chosen) < count:
        nearest[chosen[-1]] = -1  # equal images are not chosen twice
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.square(features - features[chosen[-1]]).sum(1))
    return chosen
