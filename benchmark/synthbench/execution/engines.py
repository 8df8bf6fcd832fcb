"""What runs jobs: worker processes, or this process itself."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.stage_run import Event
from synthbench.execution.worker_process import ISOLATED, Worker, worker_command
from synthbench.storage.store import Store

NEEDS_WORKER = "runs in an environment of its own, which needs a worker process: leave --in-process away"


class Engine(Protocol):
    """Runs one job at a time."""

    def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Runs a job and passes on its events. A failure is an outcome, never an exception."""

    def close(self) -> None:
        """Ends what was started."""


class InProcess:
    """Runs jobs in this process, for debugging: a breakpoint in a plugin works, and a crash ends everything."""

    def __init__(self, store: Store, *, offline: bool = True) -> None:
        self.store = store
        if offline:
            os.environ["HF_HUB_OFFLINE"] = "1"  # as in workers: some libraries ask nobody else

    def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:  # noqa: ARG002 - nothing could stop it
        """Runs a job of the harness's own environment."""
        if job.python:
            return Outcome(error=f"its plugin {NEEDS_WORKER}")
        from synthbench.execution.perform import perform

        return perform(job, self.store, emit)

    def close(self) -> None:
        """Does nothing."""


class Workers:
    """A worker process for each environment that jobs ask for, all of them kept running; one job at a time."""

    def __init__(self, store: Store, log: Path, threads: int, *, offline: bool = True) -> None:
        """`log`: of the worker in the harness's own environment; the others' logs are beside it, with the environment's name."""
        self.store = store
        self.log = log
        self.threads = threads
        self.offline = offline
        self.closed = False
        self._workers: dict[str, Worker] = {}
        self._lock = threading.Lock()  # between starting and closing, which another thread does

    def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Runs a job in the environment that it names."""
        return self._worker(job.python).run(job, emit, timeout)

    def close(self) -> None:
        """Ends all of them; no other is started afterwards."""
        with self._lock:
            self.closed = True
            for worker in self._workers.values():
                worker.close()

    def _worker(self, python: str) -> Worker:
        with self._lock:
            if python not in self._workers:
                log = self.log.with_name(f"{self.log.stem}-{Path(python).parents[1].name}.log") if python else self.log
                command = worker_command(python or sys.executable, self.store.address)
                worker = Worker(log, self.threads, self.offline, command, ISOLATED if python else None)
                if self.closed:
                    worker.close()
                self._workers[python] = worker
            return self._workers[python]
