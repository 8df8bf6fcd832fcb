"""Checks of what a plugin did beside its work: files, output, processes and connections, as the guard heard of them.

What cannot be told: what native code does by itself (a picture that OpenCV opens, a line that C prints), what a child
process does, and what is put back before the stage ends.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthbench.testing.bench import Bench
from synthbench.testing.checks import Failure
from synthbench.testing.subjects import subject_of

PICKLED = tuple(bytes([0x80, protocol]) for protocol in (2, 3, 4, 5))
LATER = ("predict", "sample", "locate")


def notes(bench: Bench, what: str) -> Iterator[dict[str, Any]]:
    """What the guard noted of that sort, after the plugin has worked at least once; `stage` is the stage's name."""
    subject_of(bench).ask(bench)
    return ({**note, "stage": str(note["job"]).split()[0]} for note in bench.sandbox.heard(what))


def reads_what_it_is_given(bench: Bench) -> None:
    """Looks for files of the harness that a stage read without having been given them."""
    for note in notes(bench, "read"):
        file = Path(note["target"]).relative_to(bench.folder)
        raise Failure(
            f"{note['stage']} reads {file}, which it was not given: neither a picture of its image sets nor below `fitted` or "
            "`run.workdir`. Boxes of test images may lie there",
            bench.innermost(note["places"]),
        )


def scores_are_shares(bench: Bench) -> None:
    """Looks for scores that are not finite, or not from 0 to 1."""
    for note in notes(bench, "scores"):
        place = bench.innermost(note["places"]) if note["places"] else bench.method(note["stage"])
        raise Failure(f"{note['stage']}: {note['target']}; scores are from 0 to 1", place)


def prints_nothing(bench: Bench) -> None:
    """Looks for what the plugin's own code printed to standard output."""
    for note in notes(bench, "print"):
        if bench.owns(note["places"]):
            raise Failure(f"{note['stage']} prints {note['target'][:80]!r}; use run.log", bench.innermost(note["places"]))


def process_is_as_before(bench: Bench) -> None:
    """Looks for open files, threads, processes, another folder and changed variables that stages left in their process.

    A library may keep a file, a thread or a variable for as long as the process lives: what the plugin's own code has not
    made is a fault only where it becomes more with each stage, or where it is a file of the harness.
    """
    seen: Counter[str] = Counter()
    for note in notes(bench, "left"):
        kind = repr((note["process"], note["stage"], note["sort"], note["places"][:1]))
        seen[kind] += 1
        ours = note["sort"] == "an open file" and note["target"].startswith(str(bench.folder))
        if ours or bench.owns(note["places"]) or note["sort"] == "a running process" or seen[kind] > 1:
            place = bench.innermost(note["places"]) if note["places"] else bench.method(note["stage"])
            target = note["target"].removeprefix(f"{bench.folder}/")
            raise Failure(f"{note['stage']} leaves {note['sort']} behind: {target}", place)


def leaves_nothing(bench: Bench) -> None:
    """Looks for files that stages left or changed outside their working folders, and for pickles within."""
    writes = list(notes(bench, "write"))
    for done in bench.done:
        for path in sorted(done.strays, key=len, reverse=True):  # a file before the folders that were made for it
            places: list[Any] = next((note["places"] for note in writes if note["target"] == path and note["job"] == done.label), [])
            what = "left or changed" if Path(path).exists() else "took away"
            raise Failure(f"{done.stage} {what} {Path(path).relative_to(bench.folder)}", bench.innermost(places))
    for note in writes:
        if not note["target"].startswith(str(bench.folder)):
            raise Failure(f"{note['stage']} wrote {note['target']}", bench.innermost(note["places"]))
    for file in bench.store.root.rglob("*"):
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
    for note in notes(bench, "connection"):
        raise Failure(f"{note['stage']} asked for a connection to {note['target']}", bench.innermost(note["places"]))


def tells_progress(bench: Bench) -> None:
    """Looks for progress in any stage."""
    subject = subject_of(bench)
    subject.ask(bench)
    if not any(done.labels for done in bench.done):
        raise Failure("it says nothing of how far it is; pass what it goes through to run.track", bench.method(subject.stage))
