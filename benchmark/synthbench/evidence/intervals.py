"""Intervals of a mean AP, and of the mean difference of two training sets, over replicates and test images.

Each of K replicates draws references, generator seed and detector seed anew; the test images are the same in all. The variance
of a mean has two parts:

- between replicates: s^2 / K. s^2 is the mean of a row's own sample variance and that of all rows of the detector: its own alone
  has K - 1 degrees of freedom, the pooled one alone is too small for a row that varies more than the others.
- test images, which are the same in all replicates: the mean covariance, over bootstrap resamples of the test images, of two
  replicates. The bootstrap variance of the mean would count the part that differs between replicates a second time, since
  s^2 contains it.

This is the model of Obuchowski and Rockette (1995) for readers and cases, where readers are replicates and cases are images.
The degrees of freedom are Satterthwaite's, the quantiles Student's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.05
"""The error rate of an interval (both sides together) and of a one-sided bound."""
SHARED_BASE = 0.25
"""Correlation of the sample variances of two differences to one base: 0.5^2, if all rows vary equally and independently."""


@dataclass(frozen=True)
class Spread:
    """What the uncertainty of a mean over `replicates` replicates and `images` test images is made of.

    between: variance between replicates of one value, AP squared, `interaction` included. freedom: its degrees of freedom;
        infinite where a row does not vary at all.
    shared: variance from the test images that all replicates have in common, AP squared.
    interaction: the part of `between` that comes from the test images and would shrink with more of them, AP squared.
    """

    replicates: int
    images: int
    between: float
    freedom: float
    shared: float
    interaction: float

    @property
    def variance(self) -> float:
        """Variance of the mean, AP squared."""
        return self.between / self.replicates + self.shared

    @property
    def total_freedom(self) -> float:
        """Satterthwaite's degrees of freedom of `variance`; infinite if it is 0."""
        parts = [(self.between / self.replicates, self.freedom), (self.shared, self.images - 1)]
        below = sum(part**2 / freedom for part, freedom in parts)
        return self.variance**2 / below if below > 0 else float("inf")

    def scaled(self, replicates: int, images: int) -> Spread:
        """The spread to expect with other numbers of replicates and test images."""
        ratio = self.images / images
        return Spread(
            replicates=replicates,
            images=images,
            between=max(self.between - self.interaction, 0.0) + min(self.interaction, self.between) * ratio,
            freedom=self.freedom * (replicates - 1) / (self.replicates - 1),
            shared=self.shared * ratio,
            interaction=self.interaction * ratio,
        )

    def reach(self, level: float) -> float:
        """How far a one-sided bound of error rate `level` is from the mean, AP."""
        from scipy.special import stdtrit

        # With infinitely many degrees of freedom stdtrit returns nan; from 1e9 on it is the normal quantile.
        return float(stdtrit(min(self.total_freedom, 1e9), 1 - level)) * sqrt(self.variance)


@dataclass(frozen=True)
class Estimate:
    """A mean over replicates. `spread` is None below two replicates: one replicate does not say how far another would be off.

    mean: AP, or a difference of AP; nan where no replicate has the value. replicates: how many it is the mean of.
    """

    mean: float
    replicates: int
    spread: Spread | None

    @property
    def error(self) -> float | None:
        """Standard error of the mean, AP."""
        return None if self.spread is None else sqrt(self.spread.variance)

    @property
    def freedom(self) -> float | None:
        """Degrees of freedom of the standard error."""
        return None if self.spread is None else self.spread.total_freedom

    @property
    def interval(self) -> tuple[float, float] | None:
        """Two-sided 95 % interval, AP."""
        if self.spread is None:
            return None
        reach = self.spread.reach(LEVEL / 2)
        return self.mean - reach, self.mean + reach

    @property
    def mirrored(self) -> Estimate:
        """The same difference the other way round: the base minus the row."""
        return Estimate(0.0 - self.mean, self.replicates, self.spread)  # not -0.0

    def lower(self, level: float = LEVEL) -> float | None:
        """One-sided lower bound: the truth is below it at most at the rate `level`."""
        return None if self.spread is None else self.mean - self.spread.reach(level)

    def upper(self, level: float = LEVEL) -> float | None:
        """One-sided upper bound: the truth is above it at most at the rate `level`."""
        return None if self.spread is None else self.mean + self.spread.reach(level)

    def p_above(self, threshold: float) -> float:
        """One-sided p-value of the claim that the truth is above a threshold; 1 without a spread."""
        return self._p(self.mean - threshold)

    def p_below(self, threshold: float) -> float:
        """One-sided p-value of the claim that the truth is below a threshold; 1 without a spread."""
        return self._p(threshold - self.mean)

    def _p(self, distance: float) -> float:
        from scipy.special import stdtr

        if self.spread is None:
            return 1.0
        if self.spread.variance == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(min(self.spread.total_freedom, 1e9), -distance / sqrt(self.spread.variance)))


def levels(values: NDArray[np.float64], resampled: NDArray[np.float64], images: int) -> tuple[Estimate, ...]:
    """The mean AP of each row of one detector.

    values: (rows, K), the AP of each replicate, nan where a cell failed. resampled: (rows, K, R), the same on R bootstrap
    resamples of the test images, which all cells share. images: how many test images, or groups of them if groups are resampled.
    Raises ValueError if the shapes do not fit, or with fewer than 2 resamples or test images.
    """
    return estimate_rows(values, resampled, images)


def differences(values: NDArray[np.float64], resampled: NDArray[np.float64], base: int, images: int) -> tuple[Estimate, ...]:
    """The mean difference of each row of one detector to the row number `base`, over the replicates that have both.

    Arguments and errors as of `levels`. The base's own difference is exactly 0.
    """
    return estimate_rows(values - values[base], resampled - resampled[base], images)


def estimate_rows(values: NDArray[np.float64], resampled: NDArray[np.float64], images: int) -> tuple[Estimate, ...]:
    """Means with their spreads of (rows, K) values whose variances between replicates are pooled; see `levels`."""
    if values.ndim != 2 or resampled.shape[:-1] != values.shape:
        raise ValueError(f"values have shape {values.shape}, resampled {resampled.shape}: they must be (rows, K) and (rows, K, R)")
    if resampled.shape[-1] < 2 or images < 2:
        raise ValueError(f"{resampled.shape[-1]} resamples of {images} test images: at least 2 of each are needed")
    pool = pooled(values)
    return tuple(estimate_row(*row, pool, images) for row in zip(values, resampled, strict=True))


def pooled(values: NDArray[np.float64]) -> tuple[float, float]:
    """The variance between replicates, pooled over rows of shape (rows, K), and its degrees of freedom; (0, 0) if no row varies.

    A row that does not vary is not random, so it is left out; rows with the same values are counted once. Differences to one base
    are correlated, so that M rows have fewer than M (K - 1) degrees of freedom.
    """
    rows = {row.tobytes(): row[~np.isnan(row)] for row in values}
    varying = [row for row in rows.values() if len(row) > 1 and np.ptp(row) > 0]
    freedom = sum(len(row) - 1 for row in varying)
    if not freedom:
        return 0.0, 0.0
    squares = sum(float(row.var()) * len(row) for row in varying)
    return squares / freedom, freedom / (1 + (len(varying) - 1) * SHARED_BASE)


def estimate_row(values: NDArray[np.float64], resampled: NDArray[np.float64], pool: tuple[float, float], images: int) -> Estimate:
    """The mean of one row, (K,) values and (K, R) resampled, with the `pooled` variance of the rows that it is compared with."""
    there = ~np.isnan(values)
    values, resampled = values[there], resampled[there]
    count = len(values)
    if count < 2:
        return Estimate(float(values.mean()) if count else float("nan"), count, None)
    between, freedom = _blended(values, pool)
    shared, interaction = image_variances(resampled)
    return Estimate(float(values.mean()), count, Spread(count, images, between, freedom, shared, interaction))


def _blended(values: NDArray[np.float64], pool: tuple[float, float]) -> tuple[float, float]:
    """The mean of a row's own variance between replicates and the pooled one, and its degrees of freedom."""
    if np.ptp(values) == 0:
        return 0.0, float("inf")
    own, freedom = float(values.var(ddof=1)), len(values) - 1
    # The pooled variance contains the own one, so their covariance is the pooled one's variance.
    return (own + pool[0]) / 2, 4 / (1 / freedom + 3 / pool[1])


def image_variances(resampled: NDArray[np.float64]) -> tuple[float, float]:
    """From (K, R) bootstrap values: the variance that K replicates share, and what each has beyond it; both AP squared, at least 0.

    Resamples without a value (no true box was drawn) are left out.
    """
    covariance = np.atleast_2d(np.cov(resampled[:, ~np.isnan(resampled).any(axis=0)]))
    count = len(covariance)
    own = float(np.trace(covariance)) / count
    shared = (float(covariance.sum()) - own * count) / (count * (count - 1))
    return max(shared, 0.0), max(own - max(shared, 0.0), 0.0)
