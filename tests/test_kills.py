"""Kills at random moments: a worker's costs the stage that it was at, the runner's costs nothing that was finished."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from marked import MARK, needs_proc, processes, wait_for
from msgspec import structs
from synthbench.execution.engines import Engine, InProcess
from synthbench.execution.runner import Conditions, Runner
from synthbench.execution.state import RunState
from synthbench.execution.worker_process import Worker, worker_command
from synthbench.planning.planner import Plan, make_plan
from synthbench.planning.stage import Stage
from synthbench.registry import installed
from synthbench.results.collect import collect
from synthbench.storage.local import LocalStore
from synthbench.suite.reader import read_suite
from synthbench_fakes import SUITE

if TYPE_CHECKING:
    from synthbench.execution.jobs import Outcome
    from synthbench.execution.stage_run import Event

Undisturbed = tuple[Plan, list[object]]
WAIT = 0.04  # seconds at most between a stage's beginning and the kill; most stages take less
SLOW = (
    'baselines=["references"]',
    "mix=[]",
    "generators.paint.slow=0.02",
    "detectors.threshold.slow=0.06",
    "detectors.strict.slow=0.06",
)


class Striker:
    """Kills a worker some seconds after a run has begun its `begun`-th stage."""

    def __init__(self, victim: Worker | None = None, begun: int = 0, delay: float = 0.0) -> None:
        self.victim, self.begun, self.delay = victim, begun, delay

    def started(self, stage: Stage) -> None:
        self.begun -= 1
        if self.begun == 0:
            threading.Timer(self.delay, self.strike).start()

    def strike(self) -> None:
        if self.victim is not None and self.victim.process is not None:
            self.victim.process.send_signal(signal.SIGKILL)

    def heard(self, stage: Stage, event: Event) -> None: ...
    def finished(self, stage: Stage, outcome: Outcome) -> None: ...


def carry_out(plan: Plan, store: LocalStore, engines: list[Engine], striker: Striker | None = None) -> RunState:
    return Runner(plan, store, engines, striker or Striker(), Conditions(device="cpu", timeout=120.0)).run()


def scores(plan: Plan, state: RunState) -> list[object]:
    """Every figure of a run that must not differ between two."""
    found = collect(plan, state)
    cells = [structs.replace(cell, train_seconds=0.0, predict_seconds=0.0) for cell in found.cells]
    return [*cells, *found.judged, *found.generated]


def wait_until_swept(store: LocalStore, suffixes: set[str]) -> None:
    """Sweeps until nothing but these is left half built: a killed process takes a moment to be gone."""

    def swept() -> bool:
        store.sweep()
        return {each.suffix for each in (store.root / "building").iterdir()} <= suffixes

    wait_for(swept)


def needing(plan: Plan, lost: set[str]) -> set[str]:
    """The keys of the stages that need one of these, at whatever distance."""
    found: set[str] = set()
    for stage in plan.stages:  # what a stage needs comes before it
        if any(each.key in found | lost for each in stage.needs):
            found.add(stage.key)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The plan, and the figures of a run in which nothing is killed."""
    store = LocalStore(tmp_path_factory.mktemp("undisturbed"))
    plan = make_plan(read_suite(SUITE, installed(), SLOW), installed(), store)
    return plan, scores(plan, carry_out(plan, store, [InProcess(store)]))


def test_a_worker_killed_at_any_moment_costs_one_stage(undisturbed: Undisturbed, tmp_path: Path) -> None:
    plan, figures = undisturbed
    draw = random.Random(8)
    lost: Counter[str] = Counter()
    for number in range(20):
        store = LocalStore(tmp_path / f"{number}")
        engines = [Worker(tmp_path / f"{number}-{each}.log", 1, True, worker_command(sys.executable, store.address)) for each in "ab"]
        striker = Striker(draw.choice(engines), draw.randint(1, len(plan.stages)), draw.uniform(0, WAIT))
        state = carry_out(plan, store, [*engines], striker)

        assert len(state.failures) <= 1
        assert all("was killed (SIGKILL" in outcome.error for outcome in state.failures.values())
        blocked = needing(plan, set(state.failures))
        assert state.blocked.keys() == blocked
        assert state.artifacts.keys() == {stage.key for stage in plan.stages} - blocked - state.failures.keys()
        kinds = [stage.kind for stage in plan.stages if stage.key in state.failures]
        lost.update(kinds)
        wait_until_swept(store, {".partial"} if "fit" in kinds else set())  # a fit goes on from what it left

        again = carry_out(plan, store, [InProcess(store)])
        assert again.cached == state.artifacts.keys(), "nothing is done twice"
        assert not again.failures
        assert scores(plan, again) == figures
    assert lost.total() >= 10, f"most kills are to hit a stage, not {dict(lost)}"
    assert len(lost) >= 3, f"stages of several kinds are to be hit, not {dict(lost)}"


def wait_for_end(mark: str) -> None:
    wait_for(lambda: not processes(mark))


def wait_for_stages(store: Path, count: int) -> None:
    wait_for(lambda: len([*store.glob("*/*/*/stage.json")]) >= count)


@needs_proc
def test_a_runner_killed_at_any_moment_leaves_no_worker_and_goes_on(undisturbed: Undisturbed, tmp_path: Path) -> None:
    plan, figures = undisturbed
    draw = random.Random(5)
    seen, finished = [], []
    for number in range(5):
        mark, folder = uuid.uuid4().hex, tmp_path / f"{number}"
        changes = [part for change in SLOW for part in ("--set", change)]
        command = [
            sys.executable,
            "-m",
            "synthbench",
            "run",
            str(SUITE),
            "--store",
            str(folder),
            "--device",
            "cpu",
            "--workers",
            "2",
            *changes,
        ]
        run = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, MARK: mark}, stdout=subprocess.DEVNULL)
        wait_for_stages(folder, draw.randint(1, len(plan.stages) - 1))
        time.sleep(draw.uniform(0, WAIT))
        seen.append(len(processes(mark)))
        run.kill()
        run.wait()
        wait_for_end(mark)

        store = LocalStore(folder)
        wait_until_swept(store, {".partial"})
        again = carry_out(plan, store, [InProcess(store)])
        assert not again.failures
        assert scores(plan, again) == figures
        finished.append(len(again.cached))
    assert max(seen) == 3, "the run and its workers"
    assert any(0 < each < len(plan.stages) for each in finished), "kills are to come in the midst of runs"
