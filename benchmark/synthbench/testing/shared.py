"""Checks for plugins of every kind, and those for all that learn."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthbench.contract.options import option_values
from synthbench.contract.stages import PluginKind
from synthbench.testing.annotators import ANNOTATORS
from synthbench.testing.bench import Bench
from synthbench.testing.checks import Failure, Skip
from synthbench.testing.detectors import DETECTORS
from synthbench.testing.generators import GENERATORS
from synthbench.testing.options import another_value
from synthbench.testing.sources import SOURCES
from synthbench.testing.subject import NOTHING, Subject, difference, says_something

SUBJECTS: Mapping[PluginKind, Subject] = {"data-source": SOURCES, "generator": GENERATORS, "annotator": ANNOTATORS, "detector": DETECTORS}
SECOND: Mapping[str, str] = {"fit": "sample", "train": "predict"}
PATIENCE = 15.0  # seconds from Ctrl-C to the end of the process
PICKLED = tuple(bytes([0x80, protocol]) for protocol in (2, 3, 4, 5))


def loads_lightly(bench: Bench) -> None:
    """Loads its entry points in a fresh process that notes who imports what."""
    command = [sys.executable, "-P", "-m", "synthbench.testing.loading", bench.found.distribution]
    told = subprocess.run(command, capture_output=True, text=True, timeout=bench.timeout, check=False)
    if told.returncode:
        raise Failure("a fresh process cannot load it", bench.home, told.stderr)
    for library, places in json.loads(told.stdout).items():
        raise Failure(f"loading it imports {library}, which takes long; import it inside the methods", bench.innermost(places))


def works(bench: Bench) -> None:
    """Asks once; where that fails nothing else is tried."""
    from synthbench.execution.stages import DROPPED

    subject = SUBJECTS[bench.found.kind]
    try:
        answer = subject.ask(bench)
        dropped = [(done.stage, note) for done in bench.done for note in done.outcome.notes if note.endswith(DROPPED)]
        for stage, note in dropped:
            raise Failure(f"{stage}: {note}", bench.method(stage))
        if not says_something(answer):
            raise Failure(NOTHING, bench.method(subject.stage))
    except Failure as failure:
        bench.useless = f"it does not work: {failure.reason}"
        raise


def same_seed(bench: Bench) -> None:
    """Asks twice with the same seed, with other work in between."""
    subject = SUBJECTS[bench.found.kind]
    first, _, again = subject.ask(bench), subject.ask(bench, seed=1), subject.ask(bench, turn=1)
    subject.same(first, again, "the same seed a second time gives something else", bench.method(subject.stage))


def another_seed(bench: Bench) -> None:
    """Asks with two seeds."""
    subject = SUBJECTS[bench.found.kind]
    place = bench.method(subject.stage)
    gap = difference(subject.ask(bench), subject.ask(bench, seed=1))
    if bench.seeded and not gap:
        raise Failure("another seed gives the very same; if nothing is random, say `seeded: ClassVar[bool] = False`", place)
    if not bench.seeded and gap:
        raise Failure(f"`seeded` says that nothing is random, but another seed gives something else: {gap}", place)


def late_options(bench: Bench) -> None:
    """Learns with other values of the options that are marked as the later stage's."""
    plugin, subject = bench.plugin, SUBJECTS[bench.found.kind]
    options, changed = dict(bench.options), []
    for name in sorted(bench.options.keys() - option_values(plugin, ()).keys()):
        value = another_value(bench.found.cls, name, getattr(plugin, name), options)
        if value is not None:
            options[name] = value
            changed.append(name)
    if not changed:
        raise Skip("it has no options of its later stage")
    when = f"other values of the later stage's options ({', '.join(changed)}) make it learn something else"
    subject.same(subject.ask(bench), subject.ask(bench, options=options), when, bench.method(subject.stage))


def fresh_process(bench: Bench) -> None:
    """Asks the process that has learnt, and one that has not."""
    subject = SUBJECTS[bench.found.kind]
    warm, learnt = subject.ask(bench), subject.learn(bench)
    if bench.process == learnt.process:
        bench.renew()
    fresh = subject.use(bench, learnt.folder, subject.usual, 0)
    subject.same(warm, fresh, "a fresh process gives something else with what was learnt", bench.method(SECOND[subject.stage]))


def leaves_nothing(bench: Bench) -> None:
    """Looks for files that stages left or changed outside their working folders, and for pickles within."""
    SUBJECTS[bench.found.kind].ask(bench)
    writes = list(bench.sandbox.heard("write"))
    for done in bench.done:
        for path in sorted(done.strays, key=len, reverse=True):  # a file before the folders that were made for it
            places: list[Any] = next((note["places"] for note in writes if note["target"] == path and note["job"] == done.label), [])
            what = "left or changed" if Path(path).exists() else "took away"
            raise Failure(f"{done.stage} {what} {Path(path).relative_to(bench.folder)}", bench.innermost(places))
    for note in writes:
        if not note["target"].startswith(str(bench.folder)):
            raise Failure(f"{note['job'].split()[0]} wrote {note['target']}", bench.innermost(note["places"]))
    for file in (bench.folder / "work").rglob("*"):
        if file.is_file() and is_pickle(file):
            raise Failure(f"{file.name} is a pickle, which runs code when it is opened; weights are safetensors", bench.method())


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, or torch's archive of one."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    content = path.read_bytes()
    return content.startswith(PICKLED) and content.endswith(b".")


def opens_no_connection(bench: Bench) -> None:
    """Looks for connections that were asked for."""
    SUBJECTS[bench.found.kind].ask(bench)
    for note in bench.sandbox.heard("connection"):
        raise Failure(f"{note['job'].split()[0]} asked for a connection to {note['target']}", bench.innermost(note["places"]))


def tells_progress(bench: Bench) -> None:
    """Looks for progress in any stage."""
    subject = SUBJECTS[bench.found.kind]
    subject.ask(bench)
    if not any(done.labels for done in bench.done):
        raise Failure("it says nothing of how far it is; pass what it goes through to run.track", bench.method(subject.stage))


def last_label(bench: Bench) -> str:
    """The last label under which the longest stage told its progress, empty where it told none."""
    subject = SUBJECTS[bench.found.kind]
    subject.ask(bench)
    first = next(done for done in bench.done if done.stage == subject.stage and not done.outcome.error)
    return first.labels[-1] if first.labels else ""


def stops_on_interrupt(bench: Bench) -> None:
    """Interrupts the longest stage as Ctrl-C does, and waits for the process to end."""
    subject = SUBJECTS[bench.found.kind]
    done, struck = bench.strike("interrupt", subject.stage, subject.views(bench, subject.usual), last_label(bench))
    if struck is None:
        raise Skip(f"{subject.stage} was done before it could be interrupted")
    process = bench.worker.process
    assert process is not None, "it has done a job"
    if done.hung or time.time() - struck > PATIENCE:
        raise Failure(f"{subject.stage} did not end within {PATIENCE:g} s of Ctrl-C", bench.method(subject.stage))
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        ended = f"failed as if by itself: {done.outcome.error}" if done.outcome.error else "went on to its end"
        raise Failure(f"{subject.stage} swallowed Ctrl-C and {ended}", bench.failed(done).place, done.outcome.trace) from None
    nothing_left(bench, "Ctrl-C", subject.stage)


def crash_is_an_error(bench: Bench) -> None:
    """Kills the longest stage, and has it done again; a fit goes on in the folder it was killed in."""
    subject = SUBJECTS[bench.found.kind]
    whole = subject.ask(bench)
    done, struck = bench.strike("kill", subject.stage, subject.views(bench, subject.usual), last_label(bench))
    if struck is None:
        raise Skip(f"{subject.stage} was done before it could be killed")
    if not done.outcome.error:
        raise Failure(f"{subject.stage} was killed, and passes for done", bench.method(subject.stage))
    nothing_left(bench, "a crash", subject.stage)
    again = subject.ask(bench, turn=2, workdir=done.workdir if subject.stage == "fit" else None)
    subject.same(whole, again, "after a crash it gives something else than before", bench.method(subject.stage))


def out_of_memory_is_an_error(bench: Bench) -> None:
    """Gives the longest stage next to no more memory."""
    if sys.platform != "linux":
        raise Skip("memory can be withheld on Linux only")
    subject = SUBJECTS[bench.found.kind]
    done, struck = bench.strike("starve", subject.stage, subject.views(bench, subject.usual), last_label(bench))
    if struck is None:
        raise Skip(f"{subject.stage} was done before memory could be withheld")
    if done.hung:
        raise Failure(f"{subject.stage} hangs where there is no memory left", bench.method(subject.stage))
    nothing_left(bench, "want of memory", subject.stage)


def nothing_left(bench: Bench, event: str, stage: str) -> None:
    """Raises Failure where a process of the plugin's outlived its worker."""
    deadline = time.monotonic() + 2
    while (left := bench.sandbox.left_running()) and time.monotonic() < deadline:
        time.sleep(0.05)
    if left:
        raise Failure(f"after {event} it leaves a process running: {next(iter(left.values()))}", bench.method(stage))
