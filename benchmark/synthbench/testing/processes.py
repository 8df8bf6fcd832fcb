"""The processes that a check started, and their child processes, found by an environment variable. Linux only."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from synthbench.execution.processes import processes_with

BENCH = "SYNTHBENCH_BENCH"
"""The environment variable that contains the bench's folder."""
PYTHONS_OWN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Processes that Python keeps running until a process that used multiprocessing ends."""


def processes_of(bench: Path, excluded: Container[int] = ()) -> dict[int, str]:
    """Id and command of the running processes of a bench, except those in the process groups `excluded`."""
    return processes_with(BENCH, str(bench), excluded)
