"""How long a person waits for the command line: whole processes, medians, beside a bare interpreter.

    uv run python tests/performance/bench_cli.py [SUITE] [SET ...]

With a suite that was run before, in the folder where it was run, also the same run again with everything cached.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 9
SYNTHBENCH = Path(sys.executable).with_name("synthbench")


def seconds(command: list[str]) -> float:
    """The median wall time of a command over `RUNS` runs, after one that is not counted."""
    times = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    """Prints a line for each command."""
    bare = seconds([sys.executable, "-c", "pass"])
    commands = {"--help": ["--help"], "plugins": ["plugins"]}
    if len(sys.argv) > 1:
        commands["run, all cached"] = ["run", sys.argv[1], *(part for change in sys.argv[2:] for part in ("--set", change))]
    print(f"{'python -c pass':<20} {bare:6.3f} s")
    for name, arguments in commands.items():
        took = seconds([str(SYNTHBENCH), *arguments])
        print(f"{name:<20} {took:6.3f} s  {took / bare:5.1f} x bare")


if __name__ == "__main__":
    main()
