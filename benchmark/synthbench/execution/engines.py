"""What runs jobs: worker processes, or this process itself."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from synthbench.contract.stages import STAGES
from synthbench.execution.gpus import VISIBLE
from synthbench.execution.jobs import Job, Outcome, Place
from synthbench.execution.stage_run import Event
from synthbench.execution.worker_process import ISOLATED, Worker, worker_command
from synthbench.storage.store import Store

NEEDS_WORKER = "runs in an environment of its own, which needs a worker process: leave --in-process away"


class Engine(Protocol):
    """Runs one job at a time."""

    def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Runs a job and passes on its events. A failure is an outcome, never an exception."""

    def suits(self, kind: str) -> bool:
        """Whether it runs stages of this kind: where there are GPUs, some engines are for those that need none."""

    def is_warm_for(self, place: Place) -> bool:
        """Whether a job of this place starts at once."""

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
        if job.place.python:
            return Outcome(error=f"its plugin {NEEDS_WORKER}")
        from synthbench.execution.perform import perform

        return perform(job, self.store, emit)

    def suits(self, kind: str) -> bool:  # noqa: ARG002 - it runs everything
        """Always."""
        return True

    def is_warm_for(self, place: Place) -> bool:  # noqa: ARG002 - it is one process
        """Always."""
        return True

    def close(self) -> None:
        """Does nothing."""


class Workers:
    """Runs one job at a time, in a worker process for the core and in one for the plugins of one distribution.

    The second is ended and started again when a job of another distribution comes: a plugin may change the libraries of its
    process, and a worker that waits would hold memory, a GPU's above all.
    """

    def __init__(
        self, store: Store, log: Path, threads: int, *, offline: bool = True, gpu: str | None = None, heavy: bool | None = None
    ) -> None:
        """Starts nothing yet.

        log: where the workers' logs go, each with the name of its distribution or environment.
        gpu: the only one that they see, as `CUDA_VISIBLE_DEVICES` names it; None: those that this process sees.
        heavy: whether they are for the stages that use a GPU, or for the others; None: for all.
        """
        self.store = store
        self.gpu = gpu
        self.heavy = heavy
        self.log = log
        self.threads = threads
        self.offline = offline
        self.closed = False
        self.workers: dict[Place, Worker] = {}
        self._lock = threading.Lock()  # between starting and closing, which another thread does

    def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Runs a job in the environment that it names."""
        return self._worker(job.place).run(job, emit, timeout)

    def suits(self, kind: str) -> bool:
        """Whether stages of this kind are for it."""
        return self.heavy is None or STAGES[kind].gpu == self.heavy

    def is_warm_for(self, place: Place) -> bool:
        """Whether its worker runs, or is the core's, which starts quickly."""
        return place == Place() or place in self.workers

    def close(self) -> None:
        """Ends all of them; no other is started afterwards."""
        with self._lock:
            self.closed = True
            for worker in self.workers.values():
                worker.close()

    def _worker(self, place: Place) -> Worker:
        with self._lock:
            if place not in self.workers:
                for other in set(self.workers) - {Place()} if place != Place() else ():
                    self.workers.pop(other).close()
                name = Path(place.python).parents[1].name if place.python else place.distribution
                log = self.log.with_name(f"{self.log.stem}-{name}.log")
                command = worker_command(place.python or sys.executable, self.store.address, place.distribution)
                variables = {**(ISOLATED if place.python else {}), **({} if self.gpu is None else {VISIBLE: self.gpu})}
                worker = Worker(log, self.threads, self.offline, command, variables)
                if self.closed:
                    worker.close()
                self.workers[place] = worker
            return self.workers[place]
