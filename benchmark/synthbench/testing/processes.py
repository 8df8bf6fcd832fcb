"""The processes that a check started, and their child processes, found by an environment variable. Linux only."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

BENCH = "SYNTHBENCH_BENCH"
"""The environment variable that contains the bench's folder."""
PYTHONS_OWN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Processes that Python keeps running until a process that used multiprocessing ends."""


def processes_of(bench: Path, excluded: Container[int] = ()) -> dict[int, str]:
    """Id and command of the running processes of a bench, except those in the process groups `excluded`."""
    mark = f"{BENCH}={bench}".encode()
    found: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) not in excluded and mark in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it has ended, or belongs to another user
            continue
    return found
