"""How long an engine takes to hand out a stage: a chain of core stages that do next to nothing, beside one process.

    uv run python tests/performance/bench_engines.py in-process local ray slurm

`ray` starts a cluster on this machine; `slurm` starts a real one, and needs root and Debian's packages (`tests/fakes/slurm_here.py`).
The time of a stage is from its start in the run to its end there, less what it took by its record: dispatch, and the way back.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import Any

FAKES = Path(__file__).parents[1] / "fakes"
sys.path.insert(0, str(FAKES))
os.environ["PYTHONPATH"] = os.pathsep.join([str(FAKES), *filter(None, [os.environ.get("PYTHONPATH")])])

import synthbench  # noqa: E402
from slurm_here import slurm_here  # noqa: E402
from synthbench.execution.listener import Listener  # noqa: E402
from synthbench_fakes import SUITE  # noqa: E402

TABLE = 'jobs = 2\nthreads = 1\nlinger = 60\ngroup_minutes = 60\noptions = ["--oversubscribe"]\n[default]\nminutes = 5\n'


class Watch(Listener):
    """Notes how long each stage took beyond its own time."""

    def __init__(self) -> None:
        self.begun: dict[str, float] = {}
        self.beyond: dict[str, list[float]] = defaultdict(list)

    def started(self, stage: Any) -> None:
        """Notes the start."""
        self.begun[stage.key] = time.perf_counter()

    def finished(self, stage: Any, outcome: Any) -> None:
        """Notes the end."""
        if not outcome.error:
            self.beyond[stage.kind].append(time.perf_counter() - self.begun[stage.key] - outcome.record.seconds)


def measure(engine: str, folder: Path) -> None:
    """Runs the suite of squares with two stages at a time, and prints a line."""
    (folder / "table.toml").write_text(TABLE)
    where: dict[str, Any] = {"in_process": True} if engine == "in-process" else {"engine": engine}
    where |= {"slurm": folder / "table.toml"} if engine == "slurm" else {}
    watch = Watch()
    with slurm_here(folder / "slurm") if engine == "slurm" else nullcontext():
        started = time.perf_counter()
        results = synthbench.run(
            SUITE,
            changes=["replicates=2"],
            store=folder / "store",
            out=None,
            device="cpu",
            workers=2,
            threads=1,
            listener=watch,
            **where,
        )
        took = time.perf_counter() - started
    every = sorted(each for kind in watch.beyond.values() for each in kind)
    core = [each for kind in ("select", "score", "compare", "judge") for each in watch.beyond[kind]]
    print(
        f"{engine:<11} {len(every)} stages, {len(results.failures)} failed, {took:6.1f} s   beyond their own time: median "
        f"{statistics.median(every):.3f} s, 90 % below {every[int(len(every) * 0.9)]:.3f} s; the core's {statistics.median(core):.3f} s"
    )


if __name__ == "__main__":
    for name in sys.argv[1:] or ["in-process", "local", "ray"]:
        with tempfile.TemporaryDirectory() as temporary:
            measure(name, Path(temporary))
