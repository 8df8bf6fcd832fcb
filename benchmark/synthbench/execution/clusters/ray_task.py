"""What runs in a worker process of Ray: it starts synthbench's own workers and passes on what they say. It imports no plugin."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import msgspec

from synthbench.execution.clusters.remote import Errand, stream, unreachable
from synthbench.execution.engines import Workers
from synthbench.execution.jobs import Outcome
from synthbench.storage.store import open_store

_kept: dict[tuple[str, int, bool], Workers] = {}
"""What waits in this process for Ray's next task, without a GPU: starting a worker takes longer than many a stage."""

_watched: list[threading.Thread] = []
LOOK = 1.0  # seconds between two looks whether the raylet is there


def carry_out(packed: bytes, gpus: int) -> Iterator[bytes]:
    """Runs an errand and yields its events, the outcome last. gpus: how many Ray gave it; it sees no others."""
    watch_parent()
    errand = msgspec.json.decode(packed, type=Errand)
    if error := unreachable(errand.store):
        yield msgspec.json.encode({"event": "done", "outcome": Outcome(error=error)})
        return
    if not gpus:
        yield from stream(errand, kept(errand))
        return
    workers = workers_for(errand)  # afresh: Ray gives each task other GPUs
    try:
        yield from stream(errand, workers)
    finally:
        workers.close()  # a worker that waits would hold the memory of a GPU that is another task's by now


def watch_parent() -> None:
    """Has this process end when its raylet does: Ray's workers can outlive it for minutes, with ours, their memory and their GPU."""
    if not _watched:
        _watched.append(threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True))
        _watched[0].start()


def end_with_parent(parent: int) -> None:
    """Waits until this process has another parent, and ends it then. Its workers end with their standard input."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(1)


def kept(errand: Errand) -> Workers:
    """The workers of this process for errands like this one."""
    key = (errand.store, errand.job.resources.threads, errand.offline)
    if key not in _kept:
        _kept[key] = workers_for(errand)
    return _kept[key]


def workers_for(errand: Errand) -> Workers:
    """Workers whose logs go to the store."""
    store = open_store(errand.store)
    log = store.root / "logs" / f"ray-{socket.gethostname()}-{os.getpid()}.log"
    return Workers(store, log, errand.job.resources.threads, offline=errand.offline)
