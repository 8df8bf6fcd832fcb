"""The AP of one detector as arrays: training sets down, replicates across, and the same on resampled test images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from synthbench import evidence
from synthbench.results.model import Cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench.metrics import Matches
    from synthbench.metrics.bootstrap import Weights

RESAMPLES = 1000
SEED = 0


@dataclass(frozen=True)
class Scored:
    """What the evidence is made of.

    matches: of each cell with a score, by the key of its score. categories: how many. groups: of each test image.
    predictions: a hash of each cell's predicted boxes, by the key of its prediction.
    """

    matches: Mapping[str, Matches]
    categories: int
    groups: Sequence[str] | None = None
    predictions: Mapping[str, str] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many test images there are."""
        return next((each.images for each in self.matches.values()), 0)

    @property
    def units(self) -> int:
        """How many images or groups are drawn by themselves."""
        return len({*self.groups}) if self.groups else self.images

    def weights(self) -> Weights | None:
        """The resamples of the test images that all cells share; None if there is nothing to resample."""
        from synthbench.metrics.bootstrap import draws

        return draws(self.images, RESAMPLES, SEED, self.groups) if self.units > 1 else None


class Table:
    """The AP of one detector: rows are training sets, columns replicates. weights: of the test images; None for means alone."""

    def __init__(self, cells: Sequence[Cell], rows: Sequence[str], scored: Scored, weights: Weights | None) -> None:
        self.rows = list(rows)
        self.images = scored.units
        columns = sorted({cell.replicate for cell in cells})
        self.values = np.full((len(rows), len(columns)), np.nan)
        self.resampled = None if weights is None else np.full((*self.values.shape, len(weights)), np.nan)
        cells = [cell for cell in cells if "AP" in cell.metrics]
        resampled = {} if weights is None else _resampled({cell.keys.score for cell in cells}, scored, weights)
        for cell in cells:
            place = self.rows.index(cell.training_set), columns.index(cell.replicate)
            self.values[place] = cell.metrics["AP"]
            if self.resampled is not None:
                self.resampled[place] = resampled[cell.keys.score]

    def levels(self) -> Sequence[evidence.Estimate]:
        """The AP of each row."""
        if self.resampled is None:
            return means(self.values)
        return evidence.levels(self.values, self.resampled, self.images)

    def differences(self, base: str) -> Sequence[evidence.Estimate]:
        """The difference of each row to a base."""
        number = self.rows.index(base)
        if self.resampled is None:
            levels = means(self.values)
            return [difference(each, levels[number]) for each in levels]
        return evidence.differences(self.values, self.resampled, number, self.images)


def means(values: NDArray[np.float64]) -> list[evidence.Estimate]:
    """The mean of each row (rows, K), without a spread."""
    known = [row[~np.isnan(row)] for row in values]
    return [evidence.Estimate(float(row.mean()) if len(row) else float("nan"), len(row), None) for row in known]


def difference(one: evidence.Estimate, base: evidence.Estimate) -> evidence.Estimate:
    """The difference of two means without a spread. Older results may have other numbers of trainings in different rows."""
    return evidence.Estimate(one.mean - base.mean, min(one.replicates, base.replicates), None)


def _resampled(keys: Collection[str], scored: Scored, weights: Weights) -> dict[str, NDArray[np.float64]]:
    """AP on every resample, (R,), by the key of a score: cells that share a score are resampled once."""
    from synthbench.metrics.bootstrap import resample

    return dict(zip(keys, resample([scored.matches[key] for key in keys], scored.categories, weights), strict=True))
