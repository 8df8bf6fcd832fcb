"""Whether two experiments differ by more than their errors explain, for many means at once.

Each mean comes with a standard error and its degrees of freedom, so the difference of two is compared with Welch's t and
Satterthwaite's degrees of freedom (Welch 1947). Of many differences some are large by luck, so the p-values are corrected by Holm
(1979). Two experiments on the same test images have errors that are positively correlated; taken as independent they are too large,
which errs on the side of "explained".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

from synthbench.evidence.intervals import LEVEL

NORMAL = 1e9
"""Degrees of freedom that stand for infinitely many: from here on `stdtrit` gives the normal quantile."""
FEWEST = 0.1
"""The fewest degrees of freedom that are told apart; Satterthwaite's are never fewer than those of a part, which are 1 or more."""


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error and the error's degrees of freedom; AP, or a difference of AP."""

    mean: float
    error: float
    freedom: float


@dataclass(frozen=True)
class Change:
    """The second mean minus the first, AP.

    low, high: the 95 % interval of this difference alone. p: two-sided, after Holm's correction over all differences that were
    compared with it.
    """

    mean: float
    low: float
    high: float
    p: float

    @property
    def beyond(self) -> bool:
        """Whether it is more than the errors explain, at an error rate of 5 % for all differences together."""
        return self.p <= LEVEL


def mean_of(mean: float, low: float | None, high: float | None, error: float | None) -> Mean | None:
    """A mean from its 95 % interval and standard error, whose ratio tells the degrees of freedom.

    None if there is no interval, or if the figures contradict each other: not finite, an error below 0 or an interval that is not
    around the mean.
    """
    if low is None or high is None or error is None or not all(map(isfinite, (mean, low, high, error))):
        return None
    if error < 0 or not low <= mean <= high:
        return None
    return Mean(mean, error, freedom_of((high - low) / (2 * error)) if error > 0 else NORMAL)


def freedom_of(quantile: float) -> float:
    """The degrees of freedom for which Student's t has this quantile at 97.5 %: the fewer, the higher it is."""
    from scipy.optimize import brentq
    from scipy.special import stdtrit

    def above(freedom: float) -> float:
        return float(stdtrit(freedom, 1 - LEVEL / 2)) - quantile

    if above(NORMAL) >= 0:
        return NORMAL
    return FEWEST if above(FEWEST) <= 0 else float(brentq(above, FEWEST, NORMAL, rtol=1e-10))


def compare_means(pairs: Sequence[tuple[Mean, Mean]]) -> list[Change]:
    """The change from the first to the second mean of each pair, tested together."""
    from scipy.special import stdtr, stdtrit

    changes, p_values = [], []
    for first, second in pairs:
        mean, variance = second.mean - first.mean, first.error**2 + second.error**2
        below = first.error**4 / first.freedom + second.error**4 / second.freedom
        freedom = min(variance**2 / below, NORMAL) if below > 0 else NORMAL
        reach = float(stdtrit(freedom, 1 - LEVEL / 2)) * sqrt(variance)
        changes.append((mean, mean - reach, mean + reach))
        if variance == 0:  # nothing in either is random
            p_values.append(1.0 if mean == 0 else 0.0)
        else:
            p_values.append(min(2 * float(stdtr(freedom, -abs(mean) / sqrt(variance))), 1.0))
    return [Change(*change, p) for change, p in zip(changes, holm(p_values), strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: those at or below 5 % are the ones that his step-down rejects at 5 % for all together."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(p_values[number] * (len(p_values) - rank), 1.0))
        adjusted[number] = highest
    return adjusted
