"""How far a run is: the stages that run, those that are settled, and an estimate of the time left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Protocol

from synthbench.contract.stages import STAGES


class StageLike(Protocol):
    """What is read of a stage. needs: the stages whose results it reads."""

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def needs(self) -> Sequence[StageLike]: ...  # noqa: D102


class CellLike(Protocol):
    """What is read of a cell: the stage that ends it."""

    @property
    def score(self) -> StageLike: ...  # noqa: D102


class PlanLike(Protocol):
    """What is read of a plan. stages: each after those it needs."""

    @property
    def stages(self) -> Sequence[StageLike]: ...  # noqa: D102
    @property
    def cells(self) -> Sequence[CellLike]: ...  # noqa: D102


class RecordLike(Protocol):
    """What is read of a stage's record. seconds: its own wall time. facts: the core's figures, such as AP."""

    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def notes(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def facts(self) -> Mapping[str, Any]: ...  # noqa: D102


class OutcomeLike(Protocol):
    """How a stage ended. error: empty if its result is in the store."""

    @property
    def error(self) -> str: ...  # noqa: D102
    @property
    def record(self) -> RecordLike: ...  # noqa: D102


@dataclass
class Running:
    """A stage that runs, and its latest progress event. Times are those of one monotonic clock, in seconds.

    part: the label of the latest progress event; empty until there is one. A stage may report several parts, one after the other.
    part_since, part_from: when the part was first reported, and how much of it was done then.
    """

    stage: StageLike
    since: float
    part: str = ""
    part_since: float = 0.0
    part_from: int = 0
    done: int = 0
    total: int | None = None
    unit: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    def hear(self, event: Mapping[str, Any], now: float) -> None:
        """Takes over a progress event."""
        if event["label"] != self.part:
            self.part, self.part_since, self.part_from = str(event["label"]), now, event["done"]
        self.done, self.total, self.unit, self.figures = event["done"], event["total"], event["unit"], event["figures"]

    @property
    def phase(self) -> str:
        """What the stage does, beyond what its label says already: `prepare`, but not `train` of `train yolov8 on real`."""
        if not self.part:
            kind = STAGES.get(self.stage.kind)
            return kind.phase if kind else "starting"
        return "" if self.in_main_part else self.part

    @property
    def in_main_part(self) -> bool:
        """Whether the stage does what its label begins with."""
        return bool(self.part) and f"{self.stage.label} ".startswith(f"{self.part} ")

    def speed(self, now: float) -> float | None:
        """Units a second in this part; None until one is done."""
        done, seconds = self.done - self.part_from, now - self.part_since
        return done / seconds if self.part and done > 0 and seconds > 0 else None

    def part_left(self, now: float) -> float | None:
        """Seconds until the end of this part; None if not known."""
        speed = self.speed(now)
        return None if speed is None or self.total is None else max(self.total - self.done, 0) / speed

    def left(self, now: float) -> float | None:
        """Seconds until the end of the stage by its own progress; None if not known, as in parts before the main one."""
        return self.part_left(now) if self.in_main_part else None


class RunStatus:
    """Counts stages and cells, and estimates the time left. A stage is settled if it is stored, failed, skipped, or waiting.

    Skipped are the stages that need a failed one, waiting those that people must label images for, and those that need one of these: the
    runner never starts them.
    """

    def __init__(self, plan: PlanLike, cached: set[str]) -> None:
        self.stages = list(plan.stages)
        self.cells = {cell.score.key for cell in plan.cells}
        self.stored = {stage.key for stage in self.stages if stage.key in cached}
        self.failed: set[str] = set()
        self.skipped: set[str] = set()
        self.waiting: set[str] = set()
        self.running: dict[str, Running] = {}
        self._seconds: dict[str, list[float]] = defaultdict(list)
        """Of finished stages of this run, by kind, from their start to their end: imports count too."""
        self._first_start: float | None = None
        self._busy = 0.0

    @property
    def settled(self) -> set[str]:
        """The keys of the stages that need nothing more."""
        return self.stored | self.failed | self.skipped | self.waiting

    @property
    def cells_done(self) -> int:
        """How many cells have a score."""
        return len(self.cells & self.stored)

    def start(self, stage: StageLike, now: float) -> None:
        """Notes that a stage starts."""
        self._first_start = now if self._first_start is None else self._first_start
        self.running[stage.key] = Running(stage, now)

    def finish(self, stage: StageLike, now: float, *, failed: bool) -> int:
        """Notes that a stage ended, and returns how many stages are skipped because of it."""
        running = self.running.pop(stage.key, None)
        seconds = now - running.since if running else 0.0
        self._busy += seconds
        if not failed:
            self._seconds[stage.kind].append(seconds)
            self.stored.add(stage.key)
            return 0
        self.failed.add(stage.key)
        before, settled = len(self.skipped), self.settled
        for each in self.stages:
            if each.key not in settled and any(needed.key in self.failed | self.skipped for needed in each.needs):
                self.skipped.add(each.key)
        return len(self.skipped) - before

    def wait(self, stage: StageLike) -> int:
        """Notes that a stage waits for people, and returns how many others wait with it."""
        self.waiting.add(stage.key)
        before, settled = len(self.waiting), self.settled
        for each in self.stages:
            if each.key not in settled and any(needed.key in self.waiting for needed in each.needs):
                self.waiting.add(each.key)
        return len(self.waiting) - before

    def forget(self, stage: StageLike) -> None:
        """Notes that a stored result was lost, so that its stage runs again."""
        self.stored.discard(stage.key)
        self.running.pop(stage.key, None)

    def time_left(self, now: float) -> float | None:
        """Seconds until every stage is settled; None if nothing is left, or if too little is known for an estimate.

        That is until most of the waiting stages are of kinds that were measured: otherwise the first fit of a generator, which may
        take hours, would stand for every training. The work is shared among as many stages at a time as ran on average until now.
        """
        settled = self.settled
        waiting = [stage.kind for stage in self.stages if stage.key not in settled and stage.key not in self.running]
        measured = {kind for kind in {*waiting} if not uses_gpu(kind) or self._measured(kind, now)}
        if self._first_start is None or not (waiting or self.running) or sum(kind in measured for kind in waiting) * 2 < len(waiting):
            return None
        running = [self._left(each, now) for each in self.running.values()]
        means = {kind: self._mean(kind, now) for kind in {*waiting}}
        parts = [*running, *(means[kind] for kind in waiting)]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        busy = self._busy + sum(now - each.since for each in self.running.values())
        at_a_time = max(busy / max(now - self._first_start, 1e-9), 1.0)
        return max(sum(known) / at_a_time, *known[: len(running)], 0.0)

    def _left(self, running: Running, now: float) -> float | None:
        """Seconds until a running stage ends: by its own progress, else by how long such stages take."""
        if (left := running.left(now)) is not None:
            return left
        mean = self._mean(running.stage.kind, now)
        return None if mean is None else max(mean - (now - running.since), 0.0)

    def _measured(self, kind: str, now: float) -> list[float]:
        """Seconds of the finished stages of a kind; without any, those that running ones will have taken, by their progress."""
        if self._seconds.get(kind):
            return self._seconds[kind]
        running = [each for each in self.running.values() if each.stage.kind == kind]
        return [now - each.since + left for each in running if (left := each.left(now)) is not None]

    def _mean(self, kind: str, now: float) -> float | None:
        """Seconds that a stage of this kind takes; for a kind that was not measured, those of other kinds.

        A stage that may use a GPU is not estimated from those that do not, such as selecting images, which take a moment.
        """
        if own := self._measured(kind, now):
            return fmean(own)
        heavy = uses_gpu(kind)
        others = {stage.kind: self._measured(stage.kind, now) for stage in self.stages}
        similar = [seconds for other, values in others.items() if uses_gpu(other) == heavy for seconds in values]
        if not similar and not heavy:
            similar = [seconds for values in others.values() for seconds in values]
        return fmean(similar) if similar else None


def uses_gpu(kind: str) -> bool:
    """Whether the table of stages says so."""
    return kind in STAGES and STAGES[kind].gpu
