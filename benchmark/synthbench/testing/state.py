"""Detects what a stage leaves behind in its process: open files, threads, child processes, changed folder and variables."""

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

GRACE = 1.0  # seconds that a thread or child process has to end after its stage
LIBRARIES = (".so", ".py", ".pyc")


@dataclass(frozen=True)
class Leftover:
    """Something that a stage left behind: its sort, its name, and the lines that created it, innermost first."""

    sort: str
    name: str
    places: list[Place]


class Causes:
    """Which lines opened files, started processes and changed the environment, recorded by an audit hook."""

    def __init__(self) -> None:
        self.opened: dict[str, list[Place]] = {}
        self.started: dict[str, list[Place]] = {}
        self.changed: dict[str, list[Place]] = {}

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Records one event of the audit hook."""
        if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
            path = os.path.abspath(os.fspath(arguments[0]))  # noqa: PTH100 - Path.resolve would trigger the audit hook
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
    """The state of this process before a stage. bench: the folder whose processes are checked."""

    def __init__(self, bench: Path) -> None:
        self.bench = bench
        self.folder = str(Path.cwd())
        self.variables = dict(os.environ)
        self.files = open_files()
        self.threads = set(threading.enumerate())
        self.processes = processes_of(bench)

    def leftovers(self, causes: Causes) -> Iterator[Leftover]:
        """Yields what has changed, after waiting `GRACE` seconds for threads and processes to end. Restores the current folder."""
        deadline = time.monotonic() + GRACE
        if self._new_files() or self._new_threads():
            gc.collect()  # files and threads in reference cycles are closed only by a collection
        while (self._new_threads() or self._new_processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for path in self._new_files():
            yield Leftover("an open file", path, causes.opened.get(path, []))
        frames = sys._current_frames()
        for thread in self._new_threads():
            yield Leftover("a running thread", thread.name, places_of(thread, frames))
        for number, command in self._new_processes().items():
            yield Leftover("a running process", command or str(number), causes.started.get(command, causes.started.get("", [])))
        if (folder := str(Path.cwd())) != self.folder:
            yield Leftover("another current folder", folder, causes.changed.get(".", []))
            os.chdir(self.folder)
        for name in sorted(self.variables.keys() | os.environ.keys()):
            if self.variables.get(name) != os.environ.get(name):
                yield Leftover("a changed environment variable", name, causes.changed.get(name, []))

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
    """The open files of this process by descriptor; always empty on systems other than Linux."""
    found = {}
    for each in Path("/proc/self/fd").glob("*"):
        try:
            path = str(each.readlink())
        except OSError:  # the descriptor with which glob lists the folder
            continue
        if path.startswith("/") and not path.startswith(("/dev/", "/proc/", "/memfd:")) and not path.endswith(LIBRARIES):
            found[int(each.name)] = path
    return found


def places_of(thread: threading.Thread, frames: Mapping[int, Any]) -> list[Place]:
    """The call stack of a thread, or the first line of the function that it runs."""
    places = calling_places(frames.get(thread.ident or 0))
    target = getattr(thread, "_target", None) or type(thread).run
    code = getattr(target, "__code__", None)
    if not places and code is not None and not is_standard(code.co_filename):
        places = [(code.co_filename, code.co_firstlineno)]
    return places
