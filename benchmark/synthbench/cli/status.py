"""`synthbench status`: where runs are, from what lies in the store."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.cli.progress_words import counted
from synthbench.cli.store import check_exists
from synthbench.cli.tables import one_line
from synthbench.execution.journal import runs_in
from synthbench.storage.leases import STALE
from synthbench.storage.store import is_remote

if TYPE_CHECKING:
    from synthbench.execution.journal import RunSeen

SHOWN = 20  # failed stages


def command(arguments: argparse.Namespace) -> int:
    """`synthbench status`."""
    root = root_of(arguments.store)
    runs = runs_in(root)
    wanted = [run for run in runs if run.going] or runs[:1]
    if arguments.json:
        print_json(runs if arguments.all else wanted)
        return 0
    for run in runs if arguments.all else wanted:
        for line in lines_of(run, time.time()):
            print(line)
    if not runs:
        print(f"no run has left a trace in {root}")
    return 0


def root_of(address: str) -> Path:
    """The folder where this machine keeps journals of runs on a store. Raises SynthbenchError if there is no such store."""
    check_exists(address)
    if not is_remote(address):
        return Path(address)
    from synthbench.storage.remote import RemoteStore

    return RemoteStore(address, trust=True).root  # of its own there is nothing to believe: the journals are this user's


def lines_of(run: RunSeen, now: float) -> list[str]:
    """What there is to say of a run. now: seconds since the epoch."""
    about, done, failed, running = run.about, run.in_state("done"), run.in_state("failed"), run.in_state("running")
    where = f"{about.host}, process {about.process}, {about.engine}"
    first = f"{one_line(about.suite)}: {state_of(run)} ({where}, since {clock(about.at)})"
    counts = [f"{about.stored + len(done)} of {counted(about.total, 'stage')} done"]
    counts += [f"{len(running)} running"] if run.going else []
    counts += [f"{len(failed)} failed"] if failed else []
    lines = [first, f"  {', '.join(counts)}"]
    word = "running" if run.going else "was running"
    lines += [f"  {word} on {each.host}, for {lasted(now - each.at)}: {one_line(each.label)}" for each in running]
    lines += [f"  waits for people: {one_line(each.label)}: {one_line(each.error)}" for each in run.in_state("asked")]
    lines += [f"  failed: {one_line(each.label)}: {one_line(each.error)}" for each in failed[:SHOWN]]
    lines += [f"  and {len(failed) - SHOWN} failed more"] if len(failed) > SHOWN else []
    return lines


def state_of(run: RunSeen) -> str:
    """How a run is, in words."""
    if run.silent:
        return f"no sign of life for more than {lasted(STALE)}; if it was killed, the same command goes on"
    if run.going:
        return "running"
    if run.ended is None:
        return "was killed; the same command goes on"
    return f"ended at {clock(run.ended.at)}" + (f": {one_line(run.ended.error)}" if run.ended.error else "")


def print_json(runs: list[RunSeen]) -> None:
    """The runs, for programs."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(runs)).decode())


def clock(at: float) -> str:
    """A time of this machine's clock."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def lasted(seconds: float) -> str:
    """`2 h 5 min`, `12 min`, `8 s`."""
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(int(seconds // 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
