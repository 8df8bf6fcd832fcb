"""Checks for all kinds of plugins: they load fast, work, and give the same result for the same seed."""

from __future__ import annotations

import json
import subprocess
import sys

from synthbench.testing.bench import Bench
from synthbench.testing.checks import Failure, Skip
from synthbench.testing.conduct import notes
from synthbench.testing.subject import NOTHING, SAME_SEED, difference, has_content
from synthbench.testing.subjects import subject_of


def imports_fast(bench: Bench) -> None:
    """Loads its entry points in a new process that records imports."""
    command = [sys.executable, "-P", "-m", "synthbench.testing.loading", bench.found.distribution]
    process = subprocess.run(command, capture_output=True, text=True, timeout=bench.timeout, check=False)
    if process.returncode:
        raise Failure("a new process cannot load it", bench.home, process.stderr)
    for library, places in json.loads(process.stdout).items():
        raise Failure(f"importing it imports {library}, which is slow; import it inside the methods", bench.innermost(places))


def works(bench: Bench) -> None:
    """Runs the plugin and checks its boxes. If this fails, no other stage is run. Empty boxes are dropped, as HOOKS.md says."""
    subject = subject_of(bench)
    answer = subject.ask(bench)
    for note in notes(bench, "boxes"):
        place = bench.innermost(note["places"]) if note["places"] else bench.method(note["stage"])
        raise Failure(f"{note['stage']}: {note['target']}", place)
    if not has_content(answer):
        raise Failure(NOTHING, bench.method(subject.stage))


def same_seed(bench: Bench) -> None:
    """Runs it twice with the same seed, with another seed in between."""
    subject = subject_of(bench)
    first, _, again = subject.ask(bench), subject.ask(bench, seed=1), subject.ask(bench, turn=1)
    subject.same(bench, first, again, "the same seed gives another result the second time", bench.method(subject.stage))


def another_seed(bench: Bench) -> None:
    """Runs it with two seeds."""
    subject = subject_of(bench)
    place = bench.method(subject.stage)
    if SAME_SEED in bench.failures:
        raise Skip.after(SAME_SEED)
    gap = difference(subject.ask(bench), subject.ask(bench, seed=1))
    if bench.seeded and not gap:
        raise Failure("another seed gives exactly the same result; if nothing is random, set `seeded: ClassVar[bool] = False`", place)
    if not bench.seeded and gap:
        raise Failure(f"`seeded` is False, but another seed gives another result: {gap}", place)
