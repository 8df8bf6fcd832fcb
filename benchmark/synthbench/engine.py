"""Who carries out jobs: a worker process, or this process itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from synthbench.context import Event
from synthbench.jobs import Job, Outcome

LAST_LINES = 12
DIED = {signal.SIGKILL: "killed (SIGKILL: often the system, for want of memory)", signal.SIGSEGV: "crashed (segmentation fault)"}


class Engine(Protocol):
    """Carries out one job at a time."""

    def carry_out(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Carries out a job and passes on its events. A failure is an outcome, never an exception."""

    def close(self) -> None:
        """Ends what was started."""


class InProcess:
    """Carries out jobs here, for debugging: a breakpoint in a plugin works, and a crash ends everything."""

    def carry_out(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:  # noqa: ARG002 - nobody could stop it
        """Carries out a job."""
        from synthbench.stages import carry_out

        return carry_out(job, emit)

    def close(self) -> None:
        """Nothing to end."""


class Worker:
    """A worker process, started with the first job and again after a crash. What it prints goes to `log`."""

    def __init__(self, log: Path, threads: int, offline: bool) -> None:
        self.log = log
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": str(threads),
            "PYTHONUNBUFFERED": "1",
            **({"HF_HUB_OFFLINE": "1"} if offline else {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.too_long = False

    def carry_out(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Carries out a job; a worker that dies, hangs or writes nonsense makes it fail, and is started anew next time."""
        process = self._started()
        assert process.stdin is not None and process.stdout is not None, "both are pipes"
        self.too_long = False
        alarm = threading.Timer(timeout, self._stop_hung)
        alarm.start()
        written = self.log.stat().st_size
        try:
            process.stdin.write(msgspec.json.encode(job) + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                try:
                    event = msgspec.json.decode(line, type=dict[str, object])
                    if event.get("event") == "done":
                        return msgspec.convert(event["outcome"], Outcome)
                    emit(event)
                except (msgspec.MsgspecError, KeyError) as error:
                    self.close()
                    return Outcome(error=f"the worker wrote nonsense: {line[:200]!r} ({error})", trace=self._last_lines(written))
        except BrokenPipeError:
            pass  # it died before it read the job; told below
        finally:
            alarm.cancel()
        return Outcome(error=self._death(timeout), trace=self._last_lines(written))

    def close(self) -> None:
        """Ends the process and whatever it has started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "synthbench.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self.environment,
                    start_new_session=True,  # Ctrl-C is the runner's; it ends the worker itself
                )
        return self.process

    def _stop_hung(self) -> None:
        self.too_long = True
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def _death(self, timeout: float) -> str:
        assert self.process is not None, "only a started worker can die"
        code = self.process.wait()
        self.process = None
        if self.too_long:
            return f"took longer than the suite's timeout of {timeout:g} s and was stopped"
        return f"the worker {DIED.get(signal.Signals(-code), f'died of {signal.Signals(-code).name}') if code < 0 else f'ended with status {code}'}"

    def _last_lines(self, start: int) -> str:
        with self.log.open("rb") as log:
            log.seek(start)
            return b"\n".join(deque(log.read().splitlines(), LAST_LINES)).decode(errors="replace")
