"""A worker process as its engine sees it: started with the first job, and again after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from synthbench.execution.jobs import CORE, Job, Outcome
from synthbench.execution.processes import processes_with
from synthbench.execution.stage_run import Event
from synthbench.text import cut

LAST_LINES = 12
# For a worker in another environment: these would make it find packages of this one before its own.
ISOLATED: Mapping[str, None] = {"PYTHONPATH": None, "PYTHONHOME": None}
# glibc's malloc may give memory back to the system that the next step of a training asks for again, page by page; with these it
# keeps it. That cost YOLOv8 some 5 % of its time (tests/performance/bench_training.py), in a worker but not in a plain process.
MALLOC: Mapping[str, str] = {"MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
# onnxruntime 1.29 and newer reports to its makers once it is imported, as diffusers does where it is installed, and writes below ~/.cache.
UNREPORTED: Mapping[str, str] = {"ORT_DISABLE_TELEMETRY": "1"}
DIED = {
    signal.SIGKILL: "was killed (SIGKILL: often by the system, when memory runs out)",
    signal.SIGSEGV: "crashed (SIGSEGV: a fault in native code)",
}
MARK = "SYNTHBENCH_WORKER"  # in the environment of a worker and of all that it starts
START = 300.0  # seconds that a worker may take to start


def worker_command(python: str, store: str, distribution: str = CORE, module: str = "synthbench.execution.worker") -> list[str]:
    """The command of a worker. `-P`: a file in the current folder must not be imported instead of a library."""
    return [python, "-P", "-m", module, store, distribution]


class Worker:
    """A worker process. What it prints goes to `log`.

    command: see `worker_command`.
    variables: environment variables that it gets besides; None: that it must not have.
    """

    def __init__(
        self,
        log: Path,
        threads: int,
        offline: bool,
        command: Sequence[str],
        variables: Mapping[str, str | None] | None = None,
    ) -> None:
        self.log = log
        self.command = command
        wanted = {
            **MALLOC,
            **UNREPORTED,
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": str(threads),
            "PYTHONUNBUFFERED": "1",
            **({"HF_HUB_OFFLINE": "1"} if offline else {}),
            **(variables or {}),
        }
        self.mark = ""  # of the process that runs now and all that it starts
        self.environment = {name: value for name, value in wanted.items() if value is not None}
        self.process: subprocess.Popen[bytes] | None = None
        self.too_long = False
        self.closed = False
        self._ready: subprocess.Popen[bytes] | None = None  # the process that has started, and waits for jobs
        self._lock = threading.Lock()  # between starting and closing, which another thread does

    def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Runs a job. If the worker dies, hangs or writes something else than events, the job fails, and the next one starts a new worker.

        The timeout does not count the start of the worker. A worker that died while it had nothing to do costs nothing.
        """
        outcome = self._attempt(job, emit, timeout) or self._attempt(job, emit, timeout)
        return outcome or Outcome(error="its worker died twice before it took the job")

    def _attempt(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome | None:
        """Runs a job, or returns None if a waiting worker turns out to have died before it took the job."""
        try:
            process = self._started()
        except OSError as error:
            return Outcome(error=f"its worker could not be started: {error}")
        if process is None:
            return Outcome(error="stopped before it began")
        assert process.stdin is not None, "a pipe"
        assert process.stdout is not None, "a pipe"
        self.too_long = False
        waited, begun = process is self._ready, False
        limit = timeout if waited else START
        alarm = self._alarm(process, limit)
        written = self.log.stat().st_size
        try:
            with suppress(BrokenPipeError):  # it died before it read the job; reported below
                process.stdin.write(msgspec.json.encode(job) + b"\n")
                process.stdin.flush()
            for line in process.stdout:
                try:
                    event = msgspec.json.decode(line, type=dict[str, object])
                    if event["event"] == "ready":
                        alarm.cancel()
                        self._ready, limit = process, timeout
                        alarm = self._alarm(process, limit)
                    elif event["event"] == "begun":
                        begun = True
                    elif event["event"] == "done":
                        return msgspec.convert(event["outcome"], Outcome)
                    else:
                        emit(event)
                except (msgspec.MsgspecError, KeyError) as error:
                    kill(process)
                    return Outcome(error=f"the worker wrote nonsense: {line[:200]!r} ({error})", trace=self._last_lines(written))
            if waited and not begun and not self.too_long and not self.closed:
                process.wait()  # so that the next attempt starts another one
                return None
            return Outcome(error=self._death(process, limit), trace=self._last_lines(written))
        finally:
            alarm.cancel()

    def close(self) -> None:
        """Ends the process and everything it started; no other is started afterwards."""
        with self._lock:
            self.closed = True
            if self.process is not None:
                kill(self.process)
                kill_marked(self.mark)

    def _started(self) -> subprocess.Popen[bytes] | None:
        """The process, a new one if there is none or it ended; None after `close`."""
        with self._lock:
            if self.closed:
                return None
            if self.process is None or self.process.poll() is not None:
                self.mark = uuid.uuid4().hex
                self.log.parent.mkdir(parents=True, exist_ok=True)
                with self.log.open("ab") as log:
                    self.process = subprocess.Popen(
                        self.command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        env={**self.environment, MARK: self.mark},
                        start_new_session=True,  # Ctrl-C goes to the runner, which ends the worker
                    )
                threading.Thread(target=end_with, args=(self.process, self.mark), daemon=True).start()
            return self.process

    def _alarm(self, process: subprocess.Popen[bytes], seconds: float) -> threading.Timer:
        alarm = threading.Timer(seconds, self._stop_hung, [process])
        alarm.start()
        return alarm

    def _stop_hung(self, process: subprocess.Popen[bytes]) -> None:
        self.too_long = True
        signal_group(process)

    def _death(self, process: subprocess.Popen[bytes], timeout: float) -> str:
        code = process.wait()  # within the timeout: a process may close its streams and go on
        if self.too_long and process is not self._ready:
            return f"the worker did not start within {timeout:g} s"
        if self.too_long:
            return f"took longer than the suite's timeout of {timeout:g} s and was stopped"
        if code >= 0:
            return f"the worker ended with status {code}"
        return f"the worker {DIED.get(signal.Signals(-code), f'died of {signal.Signals(-code).name}')}"

    def _last_lines(self, start: int) -> str:
        with self.log.open("rb") as log:
            log.seek(start)
            return cut(b"\n".join(deque(log.read().splitlines(), LAST_LINES)).decode(errors="replace"))


def end_with(process: subprocess.Popen[bytes], mark: str) -> None:
    """Waits for a worker's end, then ends what it started: a forked child would keep its pipe open, and its death would go unnoticed."""
    process.wait()
    signal_group(process)
    kill_marked(mark)


def kill_marked(mark: str) -> None:
    """Kills what a worker started in sessions of their own."""
    for each in processes_with(MARK, mark):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a worker and whatever it has started."""
    if process.poll() is None:  # the process id may have been reused
        signal_group(process)
    process.wait()


def signal_group(process: subprocess.Popen[bytes]) -> None:
    """Kills every process of a worker's group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
