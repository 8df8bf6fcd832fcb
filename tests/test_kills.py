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
from marked import MARK, needs_proc, processes, stored, wait_for
from msgspec import structs
from synthbench.execution.conditions import Conditions
from synthbench.execution.engines import Engine, InProcess, Workers
from synthbench.execution.listener import Listener
from synthbench.execution.runner import Runner
from synthbench.execution.state import RunState
from synthbench.planning.making import make_plan
from synthbench.planning.plan import Plan
from synthbench.planning.stage import Stage
from synthbench.registry import installed
from synthbench.results.collect import collect
from synthbench.storage.local import LocalStore
from synthbench.suite.reader import read_suite
from synthbench_fakes import SUITE

if TYPE_CHECKING:
    from collections.abc import Sequence


Undisturbed = tuple[Plan, list[object]]
KILLS, PARTS = int(os.environ.get("SYNTHBENCH_TEST_KILLS", "48")), 4  # 200 take five minutes on two cores
WAIT = 0.04  # seconds at most between a stage's beginning and the kill; most stages take less
SLOW = (
    'baselines=["references"]',
    "mix=[]",
    "generators.paint.slow=0.02",
    "detectors.threshold.slow=0.06",
    "detectors.strict.slow=0.06",
)


class Striker(Listener):
    """Kills the workers of an engine a moment after some of the stages of a run have begun."""

    def __init__(self, engines: Sequence[Workers] = (), draw: random.Random | None = None, every: int = 0) -> None:
        self.engines, self.draw, self.every = engines, draw or random.Random(0), every
        self.begun = self.sent = 0

    def started(self, stage: Stage) -> None:
        self.begun += 1
        if self.every and self.begun % self.every == 0:
            threading.Timer(self.draw.uniform(0, WAIT), self.strike).start()

    def strike(self) -> None:
        running = [worker.process for engine in self.engines for worker in [*engine.workers.values()] if worker.process is not None]
        if victims := [process for process in running if process.poll() is None]:
            self.draw.choice(victims).send_signal(signal.SIGKILL)
            self.sent += 1


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


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, PARTS))])
def test_a_worker_killed_at_any_moment_costs_one_stage(undisturbed: Undisturbed, tmp_path: Path, part: int) -> None:
    plan, figures = undisturbed
    draw = random.Random(part)
    lost: Counter[str] = Counter()
    sent = number = 0
    # Until kills of several kinds of stages have hit: on a slow machine many come after their stage.
    while sent < KILLS // PARTS or lost.total() < KILLS // PARTS // 4 or len(lost) < 3:
        number += 1
        assert number <= KILLS, f"many kills are to hit a stage, of several kinds, not {dict(lost)} of {sent}"
        store = LocalStore(tmp_path / f"{number}")
        engines = [Workers(store, tmp_path / f"{number}-{each}.log", 1) for each in "ab"]
        striker = Striker(engines, draw, every=draw.randint(2, 6))
        state = carry_out(plan, store, [*engines], striker)
        sent += striker.sent

        assert len(state.failures) <= striker.sent
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


def wait_for_end(mark: str) -> None:
    wait_for(lambda: not processes(mark))


def wait_for_stages(store: Path, count: int) -> None:
    wait_for(lambda: stored(store) >= count)


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
    assert max(seen) >= 3, "the run and its workers"
    assert any(0 < each < len(plan.stages) for each in finished), "kills are to come in the midst of runs"
