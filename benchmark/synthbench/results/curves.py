"""Learning curves: whether more steps might have changed the result."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

PARTS = 5
PLATEAU = 0.1  # share of the total change


def still_rising(curve: Sequence[tuple[int, float]]) -> bool:
    """Whether a curve, points of (step, value), has not reached a plateau at its end.

    The rule: the points are split into fifths. The change from the fourth to the last, of the fifths' means, must go in the same
    direction as the change from the first to the last, and be more than a tenth of it. It is a quarter in a straight line, and a
    tenth if the curve approaches its limit exponentially and has 8 % of the way still to go. Losses rise, in this sense, as they fall.

    A curve that turns back, such as a validation loss during overfitting, is not rising; one of fewer than five points is not
    judged: False. If the learning rate decays to zero, all curves flatten towards the end, so False does not prove that a longer
    training would give the same.
    """
    values = [value for _, value in curve]
    if len(values) < PARTS:
        return False
    bounds = [round(len(values) * number / PARTS) for number in range(PARTS + 1)]
    first, *_, before, last = (fmean(values[start:stop]) for start, stop in pairwise(bounds))
    total, recent = last - first, last - before
    return total * recent > 0 and abs(recent) > PLATEAU * abs(total)
