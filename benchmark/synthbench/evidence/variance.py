"""Where the variance of AP comes from: the detector's seed, the references, the generator, and the test images.

Replicates draw all of them anew, so no part is seen alone. But `real` rows vary by the detector only, `references` rows also by the
references, and generated rows also by the generator: the parts are differences of their variances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Literal

import numpy as np

from synthbench.evidence.intervals import Estimate, Spread, image_variances

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["real", "references", "generated"]
KINDS: tuple[Kind, ...] = ("real", "references", "generated")


@dataclass(frozen=True, eq=False)
class Replicates:
    """One detector's AP. kinds: of each row. values: (rows, K), nan where a cell failed. resampled: (rows, K, R), on resamples."""

    kinds: tuple[Kind, ...]
    values: NDArray[np.float64]
    resampled: NDArray[np.float64]


@dataclass(frozen=True)
class Component:
    """A part of the variance of one AP figure. variance: AP squared, at least 0. freedom: degrees of freedom, rough below 5."""

    variance: float
    freedom: float

    @property
    def deviation(self) -> float:
        """Standard deviation, AP."""
        return sqrt(self.variance)


@dataclass(frozen=True)
class VarianceSplit:
    """The parts of the variance of one AP figure. None: there are no rows, or fewer than two replicates, that show this part.

    detector, references, generator: between replicates, without what comes from the test images. shared: from the test images, the
    same for all replicates. interaction: from the test images, different for each replicate.
    """

    detector: Component | None
    references: Component | None
    generator: Component | None
    shared: float | None
    interaction: float | None


@dataclass(frozen=True)
class Advice:
    """What to add next. replicates, images: by which share twice as many of them reduce the variance of the mean, 0 to 0.5."""

    add: Literal["replicates", "test images"]
    replicates: float
    images: float


def split(detectors: Sequence[Replicates]) -> VarianceSplit:
    """The parts, pooled over all rows of a kind of all detectors; of one detector for its own.

    Raises ValueError if a detector's arrays do not fit.
    """
    rows: dict[Kind, list[tuple[float, int, float, float]]] = {kind: [] for kind in KINDS}
    for detector in detectors:
        shape = (len(detector.kinds), *detector.values.shape[1:])
        if detector.values.shape != shape or detector.resampled.shape[:-1] != shape:
            raise ValueError(
                f"{len(detector.kinds)} kinds, values of shape {detector.values.shape}, resampled {detector.resampled.shape}: "
                "they must be (rows,), (rows, K) and (rows, K, R)"
            )
        for kind, values, resampled in zip(detector.kinds, detector.values, detector.resampled, strict=True):
            there = ~np.isnan(values)
            if there.sum() > 1:
                rows[kind].append((float(values[there].var(ddof=1)), int(there.sum()) - 1, *image_variances(resampled[there])))
    real, references, generated = (_kind(rows[kind]) for kind in KINDS)
    every = [row for kind in KINDS for row in rows[kind]]
    return VarianceSplit(
        detector=None if real is None else Component(max(real[0], 0.0), real[1]),
        references=_excess(references, real),
        generator=_excess(generated, references),
        shared=float(np.mean([row[2] for row in every])) if every else None,
        interaction=float(np.mean([row[3] for row in every])) if every else None,
    )


def _kind(rows: list[tuple[float, int, float, float]]) -> tuple[float, int] | None:
    """The variance between replicates without the images' part, pooled over rows, not floored; and its degrees of freedom."""
    freedom = sum(row[1] for row in rows)
    return (sum((row[0] - row[3]) * row[1] for row in rows) / freedom, freedom) if freedom else None


def _excess(more: tuple[float, int] | None, less: tuple[float, int] | None) -> Component | None:
    """What one variance has beyond another; Satterthwaite's degrees of freedom."""
    if more is None or less is None:
        return None
    excess, below = more[0] - less[0], more[0] ** 2 / more[1] + less[0] ** 2 / less[1]
    return Component(max(excess, 0.0), excess**2 / below if below > 0 else float(min(more[1], less[1])))


def advice(estimates: Sequence[Estimate]) -> Advice | None:
    """Whether more replicates or more test images make means, or differences, more certain; None if none has a variance."""
    spreads = [each.spread for each in estimates if each.spread and each.spread.variance > 0]
    if not spreads:
        return None
    replicates, images = _saved(spreads, 2, 1), _saved(spreads, 1, 2)
    return Advice("replicates" if replicates >= images else "test images", replicates, images)


def _saved(spreads: list[Spread], replicates: int, images: int) -> float:
    """By which share so many times the replicates and test images reduce the variance of the mean, on average."""
    left = [each.scaled(replicates * each.replicates, images * each.images).variance / each.variance for each in spreads]
    return 1 - float(np.mean(left))
