"""A worker: a process that carries out jobs, one a line on its standard input, and writes events, one a line.

    python -m synthbench.worker

Events leave through a duplicate of standard output; standard output itself is joined to standard error, so nothing
a library prints can mix with them. One worker stays warm for many jobs, since importing torch and its friends takes
longer than many a stage.
"""

from __future__ import annotations

import os
import sys
import threading

import msgspec

from synthbench.context import Event
from synthbench.jobs import Job, Outcome
from synthbench.stages import carry_out


def main() -> None:
    """Carries out jobs until standard input ends."""
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    lock = threading.Lock()

    def emit(event: Event) -> None:
        with lock:  # a plugin may report from a thread of its own
            events.write(msgspec.json.encode(event) + b"\n")

    jobs = msgspec.json.Decoder(Job)
    for line in sys.stdin.buffer:
        outcome: Outcome = carry_out(jobs.decode(line), emit)
        emit({"event": "done", "outcome": outcome})


if __name__ == "__main__":
    main()
