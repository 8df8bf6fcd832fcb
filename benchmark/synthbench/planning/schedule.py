"""In which order stages are run, and how long a plan takes on so many machines.

Stages of earlier replicates come first, so that a report is there early; among them those with the longest way to the end of the
plan (list scheduling by the critical path; Graham, "Bounds on Multiprocessing Timing Anomalies", 1969, shows that no list takes
twice the best possible time).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from synthbench.planning.plan import Plan
from synthbench.planning.stage import Stage

UNKNOWN = 60.0
"""Seconds for a stage that may use a GPU, where nothing is known; others take a moment."""


@dataclass(frozen=True)
class Schedule:
    """A plan on so many machines. seconds: until its end. work: of all stages together. longest: of the longest chain of stages.

    busy: the share of the machines' time in which they work.
    """

    machines: int
    seconds: float
    work: float
    longest: float

    @property
    def busy(self) -> float:
        """From 0 to 1; 1 without anything to do."""
        return self.work / (self.seconds * self.machines) if self.seconds else 1.0


def ways_to_the_end(stages: Sequence[Stage], seconds: Mapping[str, float]) -> dict[str, float]:
    """By key, the seconds of the longest chain of stages that begins with this one. stages: each after those it needs."""
    ways = {stage.key: seconds[stage.key] for stage in stages}
    for stage in reversed(stages):
        for needed in stage.needs:
            if needed.key in ways:  # else it is done
                ways[needed.key] = max(ways[needed.key], seconds[needed.key] + ways[stage.key])
    return ways


def assumed(stage: Stage, seconds: float | None) -> float:
    """The seconds of a stage, or a guess where they are not known."""
    return seconds if seconds is not None else UNKNOWN if stage.about.gpu else 1.0


def simulate(plan: Plan, seconds: Mapping[str, float], machines: int, done: Collection[str] = ()) -> Schedule:
    """Carries a plan out on paper: each machine does one stage at a time, in the order of the runner.

    seconds: of each stage by key. done: the keys of stages that are in the store. What starting and moving cost is left out.
    """
    stages = [stage for stage in plan.stages if stage.key not in done]
    ways = ways_to_the_end(stages, seconds)
    followers: dict[str, list[Stage]] = {}
    missing: Counter[str] = Counter()
    for stage in stages:
        for key in {each.key for each in stage.needs} - {*done}:
            followers.setdefault(key, []).append(stage)
            missing[stage.key] += 1
    ready = [urgency(plan, ways, stage) for stage in stages if not missing[stage.key]]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < machines:
            key = heapq.heappop(ready)[-1]
            heapq.heappush(running, (now + seconds[key], key))
        now, key = heapq.heappop(running)
        for stage in followers.get(key, ()):
            missing[stage.key] -= 1
            if not missing[stage.key]:
                heapq.heappush(ready, urgency(plan, ways, stage))
    return Schedule(machines, now, sum(seconds[stage.key] for stage in stages), max(ways.values(), default=0.0))


def urgency(plan: Plan, ways: Mapping[str, float], stage: Stage) -> tuple[int, float, str]:
    """What sorts stages: the most urgent first."""
    return plan.replicates.get(stage.key, 0), -ways[stage.key], stage.key
