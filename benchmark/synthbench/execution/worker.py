"""A worker: a process that runs jobs, one a line on its standard input, and writes events, one a line.

    python -m synthbench.execution.worker STORE DISTRIBUTION

Jobs and events travel on duplicates of the standard streams; the streams themselves lead to nothing and to standard error, so a
library that prints or reads cannot mix with them. When standard input ends, the runner has ended, however it did, and the worker
ends too with everything it started. One worker runs many jobs, since importing torch takes longer than many a stage; all of them are
of one distribution's plugins.
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
from synthbench.execution.perform import perform
from synthbench.execution.stage_run import Event
from synthbench.registry import installed
from synthbench.storage.store import Store, open_store

Perform = Callable[[Job, Store, Callable[[Event], None]], Outcome]


def main(perform: Perform = perform, open_store: Callable[[str], Store] = open_store) -> None:
    """Runs jobs until standard input ends. perform: what runs one."""
    store = open_store(sys.argv[1])
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
    installed(sys.argv[2])  # plugins are imported before the first job: the suite's timeout is for stages
    emit({"event": "ready"})
    while True:
        job = jobs.decode(lines.get())
        emit({"event": "begun"})
        outcome = perform(job, store, emit)
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
