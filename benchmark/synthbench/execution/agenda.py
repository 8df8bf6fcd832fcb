"""Which stages of a plan can start: kept up to date as stages end, since to look through a whole plan for each would take long."""

from __future__ import annotations

from collections import Counter

from synthbench.execution.state import RunState
from synthbench.planning.plan import Plan
from synthbench.planning.stage import Stage


class Agenda:
    """What is left of a plan, by its state; whoever changes the state of a stage says so with `end` or `look_at`.

    left: the keys of the stages that are not settled. ready: of these, the stages by key that can start and do not run, in no order.
    place: of each stage in the plan, by key.
    """

    def __init__(self, plan: Plan, state: RunState) -> None:
        self.plan, self.state = plan, state
        self.left = {stage.key for stage in plan.stages}
        self.place = {stage.key: number for number, stage in enumerate(plan.stages)}
        self.ready: dict[str, Stage] = {}
        self._running: set[str] = set()
        self._waiting = [stage for stage in plan.stages if stage.waits]
        self._of_replicate = Counter(plan.replicates.get(key, 0) for key in self.left)
        self._followers: dict[str, list[Stage]] = {}
        for stage in plan.stages:
            for key in {each.key for each in (*stage.needs, *stage.behind)}:
                self._followers.setdefault(key, []).append(stage)
        for stage in plan.stages:
            self._look_at(stage)

    @property
    def is_running(self) -> bool:
        """Whether any stage runs."""
        return bool(self._running)

    @property
    def complete(self) -> int:
        """How many replicates, from the first on, need nothing more."""
        return min((number for number, count in self._of_replicate.items() if count), default=len(self.plan.suite.seeds))

    def start(self, stage: Stage) -> None:
        """Notes that a stage runs."""
        self._running.add(stage.key)
        self.ready.pop(stage.key)

    def end(self, stage: Stage) -> None:
        """Notes that a stage runs no more, or that the state says something else of it."""
        self._running.discard(stage.key)
        self.look_at(stage)

    def look_at(self, stage: Stage) -> None:
        """Notes what the state says of a stage now, and of those that depend on it."""
        changed = [stage]
        while changed:
            stage = changed.pop()
            if self._look_at(stage):
                changed += self._followers.get(stage.key, ())

    def to_ask(self) -> list[Stage]:
        """The stages that people can be asked about now."""
        return [stage for stage in self._waiting if self.state.can_be_asked(stage)]

    def refuse(self, stage: Stage) -> None:
        """After a refusal: what leads only to stages that need it is not run, unless it runs already."""
        self.state.skip_what_serves_nothing(self.plan, stage, self._running)
        for each in self.plan.stages:
            self._look_at(each)

    def _look_at(self, stage: Stage) -> bool:
        """Notes what the state says of a stage, and returns whether it has become settled or unsettled."""
        settled, was_settled = self.state.is_settled(stage), stage.key not in self.left
        if settled and not was_settled:
            self.left.discard(stage.key)
        elif was_settled and not settled:
            self.left.add(stage.key)
        self._of_replicate[self.plan.replicates.get(stage.key, 0)] += was_settled - settled
        if not settled and self._can_start(stage):
            self.ready[stage.key] = stage
        else:
            self.ready.pop(stage.key, None)
        return settled != was_settled

    def _can_start(self, stage: Stage) -> bool:
        """Whether everything is there that a stage needs, and it neither waits for people nor runs."""
        if stage.waits or stage.key in self._running or any(each.key not in self.state.artifacts for each in stage.needs):
            return False
        return all(self.state.is_settled(each) for each in stage.behind)
