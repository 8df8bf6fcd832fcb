"""Who carries out jobs: a worker process, or this process itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from synthbench.execution.jobs import Job, Outcome
from synthbench.execution.stage_run import Event

LAST_LINES = 12
NEEDS_WORKER = "runs in an environment of its own, which needs a worker: leave --in-process away"
# For a worker in another environment: by these it would find packages of this one before its own.
ALONE: Mapping[str, None] = {"PYTHONPATH": None, "PYTHONHOME": None}
# glibc's malloc may give blocks back to the system that the next step of a training asks for again, page by page; with these it
# keeps them. It cost YOLOv8 some 5 % of its time (tests/performance/bench_training.py), in a worker but not in a plain process.
MALLOC: Mapping[str, str] = {"MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
DIED = {
    signal.SIGKILL: "was killed (SIGKILL: often the system, for want of memory)",
    signal.SIGSEGV: "crashed (SIGSEGV: a fault in native code)",
}


def worker_command(python: str, module: str = "synthbench.execution.worker") -> list[str]:
    """What starts a worker. `-P`: a file in the current folder must not pass for a library."""
    return [python, "-P", "-m", module]


class Engine(Protocol):
    """Carries out one job at a time."""

    def carry_out(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Carries out a job and passes on its events. A failure is an outcome, never an exception."""

    def close(self) -> None:
        """Ends what was started."""


class InProcess:
    """Carries out jobs here, for debugging: a breakpoint in a plugin works, and a crash ends everything."""

    def carry_out(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:  # noqa: ARG002 - nobody could stop it
        """Carries out a job of the harness's own environment."""
        if job.python:
            return Outcome(error=f"its plugin {NEEDS_WORKER}")
        from synthbench.execution.stages import carry_out

        return carry_out(job, emit)

    def close(self) -> None:
        """Nothing to end."""


class Workers:
    """A worker for each environment that jobs ask for, all of them kept warm; one job at a time."""

    def __init__(self, log: Path, threads: int, offline: bool) -> None:
        """`log`: of the worker in the harness's own environment; the others' lie beside it under the environment's name."""
        self.log = log
        self.threads = threads
        self.offline = offline
        self.closed = False
        self._workers: dict[str, Worker] = {}
        self._lock = threading.Lock()  # between starting and closing, which another thread does

    def carry_out(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Carries out a job in the environment that it names."""
        return self._worker(job.python).carry_out(job, emit, timeout)

    def close(self) -> None:
        """Ends all of them; no other is started afterwards."""
        with self._lock:
            self.closed = True
            for worker in self._workers.values():
                worker.close()

    def _worker(self, python: str) -> Worker:
        with self._lock:
            if python not in self._workers:
                made = Worker(self.log, self.threads, self.offline)
                if python:
                    log = self.log.with_name(f"{self.log.stem}-{Path(python).parents[1].name}.log")
                    made = Worker(log, self.threads, self.offline, worker_command(python), ALONE)
                if self.closed:
                    made.close()
                self._workers[python] = made
            return self._workers[python]


class Worker:
    """A worker process, started with the first job and again after a crash. What it prints goes to `log`.

    command: what to start, unless it is a worker with this interpreter.
    variables: environment variables that it gets besides; None: that it is not to have.
    """

    def __init__(
        self,
        log: Path,
        threads: int,
        offline: bool,
        command: Sequence[str] | None = None,
        variables: Mapping[str, str | None] | None = None,
    ) -> None:
        self.log = log
        self.command = worker_command(sys.executable) if command is None else command
        wanted = {
            **MALLOC,
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": str(threads),
            "PYTHONUNBUFFERED": "1",
            **({"HF_HUB_OFFLINE": "1"} if offline else {}),
            **(variables or {}),
        }
        self.environment = {name: value for name, value in wanted.items() if value is not None}
        self.process: subprocess.Popen[bytes] | None = None
        self.too_long = False
        self.closed = False
        self._lock = threading.Lock()  # between starting and closing, which another thread does

    def carry_out(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Carries out a job; a worker that dies, hangs or writes nonsense makes it fail, and is started anew next time."""
        try:
            process = self._started()
        except OSError as error:
            return Outcome(error=f"its worker could not be started: {error}")
        if process is None:
            return Outcome(error="stopped before it began")
        assert process.stdin is not None, "a pipe"
        assert process.stdout is not None, "a pipe"
        self.too_long = False
        alarm = threading.Timer(timeout, self._stop_hung, [process])
        alarm.start()
        written = self.log.stat().st_size
        try:
            with suppress(BrokenPipeError):  # it died before it read the job; told below
                process.stdin.write(msgspec.json.encode(job) + b"\n")
                process.stdin.flush()
            for line in process.stdout:
                try:
                    event = msgspec.json.decode(line, type=dict[str, object])
                    if event.get("event") == "done":
                        return msgspec.convert(event["outcome"], Outcome)
                    emit(event)
                except (msgspec.MsgspecError, KeyError) as error:
                    kill(process)
                    return Outcome(error=f"the worker wrote nonsense: {line[:200]!r} ({error})", trace=self._last_lines(written))
            return Outcome(error=self._death(process, timeout), trace=self._last_lines(written))
        finally:
            alarm.cancel()

    def close(self) -> None:
        """Ends the process and whatever it has started; no other is started after it."""
        with self._lock:
            self.closed = True
            if self.process is not None:
                kill(self.process)

    def _started(self) -> subprocess.Popen[bytes] | None:
        """The process, a new one where there is none or it ended; None once this is closed."""
        with self._lock:
            if self.closed:
                return None
            if self.process is None or self.process.poll() is not None:
                self.log.parent.mkdir(parents=True, exist_ok=True)
                with self.log.open("ab") as log:
                    self.process = subprocess.Popen(
                        self.command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        env=self.environment,
                        start_new_session=True,  # Ctrl-C is the runner's; it ends the worker itself
                    )
                threading.Thread(target=end_with, args=(self.process,), daemon=True).start()
            return self.process

    def _stop_hung(self, process: subprocess.Popen[bytes]) -> None:
        self.too_long = True
        signal_group(process)

    def _death(self, process: subprocess.Popen[bytes], timeout: float) -> str:
        code = process.wait()  # within the timeout: a process may close its streams and go on
        if self.too_long:
            return f"took longer than the suite's timeout of {timeout:g} s and was stopped"
        if code >= 0:
            return f"the worker ended with status {code}"
        return f"the worker {DIED.get(signal.Signals(-code), f'died of {signal.Signals(-code).name}')}"

    def _last_lines(self, start: int) -> str:
        with self.log.open("rb") as log:
            log.seek(start)
            return b"\n".join(deque(log.read().splitlines(), LAST_LINES)).decode(errors="replace")


def end_with(process: subprocess.Popen[bytes]) -> None:
    """Waits for a worker's end, then ends what it has started: forked children hold its pipe, and nobody would hear that it died."""
    process.wait()
    signal_group(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a worker and whatever it has started."""
    if process.poll() is None:  # afterwards its number may be another's
        signal_group(process)
    process.wait()


def signal_group(process: subprocess.Popen[bytes]) -> None:
    """Kills every process of a worker's group that is still there."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
