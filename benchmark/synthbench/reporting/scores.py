"""What the cells of a run say, over their draws and seeds."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from dataclasses import dataclass

from synthbench.results.model import Cell, Results, TrainingSetKind

NOISE = 0.02
"""AP by which seeds alone move a detector trained on a small set (mmdetection issues #3624 and #2773: 1 to 2 points)."""


@dataclass(frozen=True)
class Score:
    """A figure of a training set and a detector, from 0 to 1: one value for each draw and seed."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """To three digits, so that differences of printed figures are the printed differences."""
        return round(statistics.fmean(self.values), 3)

    @property
    def deviation(self) -> float:
        """Standard deviation; 0 with one value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    def differs(self, other: Score) -> bool:
        """Whether two scores are further apart than seeds explain: no value of one reaches the other's, and by more than `NOISE`."""
        apart = max(self.values) < min(other.values) or max(other.values) < min(self.values)
        return apart and abs(self.mean - other.mean) > NOISE


@dataclass(frozen=True)
class Pick:
    """A training set with a detector, and its AP."""

    row: str
    detector: str
    score: Score


class Scores:
    """The figures of a run's cells."""

    def __init__(self, results: Results) -> None:
        self.kinds: dict[str, TrainingSetKind] = {row.name: row.kind for row in results.training_sets}
        self.detectors: list[str] = [entry.name for entry in results.suite.detectors]
        self._cells: dict[tuple[str, str], list[Cell]] = {}
        for cell in results.cells:
            self._cells.setdefault((cell.training_set, cell.detector), []).append(cell)
        self.repeats = max((len(cells) for cells in self._cells.values()), default=0)
        """The most trainings of one training set and detector."""

    def rows(self, *kinds: TrainingSetKind) -> list[str]:
        """The training sets of these kinds, all if none is given."""
        return [row for row, kind in self.kinds.items() if not kinds or kind in kinds]

    def cells(self, row: str, detector: str) -> list[Cell]:
        """One for each draw and seed."""
        return self._cells.get((row, detector), [])

    def of(self, row: str, detector: str, metric: str = "AP") -> Score | None:
        """The figure, over the cells that have it; None if none has."""
        values = tuple(cell.metrics[metric] for cell in self.cells(row, detector) if metric in cell.metrics)
        return Score(values) if values else None

    def difference(self, row: str, detector: str, base: str, metric: str = "AP") -> float | None:
        """How much higher a detector scores with `row` than the same detector with `base`."""
        own, other = self.of(row, detector, metric), self.of(base, detector, metric)
        return round(own.mean - other.mean, 3) if own and other else None

    def failed(self, row: str, detector: str) -> int:
        """How many of the cells failed."""
        return sum(cell.failed is not None for cell in self.cells(row, detector))

    def picks(self, *kinds: TrainingSetKind) -> list[Pick]:
        """Everything that has an AP, best first."""
        pairs = [(row, detector) for row in self.rows(*kinds) for detector in self.detectors]
        found = [Pick(row, detector, score) for row, detector in pairs if (score := self.of(row, detector))]
        return sorted(found, key=lambda pick: -pick.score.mean)

    def best(self, *kinds: TrainingSetKind) -> Pick | None:
        """The highest AP among training sets of these kinds."""
        return next(iter(self.picks(*kinds)), None)

    def of_kind(self, kind: TrainingSetKind) -> str | None:
        """The name of the first training set of a kind: `real` and `references` may have other names."""
        return next(iter(self.rows(kind)), None)

    def training_seconds(self, row: str, detector: str) -> float | None:
        """Seconds that one training took, a mean over those that finished."""
        seconds = [cell.train_seconds for cell in self.cells(row, detector) if cell.metrics]
        return statistics.fmean(seconds) if seconds else None

    def trained_on(self, row: str) -> tuple[int, int] | None:
        """How many images and boxes detectors were trained on; None if none finished."""
        cells = (cell for detector in self.detectors for cell in self.cells(row, detector))
        return next(((cell.training.images, cell.training.boxes) for cell in cells if cell.training), None)


def listed(names: Collection[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def signed(difference: float) -> str:
    """With its sign, and a true minus."""
    return f"{difference:+.3f}".replace("-", "\N{MINUS SIGN}")
