"""A job on another machine: what travels there, and how it is carried out by the same worker processes as here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import msgspec

from synthbench.contract.environment import Environment
from synthbench.errors import SynthbenchError
from synthbench.execution.engines import Engine
from synthbench.execution.environments import spec_of
from synthbench.execution.interpreters import confirmation, interpreters
from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.stage_run import Event
from synthbench.storage.marks import MARK
from synthbench.storage.store import open_store


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """A job with what the machine that runs it must know. It travels as JSON.

    store: its address. timeout: seconds for the stage. environment: of the plugin's own, which the job runs in.
    make: whether that may be made there. offline: whether hubs are asked for nothing.
    """

    job: Job
    store: str
    timeout: float
    environment: Environment | None = None
    make: bool = False
    offline: bool = True


class Traveller:
    """Packs jobs for other machines.

    environments: plugins' own environments, by the `python` of the places of the jobs that run in them.
    """

    def __init__(self, store: str, environments: dict[str, Environment], *, make: bool, offline: bool) -> None:
        self.store, self.environments, self.make, self.offline = store, environments, make, offline

    def pack(self, job: Job, timeout: float) -> bytes:
        """The errand of a job, as one line of JSON."""
        environment = self.environments[job.place.python] if job.place.python else None
        return msgspec.json.encode(
            Errand(job=job, store=self.store, timeout=timeout, environment=environment, make=self.make, offline=self.offline)
        )


def carry_out(errand: Errand, engine: Engine, emit: Callable[[Event], None]) -> Outcome:
    """Runs the job on this machine. Its first event says which machine that is."""
    emit({"event": "placed", "host": socket.gethostname()})
    job = errand.job
    if errand.environment is not None:
        try:
            python = interpreter(errand, lambda line: emit({"event": "log", "message": f"{socket.gethostname()}: {line}"}))
        except SynthbenchError as error:
            return Outcome(error=f"on {socket.gethostname()}: {error}")
        job = replace(job, place=replace(job.place, python=python))
    return engine.run(job, emit, errand.timeout)


def interpreter(errand: Errand, report: Callable[[str], None]) -> str:
    """The interpreter of the job's environment on this machine, made if it is missing and may be made. Raises SynthbenchError."""
    assert errand.environment is not None, "the job runs in one"
    spec = spec_of(errand.environment, errand.job.place.distribution, open_store(errand.store).packages)
    return interpreters([spec], confirmation(errand.make), report)[spec.name]


def unreachable(store: str) -> str:
    """An error if this machine does not see the store; empty if it does."""
    if "://" in store or (Path(store) / MARK).exists():  # an object store is reached from everywhere, or opening it says why not
        return ""
    return (
        f"{socket.gethostname()} does not see the store {store}: on a cluster, --store must be a folder that all machines share by the "
        "same path, and so must the files that the suite names"
    )


def stream(errand: Errand, engine: Engine) -> Iterator[bytes]:
    """Runs the job in a thread and yields its events as lines of JSON; the last one has its outcome."""
    lines: SimpleQueue[bytes] = SimpleQueue()

    def work() -> None:
        try:
            outcome = carry_out(errand, engine, lambda event: lines.put(msgspec.json.encode(event)))
        except Exception as error:  # else the reader would wait for ever
            outcome = Outcome(error=f"on {socket.gethostname()}: {type(error).__name__}: {error}")
        lines.put(b"")
        lines.put(msgspec.json.encode({"event": "done", "outcome": outcome}))

    threading.Thread(target=work, daemon=True).start()
    while line := lines.get():
        yield line
    yield lines.get()
