"""From the scores of a run to what they prove. `synthbench.evidence` has the statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from synthbench import evidence
from synthbench.results import claims, worth
from synthbench.results.ap_table import RESAMPLES, Scored, Table
from synthbench.results.model import Cell, DataInfo, SuiteInfo, TrainingSetInfo


def prove(
    cells: Sequence[Cell], sets: Sequence[TrainingSetInfo], suite: SuiteInfo, data: DataInfo | None, scored: Scored
) -> claims.Evidence:
    """Levels, differences, verdicts and equivalent real images of all training sets and detectors."""
    margin = suite.margin
    counts = worth.real_counts(sets, suite, data)
    apart = rival_sets(sets, suite)
    detectors = list(dict.fromkeys(cell.detector for cell in cells))
    levels: list[claims.Level] = []
    differences: list[claims.Difference] = []
    tested: dict[tuple[str, str], evidence.Estimate] = {}
    rivals: dict[tuple[str, str], evidence.Estimate] = {}
    several = len({cell.replicate for cell in cells}) > 1
    weights = scored.weights() if several else None
    tables: dict[str, Table] = {}
    for detector in detectors:
        table = tables[detector] = Table(
            [cell for cell in cells if cell.detector == detector], [each.name for each in sets], scored, weights
        )
        for row, found in zip(table.rows, table.levels(), strict=True):
            if found.replicates:
                levels.append(claims.Level(training_set=row, detector=detector, figure=figure_of(found)))
        compared: dict[tuple[str, str], evidence.Estimate] = {}
        for base in bases(sets, suite):
            for row, estimate in zip(table.rows, table.differences(base), strict=True):
                # Pooled over the rows of another base, the reverse would have another interval, so each pair is estimated once.
                found = compared[base, row].mirrored if (base, row) in compared else estimate
                compared[row, base] = found
                if found.replicates and row != base:
                    differences.append(claims.Difference(training_set=row, detector=detector, base=base, figure=figure_of(found)))
                    about = next(each for each in sets if each.name == row)
                    if kind_of(base, sets) == "real" and is_tested(about):
                        (rivals if row in apart else tested)[row, detector] = found
    return claims.Evidence(
        margin=margin,
        images=scored.images,
        groups=scored.units,
        resamples=RESAMPLES if weights is not None else 0,
        levels=levels,
        differences=differences,
        # Apart, so that more rivals do not make the tests of generative models stricter.
        verdicts=[*verdicts_of(tested, margin), *verdicts_of(rivals, margin)],
        equivalents=worth.equivalents(tables, sets, counts),
        variance=worth.variance(tables, sets, suite.seeds),
        same=same_predictions(cells, scored),
    )


def bases(sets: Sequence[TrainingSetInfo], suite: SuiteInfo) -> list[str]:
    """What all training sets are compared with: real images, also with automatic boxes, and what does without a generative model.

    Two of them are compared with the first as the base: `real` before all others.
    """
    rivals = rival_sets(sets, suite)
    return [
        each.name for each in sets if each.kind in ("real", "references", "labelled") or (each.kind == "generated" and each.name in rivals)
    ]


def is_tested(row: TrainingSetInfo) -> bool:
    """Whether there is a verdict on a training set: it has generated images, all that were asked for."""
    return row.kind == "generated" or (row.kind == "mix" and row.images is not None)


def rival_sets(sets: Sequence[TrainingSetInfo], suite: SuiteInfo) -> list[str]:
    """The generated sets and mixes whose generated images all come from generators without a generative model."""
    return [each.name for each in sets if is_tested(each) and is_rival(each, suite, sets)]


def is_rival(row: TrainingSetInfo, suite: SuiteInfo, sets: Sequence[TrainingSetInfo]) -> bool:
    """Whether all generated images of a training set come from generators without a generative model."""
    if row.generator:
        return any(entry.rival for entry in suite.generators if entry.name == row.generator)
    made = [each for each in sets if each.name in row.parts and each.images is not None and each.kind in ("generated", "mix")]
    return bool(made) and all(is_rival(each, suite, sets) for each in made)


def verdicts_of(tested: Mapping[tuple[str, str], evidence.Estimate], margin: float) -> list[claims.Verdict]:
    """The verdicts on differences to `real`, together: of many combinations some would pass by luck."""
    found = zip(tested, evidence.judge_all(list(tested.values()), margin), strict=True)
    return [
        claims.Verdict(
            training_set=row,
            detector=detector,
            word=verdict.word,
            level=verdict.level,
            settling=claims.Settling(**asdict(verdict.settling)) if verdict.settling else None,
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
