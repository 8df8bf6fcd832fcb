"""The engines of a run: how many there are, on what, and with how many processors each."""

from __future__ import annotations

import os
import time
from typing import Protocol

from synthbench.execution.engines import Engine, InProcess, Workers
from synthbench.execution.gpus import pinned, visible_gpus
from synthbench.storage.store import Store


class Crew(Protocol):
    """Where the stages of a run are carried out."""

    threads: int
    """Processors for each stage. It moves the last digits of a training."""
    remote: bool
    """Whether that is on other machines, which make plugins' environments themselves."""

    def engines(self) -> list[Engine]:
        """As many as run at a time. They are for one runner, which closes them."""

    def more(self) -> list[Engine]:
        """Those that are new since they were last asked for: a cluster may grow."""

    def close(self) -> None:
        """Ends what was started for the whole run."""


class LocalCrew:
    """Worker processes on this machine, or this process itself. Where there are GPUs, as many others take the stages that use none.

    workers: at a time, for each GPU where there are several; None chooses. threads: None chooses. device: see `Resources`.
    """

    remote = False

    def __init__(self, store: Store, *, device: str, workers: int | None, threads: int | None, in_process: bool, offline: bool) -> None:
        self.store, self.in_process, self.offline = store, in_process, offline
        gpus = [] if device == "cpu" else visible_gpus()
        self.has_gpus = bool(gpus)
        self.gpus = pinned(device, gpus, workers or (1 if gpus else without_gpu()))
        self.threads = threads or max(1, processors() // len(self.gpus))  # in this process as in a worker

    def engines(self) -> list[Engine]:
        """Workers, each with a log of its own."""
        if self.in_process:
            return [InProcess(self.store, offline=self.offline)]
        logs, stamp = self.store.root / "logs", f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"

        def workers(number: int, gpu: str | None, heavy: bool | None) -> Workers:
            return Workers(self.store, logs / f"{stamp}-{number}.log", self.threads, offline=self.offline, gpu=gpu, heavy=heavy)

        if not self.has_gpus:
            return [workers(number, None, None) for number in range(len(self.gpus))]
        beside = len(self.gpus)  # as many for the stages that use none, so that no GPU waits for one of these
        return [workers(number + beside * light, gpu, not light) for light in (False, True) for number, gpu in enumerate(self.gpus)]

    def more(self) -> list[Engine]:
        """None: the machine stays as it is."""
        return []

    def close(self) -> None:
        """Does nothing: the engines are all there is."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """Stages at a time on this machine: one for each GPU, else `without_gpu`."""
    return len(visible_gpus()) or without_gpu()


def without_gpu() -> int:
    """Two with half the processors each: small models gain little from a second thread, and imports overlap."""
    return min(2, processors())
