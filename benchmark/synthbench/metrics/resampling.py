"""The compiled loop of `bootstrap.resample`; see `compiling` for what importing this module costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthbench.metrics.compiling import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANES = 64  # resamples that the innermost loops process side by side, so that they become vector instructions
FALSE, TRUE, TRUE_BEFORE_TRUE = 0, 1, 2
SPACING = float(np.spacing(1))  # as in `summarize`, against a division by 0


@compiled
def add_precision(
    image: NDArray[np.int32],
    ties: NDArray[np.int32],
    hit: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    weights: NDArray[np.int32],
    needed: NDArray[np.int32],
    sums: NDArray[np.float64],
) -> None:
    """Adds to `sums` (groups, LANES) the interpolated precision at all IoU thresholds and recalls, of one label.

    image, ties (D,), hit, counted (T, D): as `bootstrap._ordered` returns them.
    weights: (groups, images + 1, LANES), of which the last row is overwritten.
    needed: (groups, recalls + 1, LANES), the hits that reach each recall, ascending; the last row is never reached.
    """
    kinds = np.empty(len(image), np.int8)
    rows, repeated = np.empty(len(image), np.int32), np.empty(len(image), np.int32)
    recalls = needed.shape[1] - 1
    at_recall, best = np.empty((recalls, LANES)), np.empty(LANES)
    for threshold in range(len(hit)):
        steps = _plan(image, ties, hit[threshold], counted[threshold], kinds, rows, repeated)
        for group in range(len(weights)):
            _walk(kinds[:steps], rows, repeated, weights[group], needed[group], at_recall)
            best[:] = 0.0
            for recall in range(recalls - 1, -1, -1):
                for lane in range(LANES):
                    best[lane] = max(best[lane], at_recall[recall, lane])
                    sums[group, lane] += best[lane]


@compiled
def _walk(  # noqa: PLR0912 - a call for each step costs more than the step
    kinds: NDArray[np.int8],
    rows: NDArray[np.int32],
    repeated: NDArray[np.int32],
    weight: NDArray[np.int32],
    need: NDArray[np.int32],
    at_recall: NDArray[np.float64],
) -> None:
    """Writes for each recall and lane the highest precision from where it is reached to where the next one is, 0 if it is not.

    A detection of weight w stands for w copies in a row. Of these the last has the highest precision, and it is the one that
    counts for every recall that any of them reaches, so a single step stands for all. Where an image has hits and misses of one
    score, its copies repeat their sequence, so these are run through copy by copy.
    """
    spare = len(weight) - 1
    hits, seen, reached = np.zeros(LANES, np.int32), np.zeros(LANES, np.int32), np.full(LANES, -1, np.int32)
    bar, best, precision = need[0].copy(), np.zeros(LANES), np.empty(LANES)
    at_recall[:] = 0.0
    step = 0
    while step < len(kinds):
        run = repeated[step]
        copies = 1 if run == 1 else weight[rows[step]].max()
        for copy in range(copies):
            for member in range(step, step + run):
                row = rows[member]
                if run > 1:
                    for lane in range(LANES):
                        weight[spare, lane] = weight[row, lane] > copy
                    row = spare
                for lane in range(LANES):
                    seen[lane] += weight[row, lane]
                if kinds[member] == FALSE:
                    continue
                for lane in range(LANES):
                    hits[lane] += weight[row, lane]
                if kinds[member] == TRUE_BEFORE_TRUE:
                    continue
                crossed = 0
                for lane in range(LANES):
                    crossed += hits[lane] >= bar[lane]
                    precision[lane] = hits[lane] / (seen[lane] + SPACING)
                if crossed:
                    for lane in range(LANES):
                        if hits[lane] >= bar[lane]:
                            if reached[lane] >= 0:
                                at_recall[reached[lane], lane] = best[lane]
                            best[lane] = 0.0
                            while need[reached[lane] + 1, lane] <= hits[lane]:
                                reached[lane] += 1
                            bar[lane] = need[reached[lane] + 1, lane]
                for lane in range(LANES):
                    best[lane] = max(best[lane], precision[lane])
        step += run
    for lane in range(LANES):
        if reached[lane] >= 0:
            at_recall[reached[lane], lane] = best[lane]


@compiled
def _plan(
    image: NDArray[np.int32],
    ties: NDArray[np.int32],
    hit: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    kinds: NDArray[np.int8],
    rows: NDArray[np.int32],
    repeated: NDArray[np.int32],
) -> int:
    """Writes the detections that count at one threshold: their kinds, images, and how many repeat together; returns their number."""
    steps = first = 0
    while first < len(image):
        start, found = steps, 0
        for row in range(first, first + ties[first]):
            if counted[row]:
                kinds[steps] = TRUE if hit[row] else FALSE
                rows[steps], repeated[steps] = image[row], 1
                found += hit[row]
                steps += 1
        if 0 < found < steps - start:
            repeated[start:steps] = steps - start
        first += ties[first]
    for step in range(steps - 1):
        # Precision rises from hit to hit, so between two of them nothing needs to be computed.
        if kinds[step] == TRUE and kinds[step + 1] == TRUE and repeated[step] == 1 and repeated[step + 1] == 1:
            kinds[step] = TRUE_BEFORE_TRUE
    return steps
