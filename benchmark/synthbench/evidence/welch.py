"""Whether two experiments differ by more than their errors explain, for many means at once.

Each mean comes with a standard error and its degrees of freedom, so the difference of two is compared with Welch's t and
Satterthwaite's degrees of freedom (Welch 1947). Of many differences some are large by luck, so the p-values are corrected by Holm
(1979). Two experiments on the same test images have errors that are positively correlated; taken as independent they are too large,
which errs on the side of "explained".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from synthbench.evidence.intervals import LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NORMAL = 1e9
"""Degrees of freedom that stand for infinitely many: from here on `stdtrit` gives the normal quantile."""
ROUNDING = 1e-9
"""Below this, an error and its interval are what is left of sums that should be 0: their ratio means nothing."""


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
    try:
        return Mean(mean, error, degrees_of_freedom(error, (high - low) / 2))
    except ValueError:
        return None


def degrees_of_freedom(error: float, half_width: float) -> float:
    """The degrees of freedom of a 95 % interval `mean ± half_width` with a standard error; `NORMAL` if both are 0.

    Raises ValueError if the interval is narrower than that of a normal distribution, as no t interval is.
    """
    from scipy.special import stdtr, stdtridf, stdtrit

    if error < ROUNDING and half_width < ROUNDING:
        return NORMAL
    if error == 0:
        raise ValueError(f"an interval of ±{half_width:g} for a standard error of 0")
    quantile = half_width / error
    normal = float(stdtrit(NORMAL, 1 - LEVEL / 2))
    if quantile < normal * (1 - 1e-6):
        raise ValueError(f"an interval of ±{half_width:g} is too narrow for a standard error of {error:g}")
    # Close to the normal distribution the inverse has no digits left.
    if quantile < normal * (1 + 1e-6):
        return NORMAL
    found = float(stdtridf(1 - LEVEL / 2, quantile))
    if not abs(float(stdtr(found, quantile)) - (1 - LEVEL / 2)) < 1e-6:
        raise ValueError(f"an interval of ±{half_width:g} has no degrees of freedom for a standard error of {error:g}")
    return min(found, NORMAL)


def compare_means(pairs: Sequence[tuple[Mean, Mean]]) -> list[Change]:
    """The change from the first to the second mean of each pair, tested together."""
    import numpy as np
    from scipy.special import stdtrit

    if not pairs:
        return []
    first, second = (np.array([[each.mean, each.error, each.freedom] for each in side]).T for side in zip(*pairs, strict=True))
    gap = second[0] - first[0]
    error, freedom = difference_error(first[1], second[1], first[2], second[2])
    reach = stdtrit(freedom, 1 - LEVEL / 2) * error
    p = np.minimum(2 * p_values(np.abs(gap), first[1], second[1], first[2], second[2]), 1.0)
    return [Change(*each) for each in zip(gap.tolist(), (gap - reach).tolist(), (gap + reach).tolist(), holm(p.tolist()), strict=True)]


def difference_error(one: Floats, other: Floats, freedom: Floats, other_freedom: Floats) -> tuple[Floats, Floats]:
    """The standard errors of differences of two means, and Satterthwaite's degrees of freedom. one, other: the two standard errors."""
    import numpy as np

    parts, other_parts = one**2, other**2
    variance = parts + other_parts
    below = parts**2 / freedom + other_parts**2 / other_freedom
    degrees = np.divide(variance**2, below, out=np.full_like(variance, NORMAL), where=below > 0)
    return np.sqrt(variance), np.minimum(degrees, NORMAL)


def p_values(gap: Floats, one: Floats, other: Floats, freedom: Floats, other_freedom: Floats) -> Floats:
    """One-sided p-values of the claims that the truth of each gap is above 0. one, other: the two standard errors."""
    import numpy as np
    from scipy.special import stdtr

    error, degrees = difference_error(one, other, freedom, other_freedom)
    tested = stdtr(degrees, np.divide(-gap, error, out=np.zeros_like(gap), where=error > 0))
    found: Floats = np.where(error > 0, tested, np.where(gap > 0, 0.0, 1.0))
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: those at or below 5 % are the ones that his step-down rejects at 5 % for all together."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(p_values[number] * (len(p_values) - rank), 1.0))
        adjusted[number] = highest
    return adjusted
