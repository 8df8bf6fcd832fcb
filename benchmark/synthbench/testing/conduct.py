"""Checks of a plugin's side effects: files, output, processes and connections, as the guarded worker logs them.

Not detected: what native code does (a picture that OpenCV opens, a line that C code prints), what a child process does,
and what is undone before the stage ends.
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
    """The guard's log entries of one type, after at least one run of the plugin. Adds `stage`, the stage's name."""
    subject_of(bench).ask(bench)
    return ({**note, "stage": str(note["job"]).split()[0]} for note in bench.sandbox.logged(what))


def reads_only_inputs(bench: Bench) -> None:
    """Fails if a stage read a file of the store that is not one of its inputs."""
    for note in notes(bench, "read"):
        file = Path(note["target"]).relative_to(bench.folder)
        raise Failure(
            f"{note['stage']} reads {file}, which is not one of its inputs: neither a picture of its image sets nor below `fitted` or "
            "`run.workdir`. Such files may contain the boxes of test images",
            bench.innermost(note["places"]),
        )


def scores_are_valid(bench: Bench) -> None:
    """Fails if a score is not finite or not from 0 to 1."""
    for note in notes(bench, "scores"):
        place = bench.innermost(note["places"]) if note["places"] else bench.method(note["stage"])
        raise Failure(f"{note['stage']}: {note['target']}; scores are from 0 to 1", place)


def prints_nothing(bench: Bench) -> None:
    """Fails if the plugin's own code printed to standard output."""
    for note in notes(bench, "print"):
        if bench.owns(note["places"]):
            raise Failure(f"{note['stage']} prints {note['target'][:80]!r}; use run.log", bench.innermost(note["places"]))


def process_is_as_before(bench: Bench) -> None:
    """Fails if a stage left open files, threads, processes, another current folder or changed environment variables.

    A library may keep a file, a thread or a variable for the lifetime of the process. So what the plugin's own code did not
    create is a fault only if there is more of it after each stage, or if it is a file of the store.
    """
    seen: Counter[str] = Counter()
    for note in notes(bench, "leftover"):
        kind = repr((note["process"], note["stage"], note["sort"], note["places"][:1]))
        seen[kind] += 1
        ours = note["sort"] == "an open file" and note["target"].startswith(str(bench.folder))
        if ours or bench.owns(note["places"]) or note["sort"] == "a running process" or seen[kind] > 1:
            place = bench.innermost(note["places"]) if note["places"] else bench.method(note["stage"])
            target = note["target"].removeprefix(f"{bench.folder}/")
            raise Failure(f"{note['stage']} leaves {note['sort']} behind: {target}", place)


def leaves_no_files(bench: Bench) -> None:
    """Fails if a stage wrote, changed or removed files outside its working folder, or wrote a pickle."""
    writes = list(notes(bench, "write"))
    for done in bench.done:
        for path in sorted(done.strays, key=len, reverse=True):  # report a file before the folders created for it
            places: list[Any] = next((note["places"] for note in writes if note["target"] == path and note["job"] == done.label), [])
            what = "created or changed" if Path(path).exists() else "removed"
            raise Failure(f"{done.stage} {what} {Path(path).relative_to(bench.folder)}", bench.innermost(places))
    for note in writes:
        if not note["target"].startswith(str(bench.folder)):
            raise Failure(f"{note['stage']} wrote {note['target']}", bench.innermost(note["places"]))
    for file in bench.store.root.rglob("*"):
        if file.is_file() and is_pickle(file):
            raise Failure(f"{file.name} is a pickle, which can run code when it is loaded; save weights as safetensors", bench.method())


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, or a zip archive of torch that contains one."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    content = path.read_bytes()
    return content.startswith(PICKLED) and content.endswith(b".")


def opens_no_connection(bench: Bench) -> None:
    """Fails if a stage tried to open a network connection."""
    for note in notes(bench, "connection"):
        raise Failure(f"{note['stage']} tried to connect to {note['target']}", bench.innermost(note["places"]))


def reports_progress(bench: Bench) -> None:
    """Fails if no stage reported progress."""
    subject = subject_of(bench)
    subject.ask(bench)
    if not any(done.labels for done in bench.done):
        raise Failure("it reports no progress; wrap its loops in run.track", bench.method(subject.stage))
