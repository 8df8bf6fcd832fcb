"""The journal of a run: a file in the store that says where each stage is, for whoever looks while it goes on and after it was killed.

`runs/NAME.jsonl` has a line for the run and one for each change of a stage; `runs/NAME.lease` is held while the run goes on.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from synthbench.execution.listener import Listener
from synthbench.storage.leases import acquire, is_abandoned, looks_old

if TYPE_CHECKING:
    from synthbench.execution.jobs import Outcome
    from synthbench.execution.stage_run import Event
    from synthbench.planning.stage import Stage

RUNS = "runs"
KEPT = 20  # journals of ended runs


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a journal.

    at: seconds since the epoch. state: `run`, `ended`, or of a stage `running`, `done`, `failed`, `waiting`,
    `asked` (people, for labels).
    """

    at: float
    state: str
    label: str = ""
    key: str = ""
    host: str = ""
    error: str = ""
    suite: str = ""
    engine: str = ""
    process: int = 0
    total: int = 0
    stored: int = 0


@dataclass
class RunSeen:
    """A run, as its journal tells. stages: by key, the last line of each. going: whether it still runs, as far as this host can tell.

    silent: whether it should run on another host, and has not been heard of for long.
    """

    about: Line
    going: bool = False
    silent: bool = False
    ended: Line | None = None
    stages: dict[str, Line] = field(default_factory=dict)

    def in_state(self, state: str) -> list[Line]:
        """The last lines of the stages in a state."""
        return [each for each in self.stages.values() if each.state == state]


class Journal(Listener):
    """Writes the journal and passes everything on."""

    def __init__(self, listener: Listener, file: IO[bytes]) -> None:
        self.listener, self.file = listener, file
        self.host = socket.gethostname()
        self.broken = False

    def started(self, stage: Stage) -> None:
        """Notes that a stage starts."""
        self._note(stage, "running", host=self.host)
        self.listener.started(stage)

    def heard(self, stage: Stage, event: Event) -> None:
        """Notes where a stage runs; nothing else of what it says."""
        if event.get("event") == "placed":
            self._note(stage, "running", host=str(event.get("host", "")))
        self.listener.heard(stage, event)

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        """Notes how a stage ended."""
        self._note(stage, "failed" if outcome.error else "done", error=outcome.error)
        self.listener.finished(stage, outcome)

    def postponed(self, stage: Stage) -> None:
        """Notes that a stage waits again."""
        self._note(stage, "waiting")
        self.listener.postponed(stage)

    def damaged(self, stage: Stage, message: str) -> None:
        """Notes that a stage is to run again."""
        self._note(stage, "waiting", error=message)
        self.listener.damaged(stage, message)

    def waits(self, stage: Stage, message: str) -> None:
        """Notes that a stage waits for people."""
        self._note(stage, "asked", error=message)
        self.listener.waits(stage, message)

    def write(self, line: Line) -> None:
        """Adds a line. A journal that cannot be written stops no run: it is written again when there is room."""
        with suppress(OSError):
            self.file.write(msgspec.json.encode(line) + b"\n")

    def _note(self, stage: Stage, state: str, host: str = "", error: str = "") -> None:
        self.write(Line(at=time.time(), state=state, label=stage.label, key=stage.key, host=host, error=error))


def new_name() -> str:
    """A name for a run that begins now, in the order of time."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"


@contextmanager
def journal(root: Path, listener: Listener, *, suite: str, engine: str, total: int, stored: int) -> Iterator[Listener]:
    """A listener that writes the journal of a run in the store below `root`; the given one, where none can be written."""
    folder = root / RUNS
    name = new_name()
    try:
        folder.mkdir(exist_ok=True)
        remove_old(folder)
        lease = acquire(folder / f"{name}.lease")
        file = (folder / f"{name}.jsonl").open("ab", buffering=0)
    except OSError:
        yield listener
        return
    with file:
        writer = Journal(listener, file)
        host, process = socket.gethostname(), os.getpid()
        writer.write(Line(time.time(), "run", suite=suite, engine=engine, host=host, process=process, total=total, stored=stored))
        try:
            yield writer
        except BaseException as error:
            writer.write(Line(time.time(), "ended", error=str(error) or "stopped"))
            raise
        else:
            writer.write(Line(time.time(), "ended"))
        finally:
            if lease is not None:
                with suppress(OSError):
                    lease.release()


def runs_in(root: Path) -> list[RunSeen]:
    """The runs whose journals are in a store, the last one first."""
    decoder = msgspec.json.Decoder(Line)
    found = []
    for path in sorted((root / RUNS).glob("*.jsonl"), reverse=True):
        lines: list[Line] = []
        for text in path.read_bytes().splitlines():
            with suppress(msgspec.MsgspecError):  # a line that is being written, or was when the run was killed
                lines.append(decoder.decode(text))
        if lines and lines[0].state == "run":
            lease = path.with_suffix(".lease")
            found.append(seen(lines, going=not is_abandoned(lease), silent=looks_old(lease)))
    return found


def seen(lines: Sequence[Line], *, going: bool, silent: bool) -> RunSeen:
    """A run by the lines of its journal. A stage runs since its first line, on the host of its last."""
    run = RunSeen(lines[0], going, going and silent)
    for line in lines[1:]:
        if line.state == "ended":
            run.ended, run.going, run.silent = line, False, False
            continue
        before = run.stages.get(line.key)
        again = before is not None and before.state == line.state == "running"
        run.stages[line.key] = msgspec.structs.replace(line, at=before.at) if again and before else line
    return run


def remove_old(folder: Path) -> None:
    """Removes what runs left that ended, but for the last ones."""
    names = sorted({path.name.split(".")[0] for path in folder.iterdir()}, reverse=True)
    for name in names[KEPT:]:
        if is_abandoned(folder / f"{name}.lease"):
            for path in folder.glob(f"{name}.*"):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
