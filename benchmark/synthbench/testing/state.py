"""What a stage may leave in its process by mistake: open files, threads, child processes, another folder, other variables."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthbench.testing.frames import Place, calling_places, is_standard
from synthbench.testing.processes import PYTHONS_OWN, processes_of

GRACE = 1.0  # seconds that a thread or a child may take to end after its stage
LIBRARIES = (".so", ".py", ".pyc")


@dataclass(frozen=True)
class Left:
    """One thing that a stage left: what sort of thing, which, and the lines that made it, innermost first."""

    sort: str
    which: str
    places: list[Place]


class Causes:
    """Which lines opened files, started processes and changed the environment, as audit hooks heard."""

    def __init__(self) -> None:
        self.opened: dict[str, list[Place]] = {}
        self.started: dict[str, list[Place]] = {}
        self.changed: dict[str, list[Place]] = {}

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """One event of an audit hook."""
        if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
            path = os.path.abspath(os.fspath(arguments[0]))  # noqa: PTH100 - Path.resolve would ask the system, and so be heard
            if not path.endswith(LIBRARIES):
                self.opened[path] = calling_places()
        elif event == "subprocess.Popen":
            self.started[" ".join(map(str, arguments[1])) if not isinstance(arguments[1], str) else arguments[1]] = calling_places()
        elif event in ("os.fork", "os.posix_spawn"):
            self.started[""] = calling_places()
        elif event == "os.chdir":
            self.changed["."] = calling_places()
        elif event in ("os.putenv", "os.unsetenv"):
            self.changed[os.fsdecode(arguments[0])] = calling_places()


class State:
    """The state of this process before a stage. `bench`: the folder whose processes count."""

    def __init__(self, bench: Path) -> None:
        self.bench = bench
        self.folder = str(Path.cwd())
        self.variables = dict(os.environ)
        self.files = open_files()
        self.threads = set(threading.enumerate())
        self.processes = processes_of(bench)

    def left(self, causes: Causes) -> Iterator[Left]:
        """What differs now, after a second of grace for what is about to end. The current folder is put back."""
        deadline = time.monotonic() + GRACE
        if self._new_files() or self._new_threads():
            gc.collect()  # what is held by nothing but a cycle is closed some time later
        while (self._new_threads() or self._new_processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for path in self._new_files():
            yield Left("an open file", path, causes.opened.get(path, []))
        frames = sys._current_frames()
        for thread in self._new_threads():
            yield Left("a running thread", thread.name, places_of(thread, frames))
        for number, command in self._new_processes().items():
            yield Left("a running process", command or str(number), causes.started.get(command, causes.started.get("", [])))
        if (folder := str(Path.cwd())) != self.folder:
            yield Left("another current folder", folder, causes.changed.get(".", []))
            os.chdir(self.folder)
        for name in sorted(self.variables.keys() | os.environ.keys()):
            if self.variables.get(name) != os.environ.get(name):
                yield Left("a changed environment variable", name, causes.changed.get(name, []))

    def _new_files(self) -> list[str]:
        return [path for number, path in open_files().items() if self.files.get(number) != path]

    def _new_threads(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread not in self.threads]

    def _new_processes(self) -> dict[int, str]:
        found = processes_of(self.bench)
        return {
            number: command
            for number, command in found.items()
            if number not in (*self.processes, os.getpid()) and not any(own in command for own in PYTHONS_OWN)
        }


def open_files() -> dict[int, str]:
    """The files that this process has open, by descriptor; nothing is known but on Linux."""
    found = {}
    for each in Path("/proc/self/fd").glob("*"):
        try:
            path = str(each.readlink())
        except OSError:  # the one that lists the folder
            continue
        if path.startswith("/") and not path.startswith(("/dev/", "/proc/", "/memfd:")) and not path.endswith(LIBRARIES):
            found[int(each.name)] = path
    return found


def places_of(thread: threading.Thread, frames: Mapping[int, Any]) -> list[Place]:
    """The lines that a thread is at, or the function that it runs."""
    places = calling_places(frames.get(thread.ident or 0))
    target = getattr(thread, "_target", None) or type(thread).run
    code = getattr(target, "__code__", None)
    if not places and code is not None and not is_standard(code.co_filename):
        places = [(code.co_filename, code.co_firstlineno)]
    return places
