"""Checks for plugins of every kind: whether they load, work, and give the same for the same seed."""

from __future__ import annotations

import json
import subprocess
import sys

from synthbench.testing.bench import Bench
from synthbench.testing.checks import Failure, Skip
from synthbench.testing.conduct import notes
from synthbench.testing.subject import NOTHING, SAME_SEED, difference, says_something
from synthbench.testing.subjects import subject_of


def loads_lightly(bench: Bench) -> None:
    """Loads its entry points in a fresh process that notes who imports what."""
    command = [sys.executable, "-P", "-m", "synthbench.testing.loading", bench.found.distribution]
    told = subprocess.run(command, capture_output=True, text=True, timeout=bench.timeout, check=False)
    if told.returncode:
        raise Failure("a fresh process cannot load it", bench.home, told.stderr)
    for library, places in json.loads(told.stdout).items():
        raise Failure(f"loading it imports {library}, which takes long; import it inside the methods", bench.innermost(places))


def works(bench: Bench) -> None:
    """Asks once, and looks at its boxes; where that fails no other stage is run. Boxes without size are dropped, as HOOKS.md says."""
    subject = subject_of(bench)
    answer = subject.ask(bench)
    for note in notes(bench, "boxes"):
        place = bench.innermost(note["places"]) if note["places"] else bench.method(note["stage"])
        raise Failure(f"{note['stage']}: {note['target']}", place)
    if not says_something(answer):
        raise Failure(NOTHING, bench.method(subject.stage))


def same_seed(bench: Bench) -> None:
    """Asks twice with the same seed, with other work in between."""
    subject = subject_of(bench)
    first, _, again = subject.ask(bench), subject.ask(bench, seed=1), subject.ask(bench, turn=1)
    subject.same(bench, first, again, "the same seed a second time gives something else", bench.method(subject.stage))


def another_seed(bench: Bench) -> None:
    """Asks with two seeds."""
    subject = subject_of(bench)
    place = bench.method(subject.stage)
    if SAME_SEED in bench.failures:
        raise Skip.after(SAME_SEED)
    gap = difference(subject.ask(bench), subject.ask(bench, seed=1))
    if bench.seeded and not gap:
        raise Failure("another seed gives the very same; if nothing is random, say `seeded: ClassVar[bool] = False`", place)
    if not bench.seeded and gap:
        raise Failure(f"`seeded` says that nothing is random, but another seed gives something else: {gap}", place)
