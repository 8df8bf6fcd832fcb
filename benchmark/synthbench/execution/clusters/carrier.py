"""What a SLURM job runs: it takes the errands from its folder, one after the other, and writes events and outcomes beside them.

    python -P -m synthbench.execution.clusters.carrier FOLDER LINGER

Folder: `inbox/N.json`, an errand, put there by one rename; `N.events`, its events as lines of JSON, the outcome last; `stop`, a wish to
end. When nothing has come for LINGER seconds it renames `inbox` to `closed`, so that who is late notices.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from synthbench.execution.clusters.remote import Errand, carry_out, unreachable
from synthbench.execution.engines import Workers
from synthbench.execution.jobs import Outcome
from synthbench.execution.stage_run import Event
from synthbench.storage.store import open_store

INBOX, CLOSED, STOP = "inbox", "closed", "stop"
PAUSE = 0.1  # seconds between two looks


class Carrier:
    """Runs errands in workers that stay from one to the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: Workers | None = None

    def run(self, linger: float) -> None:
        """Runs what comes until nothing more does."""
        idle = time.monotonic()
        while True:
            if waiting := errands_in(self.folder / INBOX):
                self.carry(waiting[0])
                idle = time.monotonic()
            elif time.monotonic() - idle > linger or (self.folder / STOP).exists():
                with suppress(FileNotFoundError):  # the folder of the run was removed
                    (self.folder / INBOX).rename(self.folder / CLOSED)
                for errand in errands_in(self.folder / CLOSED):  # came at the last moment
                    self.carry(errand)
                return
            else:
                time.sleep(PAUSE)

    def carry(self, path: Path) -> None:
        """Runs one errand; whatever happens, its events end with an outcome."""
        with (self.folder / f"{path.stem}.events").open("ab", buffering=0) as events:

            def emit(event: Event) -> None:
                events.write(msgspec.json.encode(event) + b"\n")

            try:
                errand = msgspec.json.decode(path.read_bytes(), type=Errand)
                path.unlink()
                outcome = self.perform(errand, emit)
            except Exception as error:
                outcome = Outcome(error=f"on {socket.gethostname()}: {type(error).__name__}: {error}")
            emit({"event": "done", "outcome": outcome})

    def perform(self, errand: Errand, emit: Callable[[Event], None]) -> Outcome:
        """Runs one errand in the workers of this machine."""
        if error := unreachable(errand.store):
            return Outcome(error=error)
        if self.workers is None:
            store = open_store(errand.store)
            log = store.root / "logs" / f"slurm-{socket.gethostname()}-{os.getpid()}.log"
            self.workers = Workers(store, log, errand.job.resources.threads, offline=errand.offline)
        return carry_out(errand, self.workers, emit)


def errands_in(folder: Path) -> list[Path]:
    """What waits there, the oldest first."""
    return sorted(folder.glob("*.json"), key=lambda path: int(path.stem))


if __name__ == "__main__":
    carrier = Carrier(Path(sys.argv[1]))
    try:
        carrier.run(float(sys.argv[2]))
    finally:
        if carrier.workers is not None:
            carrier.workers.close()
