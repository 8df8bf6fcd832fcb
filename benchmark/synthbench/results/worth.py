"""How many real images a generated training set is worth, and where the variance of AP comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import sqrt

import numpy as np

from synthbench.evidence.equivalent import equivalent_images
from synthbench.evidence.variance import Component, Kind, Replicates, split
from synthbench.results import claims
from synthbench.results.ap_table import Table
from synthbench.results.model import DataInfo, Seeds, SuiteInfo, TrainingSetInfo

POINTS = 3
"""The fewest numbers of real images that make a curve."""


def real_images(suite: SuiteInfo, data: DataInfo | None) -> int | None:
    """How many real images the row `real` has; None if the data could not be loaded."""
    return data.train.images - suite.holdout if data else None


def real_counts(sets: Sequence[TrainingSetInfo], suite: SuiteInfo, data: DataInfo | None) -> dict[str, int]:
    """The training sets of real images with how many they are, ascending; of equal numbers one."""
    numbers = {"real": real_images(suite, data), "references": suite.references}
    known = {each.name: each.images if each.kind == "subset" else numbers.get(each.kind) for each in sets}
    first = {count: name for name, count in reversed(known.items()) if count is not None}
    return {first[count]: count for count in sorted(first)}


def equivalents(tables: Mapping[str, Table], sets: Sequence[TrainingSetInfo], counts: Mapping[str, int]) -> list[claims.Equivalent]:
    """For each detector, what every generated set, mix and part of one is worth; nothing where there is no curve to read it from."""
    found = []
    for detector, table in tables.items():
        shown = {name: count for name, count in counts.items() if not np.isnan(table.values[table.rows.index(name)]).all()}
        curve = [table.rows.index(name) for name in shown]
        if len(curve) < POINTS or table.resampled is None:
            continue
        for row in [each for each in sets if each.kind in ("generated", "mix", "part")]:
            number = table.rows.index(row.name)
            complete = ~np.isnan(table.values[[*curve, number]]).any(axis=0)
            if not complete.any():
                continue
            worth = equivalent_images(
                tuple(shown.values()),
                table.values[curve],
                table.resampled[curve],
                table.values[number],
                table.resampled[number],
                table.images,
            )
            found.append(claims.Equivalent(training_set=row.name, detector=detector, **asdict(worth)))
    return found


def variance(tables: Mapping[str, Table], sets: Sequence[TrainingSetInfo], seeds: Seeds) -> claims.Deviations | None:
    """The parts of the variance of one AP figure, pooled over detectors; None with one replicate, a part that was drawn once too."""
    kinds: dict[str, Kind] = {each.name: each.kind for each in sets if each.kind in ("real", "references", "generated")}
    replicates = []
    for table in tables.values():
        if table.resampled is None or table.values.shape[1] < 2:
            return None
        rows = [number for number, name in enumerate(table.rows) if name in kinds]
        its_kinds = tuple(kinds[table.rows[number]] for number in rows)
        replicates.append(Replicates(kinds=its_kinds, values=table.values[rows], resampled=table.resampled[rows]))
    parts = split(replicates)
    return claims.Deviations(
        detector=_deviation(parts.detector) if len(seeds.detectors) > 1 else None,
        references=_deviation(parts.references) if len(seeds.references) > 1 else None,
        generator=_deviation(parts.generator) if len(seeds.generators) > 1 else None,
        test_images=None if parts.shared is None or parts.interaction is None else sqrt(parts.shared + parts.interaction),
    )


def _deviation(part: Component | None) -> float | None:
    return None if part is None else part.deviation
