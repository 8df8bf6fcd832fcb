"""A worker under guard: it writes down what a plugin opens, prints, leaves and connects to, and can be interrupted while it works.

    python -m synthbench.testing.guarded

Python tells its audit hooks of files and connections, whichever library asks for them; native code that calls the
system itself, such as OpenCV's `imread`, is not heard. Connections are refused, but for those of processes on this
machine (Unix sockets).
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.stage_run import Event
from synthbench.execution.worker import Perform
from synthbench.storage.local import LEASE
from synthbench.storage.store import Store
from synthbench.testing.frames import Place, calling_places
from synthbench.testing.processes import BENCH
from synthbench.testing.state import Causes, State
from synthbench.testing.watching import Watch, watched

LOG, STRIKE, DAMAGED = "guard.jsonl", "strike", "damaged"
LOOKING_UP = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
CONNECTING = ("socket.connect", "socket.sendto", "socket.sendmsg")
CHANGING = ("os.mkdir", "os.rename", "os.link", "os.symlink")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FREE = ("home", "tmp", "cwd", "logs")  # parts of the bench's folder in which nothing lies that a stage should not see
MOMENT = 1.0  # seconds until a stage that does not say how far it is gets struck
SPARE = 8 << 20  # bytes of memory that a starved stage still gets


class Guard:
    """What one worker does besides its jobs, which `perform` runs."""

    def __init__(self, folder: Path, perform: Perform) -> None:
        self.perform = perform
        self.folder = folder
        self.log = os.open(folder / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.job = ""
        self.own = (f"{folder}/store/", "/dev/", "/proc/")  # what is left in the store is looked at afterwards
        self.damaged = ""
        self.watch = Watch(self.note)
        self.causes = Causes()

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook. Raises ConnectionRefusedError where a connection is asked for."""
        self.causes.hear(event, arguments)
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITING:
                self.changes(path)
            else:
                self.reads(path)
        elif event in CHANGING:
            self.changes(arguments[1] if event in ("os.rename", "os.link", "os.symlink") else arguments[0])
        elif event in LOOKING_UP and arguments[0] is not None:  # None: this machine
            self.refuse(arguments[0])
        elif event in CONNECTING and not isinstance(arguments[1], (str, bytes)):  # a Unix socket's address is a path
            self.refuse(arguments[1])

    def refuse(self, where: object) -> None:
        """Notes a connection and raises ConnectionRefusedError."""
        self.note("connection", str(where))
        raise ConnectionRefusedError(f"{where}: a plugin may not open connections while it is checked")

    def changes(self, path: object) -> None:
        """Notes a file or folder that is written, unless it is the job's own."""
        if (full := full_path(path)) and not full.startswith(self.own) and "__pycache__" not in full:  # Python's own
            self.note("write", full)

    def reads(self, path: object) -> None:
        """Notes a file of the bench that a plugin's code, or a library that it called, reads without having been given it."""
        if self.watch.inside and (full := full_path(path)) and full.startswith(f"{self.folder}/"):
            if full == self.damaged:
                self.note("damaged", full)
            if full.endswith(LEASE):  # the store's own thread, which is alive while a plugin works
                return
            if full.removeprefix(f"{self.folder}/").partition("/")[0] not in FREE and not self.watch.may_read(full):
                self.note("read", full)

    def note(self, what: str, target: str, places: list[Place] | None = None, **more: object) -> None:
        """A line in the log."""
        about = {"what": what, "target": target, "job": self.job, "process": os.getpid(), "time": time.time()}
        places = calling_places() if places is None else places
        os.write(self.log, json.dumps({**about, "places": places, **more}).encode() + b"\n")

    def run(self, job: Job, store: Store, emit: Callable[[Event], None]) -> Outcome:
        """Runs a job under watch, and interrupts it as its `parameters` ask: how, and at the first progress under which label."""
        self.job, self.damaged = job.label, job.parameters.get(DAMAGED, "")
        self.watch.start(job.options)
        watch_plugin(job, self.watch)
        if STRIKE in job.parameters:
            return self.strike(job, store, emit)
        before = State(self.folder)
        outcome = self.perform(job, store, emit)
        self.note("options", " ".join(sorted(self.watch.options)), [], copied=self.watch.copied)
        if not outcome.error:  # what an error leaves behind is held by its traceback for a while
            for left in before.left(self.causes):
                self.note("left", left.which, left.places, sort=left.sort)
        return outcome

    def strike(self, job: Job, store: Store, emit: Callable[[Event], None]) -> Outcome:
        """Runs a job and interrupts it."""
        how, label = job.parameters[STRIKE]
        before = resource.getrlimit(resource.RLIMIT_AS)
        struck = threading.Lock()

        def strike() -> None:
            if struck.acquire(blocking=False):
                self.note("strike", how)
                STRIKES[how]()

        def heard(event: Event) -> None:
            emit(event)
            if event["event"] == "progress" and event["label"] == label:
                strike()

        alarm = threading.Timer(MOMENT, strike)
        if not label:
            alarm.start()
        try:
            return self.perform(job, store, heard)
        finally:
            alarm.cancel()
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_AS, before)


class Output(io.TextIOBase):
    """Standard output that notes who prints, and prints."""

    def __init__(self, stream: TextIO, note: Callable[[str, str], None]) -> None:
        self.stream, self.note = stream, note

    def write(self, text: str) -> int:
        """Writes, and notes what is not white space alone."""
        if text.strip():
            self.note("print", text.strip())
        return self.stream.write(text)

    def flush(self) -> None:
        """Writes what was held back."""
        self.stream.flush()

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """That of the stream."""
        return self.stream.fileno()


def full_path(path: object) -> str:
    """The absolute path of what an audit hook hears; empty for a descriptor."""
    # Path.resolve would ask the system, and so be heard.
    return os.path.abspath(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else ""  # noqa: PTH100


def watch_plugin(job: Job, watch: Watch) -> None:
    """Puts a watched subclass of the job's plugin in its place in this process's registry."""
    from synthbench.registry import installed

    registry = installed()
    for (kind, name), found in registry.found.items():
        if (kind, name) == job.plugin and not hasattr(found.cls, "_watched"):
            plugin = watched(found.cls, watch)
            plugin._watched = True
            registry.found[kind, name] = replace(found, cls=plugin)


def starve() -> None:
    """This process gets next to no more memory."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE, most))


STRIKES: dict[str, Callable[[], None]] = {
    "interrupt": lambda: os.kill(os.getpid(), signal.SIGINT),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "starve": starve,
}


def main() -> None:
    """Runs jobs until standard input ends, in a folder of its own."""
    from synthbench.execution import worker
    from synthbench.execution.perform import perform

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
    folder = Path(os.environ[BENCH])
    os.chdir(folder / "cwd")
    guard = Guard(folder, perform)
    sys.stdout = Output(sys.stdout, guard.note)
    sys.addaudithook(guard.hear)
    worker.main(guard.run)


if __name__ == "__main__":
    main()
