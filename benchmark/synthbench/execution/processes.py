"""Processes that a worker or a check started, and those that they started, found by an environment variable. Linux only."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path


def processes_with(variable: str, value: str, excluded: Container[int] = ()) -> dict[int, str]:
    """Id and command of the running processes whose environment has this variable, except those in the process groups `excluded`."""
    mark = f"{variable}={value}".encode()
    found: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) not in excluded and mark in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it has ended, or belongs to another user
            continue
    return found
