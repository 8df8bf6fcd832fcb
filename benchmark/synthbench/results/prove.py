"""From the scores of a run to what they prove. `synthbench.evidence` has the statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from synthbench import evidence
from synthbench.results import claims
from synthbench.results.model import Cell, SuiteInfo, TrainingSetInfo

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


def prove(cells: Sequence[Cell], sets: Sequence[TrainingSetInfo], suite: SuiteInfo, scored: Scored) -> claims.Evidence:
    """Levels, differences and verdicts of all training sets and detectors."""
    margin = suite.margin
    detectors = list(dict.fromkeys(cell.detector for cell in cells))
    levels: list[claims.Level] = []
    differences: list[claims.Difference] = []
    tested: dict[tuple[str, str], evidence.Estimate] = {}
    rivals: dict[tuple[str, str], evidence.Estimate] = {}
    several = len({cell.replicate for cell in cells}) > 1
    weights = _weights(scored) if several and scored.images > 1 else None
    for detector in detectors:
        table = Table([cell for cell in cells if cell.detector == detector], [each.name for each in sets], scored, weights)
        for row, found in zip(table.rows, table.levels(), strict=True):
            if found.replicates:
                levels.append(claims.Level(training_set=row, detector=detector, figure=figure_of(found)))
        for base in bases(sets, suite):
            for row, found in zip(table.rows, table.differences(base), strict=True):
                if found.replicates and row != base:
                    differences.append(claims.Difference(training_set=row, detector=detector, base=base, figure=figure_of(found)))
                    about = next(each for each in sets if each.name == row)
                    if kind_of(base, sets) == "real" and about.kind in ("generated", "mix"):
                        (rivals if is_rival(about, suite) else tested)[row, detector] = found
    return claims.Evidence(
        margin=margin,
        images=scored.images,
        groups=len({*scored.groups}) if scored.groups else scored.images,
        resamples=RESAMPLES if weights is not None else 0,
        levels=levels,
        differences=differences,
        # Apart, so that more rivals do not make the tests of generative models stricter.
        verdicts=[*verdicts_of(tested, margin), *verdicts_of(rivals, margin)],
        same=same_predictions(cells, scored),
    )


class Table:
    """The AP of one detector: rows are training sets, columns replicates. weights: of the test images; None for means alone."""

    def __init__(self, cells: Sequence[Cell], rows: Sequence[str], scored: Scored, weights: Weights | None) -> None:
        self.rows = list(rows)
        self.images = scored.images
        columns = sorted({cell.replicate for cell in cells})
        self.values = np.full((len(rows), len(columns)), np.nan)
        self.resampled = None if weights is None else np.full((*self.values.shape, len(weights)), np.nan)
        known: dict[str, NDArray[np.float64]] = {}
        for cell in cells:
            if "AP" not in cell.metrics:
                continue
            place = self.rows.index(cell.training_set), columns.index(cell.replicate)
            self.values[place] = cell.metrics["AP"]
            if weights is not None and self.resampled is not None:
                key = cell.keys.score
                if key not in known:
                    known[key] = _resample(scored.matches[key], scored.categories, weights)
                self.resampled[place] = known[key]

    def levels(self) -> Sequence[evidence.Estimate]:
        """The AP of each row."""
        if self.resampled is None:
            return means(self.values)
        return evidence.levels(self.values, self.resampled, self.images)

    def differences(self, base: str) -> Sequence[evidence.Estimate]:
        """The difference of each row to a base."""
        number = self.rows.index(base)
        if self.resampled is None:
            return means(self.values - self.values[number])
        return evidence.differences(self.values, self.resampled, number, self.images)


def means(values: NDArray[np.float64]) -> list[evidence.Estimate]:
    """The mean of each row (rows, K), without a spread."""
    known = [row[~np.isnan(row)] for row in values]
    return [evidence.Estimate(float(row.mean()) if len(row) else float("nan"), len(row), None) for row in known]


def bases(sets: Sequence[TrainingSetInfo], suite: SuiteInfo) -> list[str]:
    """What all training sets are compared with: the real images, the references, and what does without a generative model."""
    return [each.name for each in sets if each.kind in ("real", "references") or is_rival(each, suite)]


def is_rival(row: TrainingSetInfo, suite: SuiteInfo) -> bool:
    """Whether a training set comes from a generator without a generative model."""
    return row.kind == "generated" and any(entry.rival for entry in suite.generators if entry.name == row.generator)


def _weights(scored: Scored) -> Weights:
    from synthbench.metrics.bootstrap import draws

    return draws(scored.images, RESAMPLES, SEED, scored.groups)


def _resample(matches: Matches, categories: int, weights: Weights) -> NDArray[np.float64]:
    from synthbench.metrics.bootstrap import resample

    resampled: NDArray[np.float64] = resample([matches], categories, weights)[0]
    return resampled


def verdicts_of(tested: Mapping[tuple[str, str], evidence.Estimate], margin: float) -> list[claims.Verdict]:
    """The verdicts on differences to `real`, together: of many combinations some would pass by luck."""
    found = zip(tested, evidence.judge_all(list(tested.values()), margin), strict=True)
    return [
        claims.Verdict(
            training_set=row,
            detector=detector,
            word=verdict.word,
            level=verdict.level,
            settling=claims.Settling(replicates=way.replicates, images=way.images) if (way := verdict.settling) else None,
        )
        for (row, detector), verdict in found
    ]


def figure_of(estimate: evidence.Estimate) -> claims.Figure:
    """An estimate as results store it."""
    low, high = estimate.interval or (None, None)
    return claims.Figure(
        mean=estimate.mean,
        replicates=estimate.replicates,
        low=low,
        high=high,
        error=estimate.error,
        lower=estimate.lower(),
        upper=estimate.upper(),
    )


def kind_of(row: str, sets: Sequence[TrainingSetInfo]) -> str:
    """The kind of a training set."""
    return next(each.kind for each in sets if each.name == row)


def same_predictions(cells: Sequence[Cell], scored: Scored) -> list[str]:
    """Training sets and detectors for which another training predicted the very same boxes: a seed that does nothing."""
    trained: dict[tuple[str, str], dict[str, str]] = {}
    for cell in cells:
        if (boxes := scored.predictions.get(cell.keys.predict)) is not None:
            trained.setdefault((cell.training_set, cell.detector), {})[cell.keys.train] = boxes
    return [f"{row} / {detector}" for (row, detector), found in trained.items() if len({*found.values()}) < len(found)]
