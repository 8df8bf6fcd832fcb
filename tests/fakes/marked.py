"""Processes that tests start, and what those start in turn, known by a mark in their environment."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

MARK = "SYNTHBENCH_TEST_MARK"
needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


def processes(mark: str, word: str = "") -> list[int]:
    """Those with this mark whose command contains the word, the zombies aside."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                marked = f"{MARK}={mark}".encode() in (folder / "environ").read_bytes()
                if marked and word.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:  # it ended, or is somebody else's
                continue
    return found


def stored(store: Path) -> int:
    """How many results a store has."""
    return len([*store.glob("[!b]*/*/*/stage.json")])  # not those in `building`, whose folders vanish while one looks


def wait_for(what: Callable[[], object], seconds: float = 120) -> None:
    """Waits until it happens; fails where it does not within `seconds`."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)
