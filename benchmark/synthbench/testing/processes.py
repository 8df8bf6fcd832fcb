"""Processes that a check started, and those that they started: known by a variable in their environment. Linux only."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

BENCH = "SYNTHBENCH_BENCH"
"""The variable that names the bench's folder."""
PYTHONS_OWN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Processes that Python keeps for the lifetime of a process that used multiprocessing."""


def processes_of(bench: Path, but: Container[int] = ()) -> dict[int, str]:
    """Number and command of the processes of a bench, the ended ones and those of the process groups `but` aside."""
    mark = f"{BENCH}={bench}".encode()
    found: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) not in but and mark in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it has ended, or is somebody else's
            continue
    return found
