"""What a plan consists of: all stages of a suite, and what they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from synthbench.planning.people import Labelling
from synthbench.planning.stage import Stage, View
from synthbench.suite.model import Suite
from synthbench.suite.training_sets import Draw, TrainingSet

Views = tuple[View, ...]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A training set of one draw, a detector and its seed, and the stages that end in a score. replicate: its number, from 0.

    held_out: the score on real images that no training set has, of a generated set in a suite that holds some out.
    """

    replicate: int
    training_set: TrainingSet
    draw: Draw
    detector: str
    seed: int
    train: Stage
    predict: Stage
    score: Stage
    held_out: Stage | None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An annotator's boxes on the test images, compared with the truth. generator: whose boxes they are; else empty."""

    annotator: str
    generator: str
    draw: Draw
    judge: Stage


@dataclass(frozen=True, kw_only=True)
class PlannedSet:
    """A training set of one draw: its images and boxes. sample, annotate: of a generated set."""

    training_set: TrainingSet
    draw: Draw
    views: Views
    sample: Stage | None = None
    annotate: Stage | None = None


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A generated set of one draw, compared with the references and all real training images."""

    training_set: TrainingSet
    draw: Draw
    compare: Stage


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All stages, each after those it needs, and what they are for. references: the first draw, for pictures."""

    suite: Suite
    data: Stage
    check: Stage
    test: View
    references: View
    sets: tuple[PlannedSet, ...]
    judged: tuple[Judged, ...]
    compared: tuple[Compared, ...]
    labellings: tuple[Labelling, ...]
    cells: tuple[Cell, ...]
    stages: tuple[Stage, ...]
    planned: int
    """How many replicates the suite has; more than its seeds say if the plan is of the first of them only."""
    replicates: Mapping[str, int]
    """By stage key, the first replicate that needs the stage; earlier replicates are run first."""

    def first(self, replicates: int) -> Plan:
        """The plan of the same suite with so many replicates, the first ones."""
        if replicates == len(self.suite.seeds):
            return self
        stages = tuple(stage for stage in self.stages if self.replicates.get(stage.key, 0) < replicates)
        cells = tuple(cell for cell in self.cells if cell.replicate < replicates)
        keys = {stage.key for stage in stages}
        drawn = {(cell.training_set.name, cell.draw) for cell in cells}
        return replace(
            self,
            suite=replace(self.suite, seeds=self.suite.seeds.first(replicates)),
            sets=tuple(each for each in self.sets if (each.training_set.name, each.draw) in drawn),
            judged=tuple(each for each in self.judged if each.judge.key in keys),
            compared=tuple(each for each in self.compared if each.compare.key in keys),
            labellings=tuple(each for each in self.labellings if each.label.key in keys),
            cells=cells,
            stages=stages,
        )


def sets_by_name(plan: Plan) -> Mapping[str, list[PlannedSet]]:
    """The draws of each training set."""
    found: dict[str, list[PlannedSet]] = {}
    for planned in plan.sets:
        found.setdefault(planned.training_set.name, []).append(planned)
    return found
