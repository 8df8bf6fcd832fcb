"""How many real photographs a generated training set is worth: the number that gives the detector the same AP.

The curve of real photographs is the means over replicates, made non-decreasing (isotonic regression) and interpolated in the
logarithm of their number. The interval holds each number at which the difference of the generated set to the curve may be 0:
the 95 % interval of that difference, from replicates and test images together, contains 0 (Fieller's way to invert a test).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from synthbench.evidence.intervals import Estimate, estimate_row, pooled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Fit: TypeAlias = Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]
    """From counts (C,), mean AP (C,) and numbers (G,): how the curve at each number follows from the means, weights (G, C) and
    offsets (G,)."""

GRID = 100
"""Numbers of photographs at which the difference is tested, evenly spaced in their logarithm."""


@dataclass(frozen=True)
class Equivalent:
    """A number of real photographs, within the curve's smallest and largest count.

    position: `within` the curve; `fewer` than its smallest count; `more` than its largest. images: the number; None unless within.
    low, high: a 95 % interval; None where it goes beyond the end of the curve on that side, and both None unless `bounded`.
    bounded: whether there is an interval; with fewer than 2 complete replicates there is none.
    smallest, largest: the curve's counts.
    """

    position: Literal["fewer", "within", "more"]
    images: float | None
    low: float | None
    high: float | None
    bounded: bool
    smallest: int
    largest: int


def isotonic(counts: Floats, means: Floats, numbers: Floats) -> tuple[Floats, Floats]:
    """The means made non-decreasing by averaging neighbours, interpolated linearly in the logarithm of the count."""
    blocks: list[list[int]] = []
    for number in range(len(means)):
        blocks.append([number])
        while len(blocks) > 1 and means[blocks[-2]].mean() >= means[blocks[-1]].mean():
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    knots = np.zeros((len(means), len(means)))
    for block in blocks:
        knots[np.ix_(block, block)] = 1 / len(block)
    weights = np.stack([np.interp(np.log(numbers), np.log(counts), column) for column in knots.T], axis=1)
    return weights, np.zeros(len(numbers))


def equivalent_images(
    counts: tuple[int, ...],
    curve: Floats,
    curve_resampled: Floats,
    generated: Floats,
    generated_resampled: Floats,
    images: int,
    fit: Fit = isotonic,
) -> Equivalent:
    """The number of real photographs that gives one detector the AP of a generated training set.

    counts: C >= 2 ascending numbers of photographs. curve: (C, K), AP by count and replicate, nan where a cell failed.
    curve_resampled: (C, K, R), on the resamples of the test images that all cells share. generated: (K,), AP of the generated set;
    generated_resampled: (K, R). images: how many test images. Only replicates without a failed cell are used.
    Raises ValueError if the counts do not ascend, the shapes do not fit, or no replicate is complete.
    """
    _check(counts, curve, curve_resampled, generated, generated_resampled)
    there = ~(np.isnan(curve).any(axis=0) | np.isnan(generated))
    if not there.any():
        raise ValueError("no replicate has all counts of the curve and the generated set")
    curve, curve_resampled, generated = curve[:, there], curve_resampled[:, there], generated[there]
    generated_resampled = generated_resampled[there]

    numbers = np.unique([*np.geomspace(counts[0], counts[-1], GRID), *map(float, counts)])
    weights, offsets = fit(np.array(counts, float), curve.mean(axis=1), numbers)
    pool = pooled(generated - curve)
    gaps = [
        estimate_row(generated - row @ curve - offset, generated_resampled - np.tensordot(row, curve_resampled, 1) - offset, pool, images)
        for row, offset in zip(weights, offsets, strict=True)
    ]
    means = np.array([gap.mean for gap in gaps])
    position: Literal["fewer", "within", "more"] = "fewer" if means[0] < 0 else "more" if means[-1] > 0 else "within"
    # The difference falls with the number: reversed for np.interp, and where the curve is level the middle of it is taken.
    images_found = float(np.exp(_crossing(np.log(numbers), means))) if position == "within" else None
    low, high = _interval(numbers, gaps)
    # What is not rejected need not be one stretch; the interval has the best guess in it.
    if position == "fewer" or (low is not None and images_found is not None and images_found < low):
        low = images_found
    if position == "more" or (high is not None and images_found is not None and images_found > high):
        high = images_found
    return Equivalent(position, images_found, low, high, gaps[0].interval is not None, counts[0], counts[-1])


def _crossing(numbers: Floats, gaps: Floats) -> float:
    """Where a difference that does not rise with the number is 0; the middle, where it is 0 over a stretch."""
    last, first = np.flatnonzero(gaps >= 0)[-1], np.flatnonzero(gaps <= 0)[0]
    if first <= last:
        return float(numbers[first] + numbers[last]) / 2
    share = gaps[last] / (gaps[last] - gaps[first])
    return float(numbers[last] + share * (numbers[first] - numbers[last]))


def _interval(numbers: Floats, gaps: list[Estimate]) -> tuple[float | None, float | None]:
    """The numbers at which the difference may be 0, as the smallest and the largest; None beyond an end of the curve."""
    intervals = [gap.interval for gap in gaps if gap.interval]
    if not intervals:
        return None, None
    lower, upper = np.array(intervals).T
    inside = np.flatnonzero((lower <= 0) & (upper >= 0))
    if len(inside):
        # Outwards to the next number that was tested.
        low = float(numbers[inside[0] - 1]) if inside[0] > 0 else None
        high = float(numbers[inside[-1] + 1]) if inside[-1] < len(numbers) - 1 else None
        return low, high
    better, worse = np.flatnonzero(lower > 0), np.flatnonzero(upper < 0)
    return float(numbers[better[-1]]) if len(better) else None, float(numbers[worse[0]]) if len(worse) else None


def _check(counts: tuple[int, ...], curve: Floats, curve_resampled: Floats, generated: Floats, generated_resampled: Floats) -> None:
    if len(counts) < 2 or counts[0] < 1 or any(one >= other for one, other in pairwise(counts)):
        raise ValueError(f"counts {counts}: they must be at least two, positive, and ascend")
    replicates, resamples = len(generated), generated_resampled.shape[-1]
    shapes = (curve.shape, curve_resampled.shape, generated_resampled.shape)
    if shapes != ((len(counts), replicates), (len(counts), replicates, resamples), (replicates, resamples)):
        raise ValueError(f"curve, its resamples and the generated set's have shapes {shapes}: they must be (C, K), (C, K, R) and (K, R)")
