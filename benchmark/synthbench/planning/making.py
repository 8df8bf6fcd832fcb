"""Makes the plan of a suite: every replicate of its rows, of what is judged, compared and labelled."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from synthbench.planning.people import LABELS, Labelling
from synthbench.planning.plan import Cell, Compared, Judged, Plan, PlannedSet
from synthbench.planning.planner import Planner, generated_sets, generators_of
from synthbench.registry import Registry
from synthbench.storage.store import Store
from synthbench.suite.inputs import resolve_suite
from synthbench.suite.model import Suite
from synthbench.suite.training_sets import Draw


def make_plan(suite: Suite, registry: Registry, store: Store, labels: Path = LABELS) -> Plan:
    """The plan of a suite. labels: the folder of people's answers.

    Raises SuiteError if an option names a file that does not exist, SynthbenchError if answers cannot be read.
    """
    suite, inputs = resolve_suite(suite, registry, store.content_hash)
    planner = Planner(suite, inputs, labels)
    sets: dict[tuple[str, Draw], PlannedSet] = {}
    judged: dict[str, Judged] = {}
    compared: dict[str, Compared] = {}
    labellings: dict[str, Labelling] = {}
    cells: list[Cell] = []
    replicates: dict[str, int] = {}
    for replicate in suite.seeds:  # one after the other, so that there is a report after each
        for row in suite.rows:
            draw = row.draw(replicate)
            planned = sets.setdefault((row.name, draw), planner.planned(row, draw))
            cells += [planner.cell(planned, detector, replicate) for detector in suite.detectors]
        draw = Draw(references=replicate.references, generator=replicate.generators)
        for annotator in suite.annotators:
            for generator in generators_of(annotator, suite):
                if (found := planner.judge(annotator, generator, draw)) is not None:
                    judged.setdefault(found.judge.key, found)
        for each in generated_sets(suite):
            comparison = planner.compare(each, each.draw(replicate))
            compared.setdefault(comparison.compare.key, comparison)
            if (labelling := planner.people.labelling(each, each.draw(replicate))) is not None:
                labellings.setdefault(str(labelling.folder), labelling)
        new = islice(reversed(planner.stages), len(planner.stages) - len(replicates))
        replicates |= dict.fromkeys(new, replicate.number)
    first = Draw(references=suite.seeds.references[0])
    references = planner.references(first) if uses_references(suite) else planner.real()
    return Plan(
        suite=suite,
        data=planner.data,
        check=planner.check,
        test=planner.test,
        references=references,
        sets=tuple(sets.values()),
        judged=tuple(judged.values()),
        compared=tuple(compared.values()),
        labellings=tuple(labellings.values()),
        cells=tuple(cells),
        stages=tuple(planner.stages.values()),
        planned=len(suite.seeds),
        replicates=replicates,
    )


def uses_references(suite: Suite) -> bool:
    """Whether any row or annotator has references."""
    return bool(suite.annotators) or any(row.uses_references for row in suite.rows)
