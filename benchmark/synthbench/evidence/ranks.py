"""Ranks as intervals: which places in a ranking the scores leave open to each row.

Row i is *surely better* than row j if the hypothesis that it is not can be rejected. All these one-sided hypotheses, two a pair
of rows, are tested together with Holm's step-down (1979), so that with 95 % probability none is rejected wrongly. Then the true
rank of every row lies between 1 + the number of rows surely better than it, and n - the number of rows surely worse, for all rows
at once. These are the simultaneous confidence sets for ranks of Mogstad, Romano, Shaikh and Wilhelm, "Inference for Ranks with
Applications to Mobility across Neighbourhoods and Academic Achievement across Countries", Review of Economic Studies 91(1), 2024,
https://doi.org/10.1093/restud/rdad006, with Welch's t (1947) and Satterthwaite's degrees of freedom in place of their bootstrap,
since a board has means and standard errors and no samples.

The errors of two rows are taken as independent. Rows of one board share their test images, which moves them up and down together,
so the true error of a difference is smaller, and the intervals are rather too wide than too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthbench.evidence.intervals import LEVEL
from synthbench.evidence.welch import NORMAL, p_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """The ranks that are open to a row: from `low` to `high`, 1 is the best.

    group: from 1; rows whose ranks overlap, directly or through rows between them, are in one group.
    """

    low: int
    high: int
    group: int


def ranks(means: Sequence[float], errors: Sequence[float], freedoms: Sequence[float]) -> list[Ranked]:
    """The rank of each row; higher means rank better. errors: of the means; freedoms: their degrees of freedom, above 0.

    Raises ValueError if a mean or an error is not finite, an error is negative, or the lengths differ.
    """
    mean, error, freedom = (np.asarray(each, np.float64) for each in (means, errors, freedoms))
    if not mean.shape == error.shape == freedom.shape or mean.ndim != 1:
        raise ValueError("means, errors and degrees of freedom must be as many")
    if not (np.isfinite(mean).all() and np.isfinite(error).all()) or (error < 0).any() or not (freedom > 0).all():
        raise ValueError("means and errors must be finite, errors 0 or above, and degrees of freedom above 0")
    count = len(mean)
    better = surely_better(mean, error, np.minimum(freedom, NORMAL))
    lows, highs = 1 + better.sum(axis=0), count - better.sum(axis=1)
    order = np.lexsort((highs, lows))
    groups = np.zeros(count, int)
    group, reach = 0, 0
    for row in order:
        group += bool(lows[row] > reach)
        reach = max(reach, int(highs[row]))
        groups[row] = group
    return [Ranked(*map(int, each)) for each in zip(lows, highs, groups, strict=True)]


def surely_better(mean: Floats, error: Floats, freedom: Floats) -> NDArray[np.bool_]:
    """(n, n): whether row i is surely better than row j; for all pairs together at 5 %."""
    count = len(mean)
    found = np.zeros((count, count), bool)
    if count < 2:
        return found
    first, second = np.nonzero(~np.eye(count, dtype=bool))
    p = p_values(mean[first] - mean[second], error[first], error[second], freedom[first], freedom[second])
    order = np.argsort(p, kind="stable")
    allowed = LEVEL / np.arange(len(p), 0, -1)
    fails = np.flatnonzero(p[order] > allowed)
    passed = order[: fails[0]] if len(fails) else order
    found[first[passed], second[passed]] = True
    return found
