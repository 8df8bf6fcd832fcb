"""What of a plan is left and can start, followed from change to change, is what the whole plan says."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from synthbench.execution.agenda import Agenda
from synthbench.execution.jobs import Outcome
from synthbench.execution.state import RunState, look_up
from synthbench.planning.making import make_plan
from synthbench.planning.plan import Plan
from synthbench.planning.stage import Stage
from synthbench.registry import installed
from synthbench.storage.local import LocalStore
from synthbench.storage.store import Artifact, StageRecord
from synthbench.suite.reader import read_suite

SUITE: Mapping[str, Any] = {
    "references": 3,
    "images": 4,
    "replicates": 3,
    "data": {"use": "orchard", "train": 8, "test": 4},
    "generators": [{"use": "fake-stamps", "name": "stamps"}, {"use": "copy-paste"}],
    "annotators": [{"use": "native"}, {"use": "human", "pre_labels": "native"}, {"use": "teacher", "detector": "hues"}],
    "detectors": [{"use": "fake-hues", "name": "hues"}],
}
STORED = Artifact(Path(), StageRecord())


@pytest.fixture
def plan(store: LocalStore) -> Plan:
    return make_plan(read_suite(SUITE, installed()), installed(), store)


def as_the_whole_plan_says(plan: Plan, state: RunState, running: set[str]) -> tuple[set[str], set[str], int]:
    """The keys of the stages that are left and of those that can start, and the number of complete replicates."""
    left = {stage.key for stage in plan.stages if not state.is_settled(stage)}
    ready = {
        stage.key
        for stage in plan.stages
        if stage.key in left - running
        and not stage.waits
        and all(each.key in state.artifacts for each in stage.needs)
        and all(each.key not in left for each in stage.behind)
    }
    return left, ready, min((plan.replicates.get(key, 0) for key in left), default=len(plan.suite.seeds))


@pytest.mark.parametrize("seed", range(20))
def test_what_can_start_follows_every_change(plan: Plan, store: LocalStore, seed: int) -> None:
    draw, state, running = random.Random(seed), look_up(plan, store), dict[str, Stage]()
    agenda = Agenda(plan, state)
    assert {stage.kind for stage in plan.stages} >= {"ask", "label"}, "some stages are behind others, and some wait for people"
    while agenda.left and (running or agenda.ready or agenda.to_ask()):
        by_the_book = RunState(store, dict(state.artifacts), dict(state.failures), dict(state.blocked), dict(state.waiting))
        assert ({*agenda.left}, {*agenda.ready}, agenda.complete) == as_the_whole_plan_says(plan, by_the_book, {*running})
        assert (by_the_book.blocked, by_the_book.waiting) == (state.blocked, state.waiting)
        assert agenda.is_running == bool(running)
        if asked := agenda.to_ask():
            state.waiting[asked[0].key] = asked[0]
            agenda.look_at(asked[0])
        elif state.artifacts and draw.random() < 0.05:  # a stored result turns out to be damaged
            lost = draw.choice([stage for stage in plan.stages if stage.key in state.artifacts])
            del state.artifacts[lost.key]
            agenda.look_at(lost)
        elif agenda.ready and (not running or draw.random() < 0.6):
            stage = draw.choice([*agenda.ready.values()])
            running[stage.key] = stage
            agenda.start(stage)
        else:
            stage = running.pop(draw.choice([*running]))
            if draw.random() < 0.1:  # its machine was lost: it is to run again
                agenda.end(stage)
                continue
            failed = draw.random() < 0.05
            if failed:
                state.failures[stage.key] = Outcome(error="no")
            else:
                state.artifacts[stage.key] = STORED
            agenda.end(stage)
            if failed and stage.about.refuses:
                agenda.refuse(stage)
    assert not agenda.left
