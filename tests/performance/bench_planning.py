"""Times what the runner does beside the stages: planning, picking stages, and a run with nothing to do.

Run by hand: `PYTHONPATH=tests/fakes python tests/performance/bench_planning.py`. The goals are 5 s to plan 10,000 cells, 2 s for a run of
1,000 cells that are all in the store and reported, and 0.5 s a stage for handing it out.
"""

from __future__ import annotations

import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synthbench.execution.conditions import Conditions
from synthbench.execution.engines import InProcess
from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.listener import Listener
from synthbench.execution.runner import Runner
from synthbench.experiment import Experiment
from synthbench.planning.making import make_plan
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
            with timed(f"plan {cells} cells"):
                experiment = Experiment(suite, store=Path(folder, f"{cells}"))
            with timed("  simulate it on 64 machines"):
                simulate(experiment.plan, dict.fromkeys((stage.key for stage in experiment.plan.stages), 1.0), 64)
            if cells == 1_000:
                with timed("  hand out its stages, which do nothing", len(experiment.plan.stages)):
                    Runner(experiment.plan, experiment.store, [Instant(experiment.store)], Listener(), Conditions()).run()
        suite, store, out = suite_of(1_000), Path(folder, "warm"), Path(folder, "reports")
        experiment = Experiment(suite, store=store)
        with timed("run 1000 cells in this process", len(experiment.plan.stages)):
            Runner(experiment.plan, experiment.store, [InProcess(experiment.store)], Listener(), Conditions()).run()
        with timed("  plan them again, with everything in the store"):
            experiment = Experiment(suite, store=store)
        assert len(experiment.cached) == len(experiment.plan.stages)
        with timed("  report them"):
            experiment.run(out=out)
        with timed("  plan them again, and see that all is reported"):
            experiment = Experiment(suite, store=store)
            assert not experiment.changed_plugins
            assert experiment.is_reported(out)


@contextmanager
def timed(what: str, stages: int = 0) -> Iterator[None]:
    """Prints how long something took: wall time, and the processor's, which other work on the machine stretches less.

    stages: their number, where the time of each is of interest.
    """
    wall, processor = time.perf_counter(), time.process_time()
    yield
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    each = f"   {stages} stages: each {wall / stages:.4f} s, {processor / stages:.4f} s" if stages else ""
    sys.stdout.write(f"{what:<50} wall {wall:6.2f} s, processor {processor:6.2f} s{each}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
