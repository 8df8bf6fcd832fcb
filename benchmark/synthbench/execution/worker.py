"""A worker: a process that carries out jobs, one a line on its standard input, and writes events, one a line.

    python -m synthbench.execution.worker

Jobs and events travel on duplicates of the standard streams; the streams themselves are joined to nothing and to
standard error, so a library that prints or reads cannot mix with them. When no more jobs can come the runner has ended,
however it did, and the worker goes too with everything it started. One worker stays warm for many jobs, since importing
torch and its friends takes longer than many a stage.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import BinaryIO

import msgspec

from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.stage_run import Event
from synthbench.execution.stages import carry_out


def main(carry_out: Callable[[Job, Callable[[Event], None]], Outcome] = carry_out) -> None:
    """Carries out jobs until standard input ends. `carry_out`: what runs one job and passes on its events."""
    source = os.fdopen(os.dup(0), "rb")
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    lock = threading.Lock()
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=listen, args=(source, lines), daemon=True).start()

    def emit(event: Event) -> None:
        with lock:  # a plugin may report from a thread of its own
            if event["event"] == "log":
                print(event["message"], file=sys.stderr, flush=True)  # noqa: T201 - standard error is this worker's log
            events.write(msgspec.json.encode(event) + b"\n")

    jobs = msgspec.json.Decoder(Job)
    while True:
        outcome: Outcome = carry_out(jobs.decode(lines.get()), emit)
        emit({"event": "done", "outcome": outcome})


def listen(source: BinaryIO, lines: SimpleQueue[bytes]) -> None:
    """Hands jobs on as they come, and ends this process and its children when no more can come."""
    for line in source:
        lines.put(line)
    with suppress(ProcessLookupError):  # started by hand, it leads no group of its own
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
