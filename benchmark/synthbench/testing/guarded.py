"""A worker under guard: it writes down what a plugin opens and connects to, and can be struck while it works.

    python -m synthbench.testing.guarded

Python tells its audit hooks of files and connections, whichever library asks for them; native code that calls the
system itself is not heard. Connections are refused, but for those of processes on this machine (Unix sockets).
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.stage_run import Event
from synthbench.testing.frames import calling_places

CarryOut = Callable[[Job, Callable[[Event], None]], Outcome]
BENCH, LOG, STRIKE = "SYNTHBENCH_BENCH", "guard.jsonl", "strike"
LOOKING_UP = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
CONNECTING = ("socket.connect", "socket.sendto", "socket.sendmsg")
CHANGING = ("os.mkdir", "os.rename", "os.link", "os.symlink")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
MOMENT = 1.0  # seconds until a stage that does not say how far it is gets struck
SPARE = 8 << 20  # bytes of memory that a starved stage still gets


class Guard:
    """What one worker does besides its jobs, which `carry_out` does."""

    def __init__(self, folder: Path, carry_out: CarryOut) -> None:
        self.plainly = carry_out
        self.log = os.open(folder / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.job = ""
        self.workdir = os.devnull

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook. Raises ConnectionRefusedError where a connection is asked for."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITING:
                self.changes(path)
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
        if isinstance(path, (str, bytes, os.PathLike)):
            full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - Path.resolve would ask the system, and so be heard
            if not full.startswith((self.workdir, "/dev/", "/proc/")) and "__pycache__" not in full:  # Python's own
                self.note("write", full)

    def note(self, what: str, target: str) -> None:
        """A line in the log."""
        told = {"what": what, "target": target, "job": self.job, "places": calling_places(), "time": time.time()}
        os.write(self.log, json.dumps(told).encode() + b"\n")

    def carry_out(self, job: Job, emit: Callable[[Event], None]) -> Outcome:
        """Carries out a job, and strikes it as its `extra` asks: how, and at the first progress under which label."""
        self.job, self.workdir = job.label, job.workdir
        if STRIKE not in job.extra:
            return self.plainly(job, emit)
        how, label = job.extra[STRIKE]
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
            return self.plainly(job, heard)
        finally:
            alarm.cancel()
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_AS, before)


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
    """Carries out jobs until standard input ends, in a folder of its own."""
    from synthbench.execution import worker
    from synthbench.execution.stages import carry_out

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
    folder = Path(os.environ[BENCH])
    os.chdir(folder / "cwd")
    guard = Guard(folder, carry_out)
    worker.carry_out = guard.carry_out  # type: ignore[attr-defined] # what it has imported, it looks up by this name
    sys.addaudithook(guard.hear)
    worker.main()


if __name__ == "__main__":
    main()
