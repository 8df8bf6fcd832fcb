"""Scores the predictions of a bundle again, and compares every number that follows from them with what the bundle states."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from synthbench.contract.types import Boxes
from synthbench.metrics import Matches, measure
from synthbench.publishing.opening import Bundle
from synthbench.publishing.truth import Truth
from synthbench.results.ap_table import Scored
from synthbench.results.by_class import figures_by_class
from synthbench.results.model import Cell, Results
from synthbench.results.numbers import Differing, differing, leaves
from synthbench.results.prove import prove

NOT_SCORED_AGAIN = (
    "AP on held-out images",
    "precision and recall of annotators",
    "similarity of images",
    "numbers of images and boxes",
    "learning curves",
    "seconds and memory",
)
"""Figures that do not follow from predictions on the test images: they stay what the submitter says."""

WORTH_PROCESSES = 8
"""Fewer scores are done before another process has started."""


@dataclass(frozen=True)
class Found:
    """What follows from the predictions of a bundle.

    figures, classes: of each score, by its key, all and by category. evidence: in JSON's types, as are the classes.
    """

    figures: Mapping[str, Mapping[str, float]]
    classes: Mapping[str, list[Any]]
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Rescored:
    """What scoring again found. numbers: how many stated figures were compared. wrong: those that do not hold, with their places."""

    numbers: int
    cells: int
    wrong: list[Differing] = field(default_factory=list)


def rescore(bundle: Bundle, truth: Truth, processes: int = 1) -> Rescored:
    """Compares a bundle with its own predictions, scored against the truth.

    processes: above 1, only from a main module that may be imported again, as `multiprocessing` asks.

    Raises SynthbenchError if a member is not what it should be, or its parts contradict each other.
    """
    return compare(bundle.results, score_again(bundle, truth, processes))


def compare(results: Results, found: Found) -> Rescored:
    """The figures and the evidence that results state, beside what was found."""
    wrong: list[Differing] = []
    for number, cell in enumerate(results.cells):
        wrong += differing(cell.metrics, found.figures.get(cell.keys.score, {}) if is_scored(cell) else {}, f"cells[{number}].metrics")
        if cell.classes:  # results of earlier versions have none
            of_classes = found.classes.get(cell.keys.score, []) if is_scored(cell) else []
            wrong += differing(msgspec.to_builtins(cell.classes), of_classes, f"cells[{number}].classes")
    stated = msgspec.to_builtins(results.evidence)
    wrong += differing(stated, found.evidence, "evidence")
    numbers = sum(len(cell.metrics) + sum(1 + len(each.metrics) for each in cell.classes) for cell in results.cells)
    numbers += sum(value is not None for _, value in leaves(stated))
    return Rescored(numbers, sum(map(is_scored, results.cells)), wrong)


def score_again(bundle: Bundle, truth: Truth, processes: int = 1) -> Found:
    """Scores every cell from its predictions alone, and proves from these scores what they prove."""
    results = bundle.results
    if (described := results.data) is None:
        bundle.refuse("results.json: the data could not be loaded, so nothing was scored")
    if described.categories != truth.categories or described.test.images != len(truth.images):
        bundle.refuse("results.json: its categories or the number of its test images are not those of the test images given")
    matches, figures = matched(bundle, truth, processes)
    classes = {key: msgspec.to_builtins(figures_by_class(each, truth.categories)) for key, each in matches.items()}
    return Found(figures, classes, evidence_of(bundle, results, truth, matches, figures))


def is_scored(cell: Cell) -> bool:
    """Whether a cell states scores."""
    return bool(cell.metrics)


def matched(bundle: Bundle, truth: Truth, processes: int) -> tuple[Mapping[str, Matches], Mapping[str, dict[str, float]]]:
    """The matches and the figures of each score, by its key, from the predictions alone."""
    predicted = {cell.keys.score: cell.keys.predict for cell in bundle.results.cells if is_scored(cell)}
    if processes == 1 or len(predicted) < WORTH_PROCESSES:
        scored = [score_one(bundle, truth, truth.boxes, key) for key in predicted.values()]
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, context, _open, (bundle.path, truth)) as pool:
            scored = list(pool.map(_score, predicted.values()))
    found = dict(zip(predicted, scored, strict=True))
    return {key: each[0] for key, each in found.items()}, {key: each[1] for key, each in found.items()}


def score_one(bundle: Bundle, truth: Truth, true: Sequence[Boxes], key: str) -> tuple[Matches, dict[str, float]]:
    """Matches and figures of one `predict` stage, as results have them."""
    matches, figures = measure(true, bundle.predictions(key, truth), len(truth.categories))
    return matches, {name: float(value) for name, value in figures.items()}


_given: list[tuple[Bundle, Truth, list[Boxes]]] = []
"""In a process of a pool: what it scores."""


def _open(path: Path, truth: Truth) -> None:
    _given.append((Bundle(path), truth, truth.boxes))


def _score(key: str) -> tuple[Matches, dict[str, float]]:
    return score_one(*_given[0], key)


def evidence_of(
    bundle: Bundle, results: Results, truth: Truth, matches: Mapping[str, Matches], figures: Mapping[str, dict[str, float]]
) -> dict[str, Any]:
    """What the scores prove, from the figures that were found and not from those that are stated."""
    cells = [structs.replace(cell, metrics=figures[cell.keys.score]) if is_scored(cell) else cell for cell in results.cells]
    predictions = {
        cell.keys.predict: bundle.submission.members[f"predictions/{cell.keys.predict}.npy"].sha256 for cell in cells if is_scored(cell)
    }
    scored = Scored(matches, len(truth.categories), truth.groups, predictions) if results.suite.seeds.replicates > 1 else Scored({}, 0)
    try:
        proven = prove(cells, results.training_sets, results.suite, results.data, scored)
    except (LookupError, ValueError, StopIteration, ArithmeticError, AssertionError) as error:
        bundle.refuse(f"results.json: its parts contradict each other ({type(error).__name__}: {error})")
    # Detectors in which nothing is random are not told of in results, and a bundle does not say which these are.
    kept = set(results.evidence.same) if results.evidence else set()
    found: dict[str, Any] = msgspec.to_builtins(structs.replace(proven, same=[each for each in proven.same if each in kept]))
    return found
