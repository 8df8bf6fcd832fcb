"""Engines that come while a run goes on, and stages whose machine is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from synthbench.execution.conditions import Conditions
from synthbench.execution.engines import Engine, InProcess
from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.listener import Listener
from synthbench.execution.runner import RETRIED, Runner
from synthbench.planning.plan import Plan
from synthbench.storage.local import LocalStore

if TYPE_CHECKING:
    from synthbench.execution.stage_run import Event

PlanOf = Callable[..., Plan]


def test_engines_that_come_later_are_used_and_a_lost_stage_is_done_again(
    store: LocalStore, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthbench.execution.runner.NEW", 0.05)
    plan = plan_of("annotators=[]", "generators=[]", "mix=[]", 'baselines=["references"]')
    used: list[str] = []

    class Named(InProcess):
        def __init__(self, name: str) -> None:
            super().__init__(store)
            self.name = name

        def suits(self, kind: str) -> bool:
            return (kind == "train") == (self.name == "late")

        def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
            used.append(f"{self.name} {job.kind}")
            if self.name == "late" and used.count("late train") <= 2:
                return Outcome(error="its machine is gone", lost=True)
            return super().run(job, emit, timeout)

    waiting = [Named("late")]

    def more() -> list[Engine]:
        return [waiting.pop()] if waiting and "early select" in used else []

    state = Runner(plan, store, [Named("early")], Listener(), Conditions(device="cpu"), more=more).run()
    trained = len([stage for stage in plan.stages if stage.kind == "train"])
    assert not state.failures
    assert used.count("late train") == trained + 2
    assert not [each for each in used if each == "early train"]


def test_a_stage_that_loses_machine_after_machine_fails(store: LocalStore, plan_of: PlanOf) -> None:
    plan = plan_of()
    tries: list[str] = []

    class Lost(InProcess):
        def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
            tries.append(job.key)
            return Outcome(error="its machine is gone", lost=True)

    state = Runner(plan, store, [Lost(store)], Listener(), Conditions(device="cpu")).run()
    assert [outcome.error for outcome in state.failures.values()] == ["its machine is gone"]
    assert tries == [plan.stages[0].key] * (RETRIED + 1)
