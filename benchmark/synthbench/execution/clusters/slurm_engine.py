"""Runs stages as SLURM jobs. What passes between them and the run lies in files below the store."""

from __future__ import annotations

import math
import shlex
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import msgspec

from synthbench.errors import SynthbenchError
from synthbench.execution.clusters.carrier import INBOX, STOP
from synthbench.execution.clusters.needs import Experience, kind_of, needs_of
from synthbench.execution.clusters.remote import Traveller
from synthbench.execution.clusters.slurm_commands import WAITING, Slurm
from synthbench.execution.clusters.slurm_table import Request, SlurmTable, request_for
from synthbench.execution.jobs import Job, Outcome, Place
from synthbench.execution.stage_run import Event
from synthbench.text import cut

COLLECTED = 0.2  # seconds within which stages that ask for the same are submitted as one array
PAUSE = 0.05  # seconds between two looks at the events of a stage, LONGEST for one that is silent
LONGEST = 0.5
GRACE = 10.0  # seconds that the files of an ended job may take to be seen here
LOST = ("NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED", "FAILED", "COMPLETED", "GONE")
"""Ends that are no fault of the stage: what runs it, in a process of its own, ended without an outcome."""
ENDED = {
    "TIMEOUT": "took longer than the time that its SLURM job had; give its kind more `minutes` in the file of --slurm",
    "OUT_OF_MEMORY": "needed more memory than its SLURM job had; give its kind more `memory` in the file of --slurm",
    "CANCELLED": "its SLURM job was cancelled",
}


class Posted:
    """A SLURM job that takes errands, as the run sees it. folder: see `carrier`."""

    def __init__(self, folder: Path, request: Request, group_minutes: float) -> None:
        self.folder, self.request, self.group_minutes = folder, request, group_minutes
        self.id = ""
        self.started: float | None = None
        self.count = 0
        (folder / INBOX).mkdir(parents=True)

    def post(self, errand: bytes) -> Path | None:
        """Hands over an errand, and returns where its events will be; None if the job takes no more."""
        self.count += 1
        written = self.folder / f"{self.count}.tmp"
        written.write_bytes(errand)
        try:
            written.rename(self.folder / INBOX / f"{self.count}.json")
        except FileNotFoundError:
            return None
        return self.folder / f"{self.count}.events"

    def has_room_for(self, request: Request) -> bool:
        """Whether it was given what this one asks for, and has the time left."""
        spent = 0.0 if self.started is None else (time.monotonic() - self.started) / 60
        given = self.request
        same = (given.options, given.processors, bool(given.memory)) == (request.options, request.processors, bool(request.memory))
        return (
            same
            and request.memory <= given.memory
            and request.gpus <= given.gpus
            and spent + request.minutes <= given.minutes + self.group_minutes
        )


class Post:
    """Submits SLURM jobs for the engines of a run, those that ask for the same at the same time as one array.

    folder: of the run's files.
    """

    def __init__(self, slurm: Slurm, folder: Path) -> None:
        self.slurm, self.folder = slurm, folder
        self._waiting: list[tuple[Request, Future[Posted]]] = []
        self._lock = threading.Lock()
        self._batches = 0

    def submit(self, request: Request) -> Posted:
        """A job that takes errands. Raises SynthbenchError if SLURM takes none."""
        future: Future[Posted] = Future()
        with self._lock:
            self._waiting.append((request, future))
            first = len(self._waiting) == 1
        if first:
            time.sleep(COLLECTED)
            with self._lock:
                waiting, self._waiting = self._waiting, []
            self._submit(waiting)
        return future.result()

    def _submit(self, waiting: list[tuple[Request, Future[Posted]]]) -> None:
        groups: dict[Request, list[Future[Posted]]] = defaultdict(list)
        for request, future in waiting:
            groups[request].append(future)
        for request, futures in groups.items():
            try:
                for future, posted in zip(futures, self._array(request, len(futures)), strict=True):
                    future.set_result(posted)
            except Exception as error:  # whoever waits must hear of it
                for future in futures:
                    if not future.done():
                        future.set_exception(error)

    def _array(self, request: Request, count: int) -> list[Posted]:
        table: SlurmTable = self.slurm.table
        with self._lock:
            self._batches += 1
            batch = self.folder / str(self._batches)
        found = [Posted(batch / str(number), request, table.group_minutes) for number in range(count)]
        module = "synthbench.execution.clusters.carrier"
        command = [shlex.quote(sys.executable), "-P", "-m", module, f'{shlex.quote(str(batch))}/"$SLURM_ARRAY_TASK_ID"', str(table.linger)]
        whole = replace(request, minutes=request.minutes + math.ceil(table.group_minutes))  # for more than its first stage
        identity = self.slurm.submit(whole, command, batch / "%a.log", array=count)
        for number, posted in enumerate(found):
            posted.id = f"{identity}_{number}"
        return found


class SlurmEngine:
    """Runs one job at a time, in a SLURM job that stays for the next stage if that asks for the same."""

    def __init__(self, post: Post, traveller: Traveller, experience: Experience) -> None:
        self.post, self.traveller, self.experience = post, traveller, experience
        self.table = post.slurm.table
        self.posted: Posted | None = None
        self.busy = self.closed = False

    def run(self, job: Job, emit: Callable[[Event], None], timeout: float) -> Outcome:
        """Runs a job as soon as SLURM gives what it asks for."""
        request = request_for(job, needs_of(job, self.experience, gpus=self.table.gpus), self.table, self.experience)
        self.busy = True
        try:
            events = self._hand_over(request, self.traveller.pack(job, timeout))
            for event in self._events(events):
                if event["event"] == "done":
                    outcome = msgspec.convert(event["outcome"], Outcome)
                    if not outcome.error:
                        self.experience.add(*kind_of(job), outcome.record.seconds, 0)  # more memory than at the start would cost new jobs
                    return outcome
                emit(event)
        except SynthbenchError as error:
            return Outcome(error=f"it could not be given to SLURM: {error}")
        finally:
            self.busy = False
        return Outcome(error="stopped") if self.closed else self._end()

    def suits(self, kind: str) -> bool:  # noqa: ARG002 - each asks for what it needs
        """Always."""
        return True

    def is_warm_for(self, place: Place) -> bool:  # noqa: ARG002 - the wait for SLURM is longer than the start of a worker
        """Whether a SLURM job waits for a stage."""
        return self.posted is not None

    def close(self) -> None:
        """Ends the SLURM job: at once if it runs a stage, else it ends by itself."""
        self.closed = True
        if (posted := self.posted) is not None:
            (posted.folder / STOP).touch()
            if self.busy:
                self.post.slurm.cancel([posted.id])

    def _hand_over(self, request: Request, errand: bytes) -> Path:
        """Gives an errand to the SLURM job that waits, or to a new one. Returns where its events will be."""
        if self.posted is not None and self.posted.has_room_for(request) and (events := self.posted.post(errand)) is not None:
            return events
        if self.posted is not None:
            (self.posted.folder / STOP).touch()
        self.posted = self.post.submit(request)
        events = self.posted.post(errand)
        if self.closed:
            self.post.slurm.cancel([self.posted.id])
        if events is None:
            raise SynthbenchError(f"the job {self.posted.id} ended before it got its first stage")
        return events

    def _events(self, path: Path) -> Iterator[Event]:
        """The events of the errand under way, until its outcome or until its SLURM job has ended."""
        posted, read, silent, ended = self.posted, 0, 0.0, 0.0
        assert posted is not None, "an errand was handed over"
        while not self.closed:
            lines, read = complete_lines(path, read)
            for line in lines:
                posted.started = posted.started or time.monotonic()
                yield msgspec.json.decode(line)
            silent = 0.0 if lines else silent + PAUSE
            if silent > LONGEST:
                state = self.post.slurm.state(posted.id)
                ended = 0.0 if state in WAITING or not state else ended or time.monotonic()
                if ended and time.monotonic() - ended > GRACE:
                    return
            time.sleep(min(max(silent, PAUSE), LONGEST))

    def _end(self) -> Outcome:
        """What became of a stage whose SLURM job ended without its outcome."""
        posted, self.posted = self.posted, None
        assert posted is not None, "an errand was handed over"
        state = self.post.slurm.state(posted.id)
        log = posted.folder.with_suffix(".log")
        trace = cut(log.read_text(errors="replace")[-2000:]) if log.exists() else ""
        what = ENDED.get(state, "its SLURM job ended without a word")
        return Outcome(error=f"{what} (job {posted.id}, {state or 'unknown'})", trace=trace, lost=state in LOST)


def complete_lines(path: Path, start: int) -> tuple[list[bytes], int]:
    """The whole lines of a file from an offset on, and the offset behind them."""
    try:
        with path.open("rb") as opened:
            opened.seek(start)
            text = opened.read()
    except FileNotFoundError:
        return [], start
    whole = text[: text.rfind(b"\n") + 1]
    return whole.splitlines(), start + len(whole)
