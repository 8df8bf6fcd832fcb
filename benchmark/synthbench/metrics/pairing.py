"""The compiled loops of `overlap.overlaps` and of `matching`; see `compiling` for what importing this module costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthbench.metrics.compiling import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Found = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


@compiled
def touching(
    corners: NDArray[np.float64], ends: NDArray[np.int64], other_corners: NDArray[np.float64], other_ends: NDArray[np.int64]
) -> Found:
    """The pairs of N boxes and M others of the same image that share some area: positions int64 (P,) twice, the area (P,).

    corners: (N, 4), x1, y1, x2, y2. ends: (images + 1,), where the boxes of each image begin and the last ones end.
    """
    pairs = 0
    box, other, shared = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    for fill in range(2):  # counts first, so that nothing has to grow
        if fill:
            box, other, shared = np.empty(pairs, np.int64), np.empty(pairs, np.int64), np.empty(pairs)
            pairs = 0
        for image in range(len(ends) - 1):
            for one in range(ends[image], ends[image + 1]):
                x1, y1, x2, y2 = corners[one, 0], corners[one, 1], corners[one, 2], corners[one, 3]
                for two in range(other_ends[image], other_ends[image + 1]):
                    across = min(x2, other_corners[two, 2]) - max(x1, other_corners[two, 0])
                    down = min(y2, other_corners[two, 3]) - max(y1, other_corners[two, 1])
                    if across > 0 and down > 0:
                        if fill:
                            box[pairs], other[pairs], shared[pairs] = one, two, across * down
                        pairs += 1
    return box, other, shared


@compiled
def assign(
    bids: NDArray[np.int64],
    late: NDArray[np.int64],
    detection: NDArray[np.int64],
    truth: NDArray[np.int64],
    reusable: NDArray[np.bool_],
    taken: NDArray[np.int64],
    free: NDArray[np.int64],
) -> None:
    """Gives each detection the first true box that is free, in each of up to 62 settings, which are the bits of an integer.

    bids: (P,), the settings in which a pair may match, in the order in which pairs are tried. late: (P,), the row of `taken`.
    detection, truth: (P,), its positions. reusable: (G,), true boxes that any number of detections may take.
    taken: (2, D), zeros, gets the settings in which a detection took a box. free: (G,), loses those in which a box was taken.
    """
    for pair in range(len(bids)):
        one, other = detection[pair], truth[pair]
        take = bids[pair] & free[other] & ~(taken[0, one] | taken[1, one])
        taken[late[pair], one] |= take
        if not reusable[other]:
            free[other] &= ~take
