"""Times what the runner does beside the stages: planning, picking stages, and a run with nothing to do.

Run by hand: `PYTHONPATH=tests/fakes python tests/performance/bench_planning.py`. The goals are 5 s to plan 10,000 cells, 2 s for a run of
1,000 cells that are all in the store, and 0.5 s a stage for handing it out.
"""

from __future__ import annotations

import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthbench.execution.engines import InProcess
from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.runner import Conditions, Runner
from synthbench.experiment import Experiment, Silent
from synthbench.planning.planner import make_plan
from synthbench.planning.schedule import simulate
from synthbench.registry import installed
from synthbench.storage.local import LocalStore
from synthbench.storage.store import StageRecord
from synthbench.suite.reader import read_suite
from synthbench_fakes import SUITE


class Instant(InProcess):
    """Stores an empty result at once."""

    def run(self, job: Job, emit: Callable[[Any], None], timeout: float) -> Outcome:
        """Stores it."""
        with self.store.build(job.kind, job.key) as build:
            return Outcome(record=build.publish(StageRecord(label=job.label, **job.about)).record)


def suite_of(cells: int) -> dict[str, Any]:
    """The suite of the tests with about so many cells."""
    content = tomllib.loads(Path(SUITE).read_text())
    once = len(make_plan(read_suite(content, installed()), installed(), LocalStore(Path(tempfile.mkdtemp()))).cells)
    seeds = len(content["seeds"]) if isinstance(content.get("seeds"), list) else content.get("replicates", 1)
    content.pop("seeds", None)
    return content | {"replicates": max(1, round(cells / once * seeds))}


def main() -> None:
    """Prints a line for each."""
    with tempfile.TemporaryDirectory() as folder:
        for cells in (1_000, 10_000):
            suite = suite_of(cells)
            started = time.perf_counter()
            experiment = Experiment(suite, store=Path(folder, f"{cells}"))
            say(f"plan {len(experiment.plan.cells)} cells, {len(experiment.plan.stages)} stages", started)
            started = time.perf_counter()
            simulate(experiment.plan, dict.fromkeys((stage.key for stage in experiment.plan.stages), 1.0), 64)
            say("  simulate it on 64 machines", started)
            if cells > 1_000:
                continue
            started = time.perf_counter()
            Runner(experiment.plan, experiment.store, [Instant(experiment.store)], Silent(), Conditions()).run()
            taken = say("  hand out its stages, which do nothing", started)
            sys.stdout.write(f"  that is {taken / len(experiment.plan.stages):.4f} s a stage\n")
            started = time.perf_counter()
            again = Experiment(suite, store=Path(folder, f"{cells}"))
            assert len(again.cached) == len(again.plan.stages)
            say("  plan it again, with everything in the store", started)


def say(what: str, started: float) -> float:
    """Prints how long something took, and returns it."""
    taken = time.perf_counter() - started
    sys.stdout.write(f"{what:<60} {taken:6.2f} s\n")
    return taken


if __name__ == "__main__":
    main()
