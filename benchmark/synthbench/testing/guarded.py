"""A guarded worker: it logs which files a plugin opens, what it prints, leaves behind and connects to, and can inject faults.

    python -m synthbench.testing.guarded

Python's audit hooks report files and connections that any library opens through Python. Native code that makes system
calls itself, such as OpenCV's `imread`, is not reported. Connections are refused, except those between processes on this
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

LOG, FAULT, DAMAGED = "guard.jsonl", "fault", "damaged"
LOOKING_UP = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
CONNECTING = ("socket.connect", "socket.sendto", "socket.sendmsg")
CHANGING = ("os.mkdir", "os.rename", "os.link", "os.symlink")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FREE = ("home", "tmp", "cwd", "logs")  # subfolders of the bench without files that a stage may not read
DELAY = 1.0  # seconds until the fault in a stage that reports no progress
SPARE = 8 << 20  # bytes that a stage may still allocate after the fault `memory`


class Guard:
    """Logs what happens while `perform` runs jobs in this worker, and injects faults."""

    def __init__(self, folder: Path, perform: Perform) -> None:
        self.perform = perform
        self.folder = folder
        self.log = os.open(folder / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.job = ""
        self.own = (f"{folder}/store/", "/dev/", "/proc/")  # the bench checks the store after each stage
        self.damaged = ""
        self.watch = Watch(self.note)
        self.causes = Causes()

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook. Raises ConnectionRefusedError if a connection is requested."""
        self.causes.audit(event, arguments)
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITING:
                self.log_write(path)
            else:
                self.log_read(path)
        elif event in CHANGING:
            self.log_write(arguments[1] if event in ("os.rename", "os.link", "os.symlink") else arguments[0])
        elif event in LOOKING_UP and arguments[0] is not None:  # None: this machine
            self.refuse(arguments[0])
        elif event in CONNECTING and not isinstance(arguments[1], (str, bytes)):  # a Unix socket's address is a path
            self.refuse(arguments[1])

    def refuse(self, address: object) -> None:
        """Logs a connection and raises ConnectionRefusedError."""
        self.note("connection", str(address))
        raise ConnectionRefusedError(f"{address}: a plugin may not open connections during the checks")

    def log_write(self, path: object) -> None:
        """Logs a file or folder that is written outside the store."""
        if (full := full_path(path)) and not full.startswith(self.own) and "__pycache__" not in full:  # Python's own
            self.note("write", full)

    def log_read(self, path: object) -> None:
        """Logs a file of the bench that the plugin, or a library called by it, reads although it is not an input."""
        if self.watch.inside and (full := full_path(path)) and full.startswith(f"{self.folder}/"):
            if full == self.damaged:
                self.note("damaged", full)
            if full.endswith(LEASE):  # read by the store's own thread while a plugin runs
                return
            if full.removeprefix(f"{self.folder}/").partition("/")[0] not in FREE and not self.watch.may_read(full):
                self.note("read", full)

    def note(self, what: str, target: str, places: list[Place] | None = None, **more: object) -> None:
        """Writes a line to the log."""
        about = {"what": what, "target": target, "job": self.job, "process": os.getpid(), "time": time.time()}
        places = calling_places() if places is None else places
        os.write(self.log, json.dumps({**about, "places": places, **more}).encode() + b"\n")

    def run(self, job: Job, store: Store, emit: Callable[[Event], None]) -> Outcome:
        """Runs and watches a job. `parameters[FAULT]`: a fault to inject, and the label of the progress event that triggers it."""
        self.job, self.damaged = job.label, job.parameters.get(DAMAGED, "")
        self.watch.start(job.options)
        watch_plugin(job, self.watch)
        if FAULT in job.parameters:
            return self.run_with_fault(job, store, emit)
        before = State(self.folder)
        outcome = self.perform(job, store, emit)
        self.note("options", " ".join(sorted(self.watch.options)), [], copied=self.watch.copied)
        if not outcome.error:  # a traceback keeps its objects alive for a while
            for leftover in before.leftovers(self.causes):
                self.note("leftover", leftover.name, leftover.places, sort=leftover.sort)
        return outcome

    def run_with_fault(self, job: Job, store: Store, emit: Callable[[Event], None]) -> Outcome:
        """Runs a job and injects a fault."""
        fault, label = job.parameters[FAULT]
        before = resource.getrlimit(resource.RLIMIT_AS)
        once = threading.Lock()

        def inject() -> None:
            if once.acquire(blocking=False):
                self.note("fault", fault)
                FAULTS[fault]()

        def listen(event: Event) -> None:
            emit(event)
            if event["event"] == "progress" and event["label"] == label:
                inject()

        timer = threading.Timer(DELAY, inject)
        if not label:
            timer.start()
        try:
            return self.perform(job, store, listen)
        finally:
            timer.cancel()
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_AS, before)


class Output(io.TextIOBase):
    """Standard output that also logs who prints."""

    def __init__(self, stream: TextIO, note: Callable[[str, str], None]) -> None:
        self.stream, self.note = stream, note

    def write(self, text: str) -> int:
        """Writes text, and logs it unless it is only white space."""
        if text.strip():
            self.note("print", text.strip())
        return self.stream.write(text)

    def flush(self) -> None:
        """Flushes the stream."""
        self.stream.flush()

    def writable(self) -> bool:
        """Always True."""
        return True

    def fileno(self) -> int:
        """The stream's file descriptor."""
        return self.stream.fileno()


def full_path(path: object) -> str:
    """The absolute path of an audit hook's argument; empty for a file descriptor."""
    # Path.resolve would access the file system and trigger the audit hook.
    return os.path.abspath(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else ""  # noqa: PTH100


def watch_plugin(job: Job, watch: Watch) -> None:
    """Replaces the job's plugin in this process's registry by a watched subclass."""
    from synthbench.registry import installed

    registry = installed(job.place.distribution)
    for (kind, name), found in registry.found.items():
        if (kind, name) == job.plugin and not hasattr(found.cls, "_watched"):
            plugin = watched(found.cls, watch)
            plugin._watched = True
            registry.found[kind, name] = replace(found, cls=plugin)


def limit_memory() -> None:
    """Limits this process to its current memory plus `SPARE` bytes."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE, most))


FAULTS: dict[str, Callable[[], None]] = {
    "interrupt": lambda: os.kill(os.getpid(), signal.SIGINT),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "memory": limit_memory,
}


def main() -> None:
    """Runs jobs until standard input ends, in a folder of its own."""
    from synthbench.execution import worker
    from synthbench.execution.perform import perform
    from synthbench.testing.unverified import UnverifiedStore

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell inherits an ignored SIGINT
    folder = Path(os.environ[BENCH])
    os.chdir(folder / "cwd")
    guard = Guard(folder, perform)
    sys.stdout = Output(sys.stdout, guard.note)
    sys.addaudithook(guard.audit)
    worker.main(guard.run, lambda folder: UnverifiedStore(Path(folder), trust=True))


if __name__ == "__main__":
    main()
