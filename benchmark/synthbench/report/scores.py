"""What the cells of a run say, over their seeds."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

NOISE = 0.02
"""AP by which seeds alone move a detector trained on a small set (mmdetection issues #3624 and #2773: 1 to 2 points)."""


@dataclass(frozen=True)
class Score:
    """A figure of a training set and a detector, from 0 to 1, one value a seed."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over seeds, to three digits, so that differences of what is printed are what is printed as difference."""
        return round(statistics.fmean(self.values), 3)

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds; 0 with one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    def differs(self, other: Score) -> bool:
        """Whether two scores stand further apart than seeds explain: no seed of one reaches the other's, and by more than `NOISE`."""
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

    def __init__(self, held: Mapping[str, Any]) -> None:
        self.kinds: dict[str, str] = {row["name"]: row["kind"] for row in held["rows"]}
        self.detectors: list[str] = [entry["name"] for entry in held["suite"]["detectors"]]
        self.seeds = len(held["suite"]["seeds"])
        self._cells: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for cell in held["cells"]:
            self._cells.setdefault((cell["training_set"], cell["detector"]), []).append(cell)

    def rows(self, *kinds: str) -> list[str]:
        """The training sets of these kinds (`real`, `references`, `generated`, `mix`), all without any."""
        return [row for row, kind in self.kinds.items() if not kinds or kind in kinds]

    def cells(self, row: str, detector: str) -> list[Mapping[str, Any]]:
        """One a seed."""
        return self._cells.get((row, detector), [])

    def of(self, row: str, detector: str, metric: str = "AP") -> Score | None:
        """The figure, over the seeds that have it; None where none has."""
        values = [cell["metrics"].get(metric) for cell in self.cells(row, detector)]
        known = tuple(value for value in values if value is not None)
        return Score(known) if known else None

    def difference(self, row: str, detector: str, base: str, metric: str = "AP") -> float | None:
        """How much higher a detector scores with `row` than the same detector with `base`."""
        mine, other = self.of(row, detector, metric), self.of(base, detector, metric)
        return round(mine.mean - other.mean, 3) if mine and other else None

    def failed(self, row: str, detector: str) -> int:
        """How many of the seeds failed."""
        return sum(cell["failed"] is not None for cell in self.cells(row, detector))

    def picks(self, *kinds: str) -> list[Pick]:
        """Everything that has an AP, best first."""
        pairs = [(row, detector) for row in self.rows(*kinds) for detector in self.detectors]
        found = [Pick(row, detector, score) for row, detector in pairs if (score := self.of(row, detector))]
        return sorted(found, key=lambda pick: -pick.score.mean)

    def best(self, *kinds: str) -> Pick | None:
        """The highest AP among training sets of these kinds."""
        return next(iter(self.picks(*kinds)), None)

    def training_seconds(self, row: str, detector: str) -> float | None:
        """Seconds one training took, over the seeds that finished."""
        seconds = [cell["seconds"]["train"] for cell in self.cells(row, detector) if cell["metrics"]]
        return statistics.fmean(seconds) if seconds else None

    def trained_on(self, row: str) -> tuple[int, int] | None:
        """How many images and boxes a training set holds; None where no detector saw it."""
        for cell in (cell for detector in self.detectors for cell in self.cells(row, detector)):
            if {"training_images", "training_boxes"} <= cell["training"].keys():
                return cell["training"]["training_images"], cell["training"]["training_boxes"]
        return None


def joined(names: Collection[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def signed(difference: float) -> str:
    """With its sign, and a true minus."""
    return f"{difference:+.3f}".replace("-", "\N{MINUS SIGN}")
