"""What the comparisons of images found, and whether the distances go with AP."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import StatisticsError, correlation, fmean
from typing import Any

import msgspec

from synthbench.execution.jobs import PAIRS
from synthbench.execution.state import RunState, refer_to
from synthbench.planning.plan import Compared, Plan
from synthbench.planning.stage import Stage
from synthbench.results import model
from synthbench.results.describe import describe_draw
from synthbench.storage.references import find

FEW = 5  # sets; with four, not even the strongest rank correlation is significant (p = 2 / 4!)
DISTANCE = "distance."


def describe_similarity(plan: Plan, state: RunState, cells: Sequence[model.Cell]) -> model.Similarity:
    """Near-duplicates and distances. Raises DamagedArtifact."""
    facts, nearest = found_by(plan.check, state)
    generated = [describe_comparison(each, state) for each in plan.compared]
    return model.Similarity(
        splits=model.SplitCheck(allowed=plan.suite.settings.allow_duplicates, nearest=nearest, **facts),
        generated=generated,
        correlations=correlations(generated, cells),
    )


def describe_comparison(compared: Compared, state: RunState) -> model.Comparison:
    """A generated set beside the references and the real training images."""
    facts, nearest = found_by(compared.compare, state)
    row, views = compared.training_set, compared.compare.views
    return model.Comparison(
        training_set=row.name,
        generator=row.generator,
        annotator=row.annotator,
        draw=describe_draw(compared.draw),
        references_key=views["references"][0].images.key,
        images_key=views["images"][0].images.key,
        nearest=nearest,
        distances={name.removeprefix(DISTANCE): value for name, value in facts.items() if name.startswith(DISTANCE)},
        **{name: value for name, value in facts.items() if not name.startswith(DISTANCE)},
    )


def found_by(stage: Stage, state: RunState) -> tuple[dict[str, Any], list[model.Pair]]:
    """The facts and the pairs of a stage that compares images; nothing if it did not finish."""
    if stage.key not in state.artifacts:
        return {}, []
    artifact = find(state.store, refer_to(stage))
    return dict(artifact.record.facts), msgspec.convert(json.loads((artifact.folder / PAIRS).read_text()), list[model.Pair])


def correlations(generated: Iterable[model.Comparison], cells: Iterable[model.Cell]) -> list[model.Correlation]:
    """How each distance goes with each detector's AP."""
    scores: dict[tuple[str, str, model.Draw], list[float]] = defaultdict(list)
    for cell in cells:
        if "AP" in cell.metrics:
            scores[cell.detector, cell.training_set, cell.draw].append(cell.metrics["AP"])
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for each in generated:
        for (detector, training_set, draw), values in scores.items():
            if (training_set, draw) == (each.training_set, each.draw):
                for distance, value in each.distances.items():
                    points.setdefault((distance, detector), []).append((value, fmean(values)))
    return [
        model.Correlation(distance=distance, detector=detector, sets=len(pairs), value=spearman(pairs) if len(pairs) >= FEW else None)
        for (distance, detector), pairs in points.items()
    ]


def spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Spearman's rank correlation, equal values with their mean rank; None if all values of a side are equal."""
    try:
        return correlation(*(ranks([pair[side] for pair in pairs]) for side in (0, 1)))
    except StatisticsError:
        return None


def ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value, counted from 1; equal values get the mean of theirs."""
    return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]
