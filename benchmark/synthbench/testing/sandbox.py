"""A temporary folder in which a plugin is checked: a guarded worker runs there, and its files and processes can be listed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from synthbench.execution.jobs import Place
from synthbench.execution.worker_process import ISOLATED, Worker, worker_command
from synthbench.testing.guarded import LOG
from synthbench.testing.processes import BENCH, processes_of

# Variables that set the folders to which libraries write by default.
FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "MPLCONFIGDIR", "YOLO_CONFIG_DIR")


class Sandbox:
    """A folder and the worker in it. place: as in a job."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="synthbench-check-")))
        for part in ("home", "tmp", "cwd", "logs"):
            (self.folder / part).mkdir()
        self.store = self.folder / "store"
        self.worker = self._worker()

    def close(self) -> None:
        """Ends the worker and all processes it left running, and removes the folder."""
        self.worker.close()
        for process in self.left_running():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def logged(self, what: str) -> Iterator[dict[str, Any]]:
        """The guard's log entries: `connection`, `write`, `read`, `damaged`, `print`, `leftover`, `options`, `boxes`, `scores`, `fault`."""
        log = self.folder / LOG
        lines = log.read_text().splitlines() if log.exists() else []
        return (note for note in map(json.loads, lines) if note["what"] == what)

    def left_running(self) -> dict[int, str]:
        """Id and command of processes that still run after their worker has ended; always empty on systems other than Linux."""
        alive = self.worker.process
        return processes_of(self.folder, [alive.pid] if alive is not None and alive.poll() is None else [])

    def listing(self, own: Path) -> dict[str, tuple[int, int]]:
        """Size and time of each file, (0, 0) for each folder; without a stage's own folder `own`, logs and the store's working folders."""
        excluded = (own, self.folder / "logs", self.store / "building", self.store / "series")
        found: dict[str, tuple[int, int]] = {}
        for folder, folders, files in os.walk(self.folder):
            here = Path(folder)
            folders[:] = [each for each in folders if here / each not in excluded]
            if self.store not in (here, *here.parents):  # the store creates folders for artifacts
                found.update({str(here / each): (0, 0) for each in folders})
            for each in files:
                state = (here / each).lstat()
                found[str(here / each)] = (state.st_size, state.st_mtime_ns)
        found.pop(str(self.folder / LOG), None)
        # torch creates this folder when it is imported, as a cache of kernels.
        return {path: state for path, state in found.items() if not path.startswith(str(self.folder / "tmp" / "torchinductor_"))}

    def _worker(self) -> Worker:
        """A guarded worker whose home, temporary and current folders are empty folders of this sandbox."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        variables: dict[str, str | None] = {
            BENCH: str(self.folder),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            **dict.fromkeys(FOLDERS),
            # Weights that were downloaded before must be found although HOME differs.
            "HF_HOME": os.environ.get("HF_HOME", str(cache / "huggingface")),
            "TORCHINDUCTOR_CACHE_DIR": None,  # torch sets it when it is imported, possibly in this process
            "TORCH_HOME": os.environ.get("TORCH_HOME", str(cache / "torch")),
            **(ISOLATED if self.place.python else {}),
        }
        python = self.place.python or sys.executable
        command = worker_command(python, str(self.store), self.place.distribution, "synthbench.testing.guarded")
        return Worker(self.folder / "logs" / "worker.log", 1, True, command, variables)
