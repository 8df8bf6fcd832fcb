"""Where a plugin is let loose: folders of its own, a warm worker under guard in them, and what can be seen of it from outside."""

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

from synthbench.execution.worker_process import ISOLATED, Worker, worker_command
from synthbench.testing.guarded import LOG
from synthbench.testing.processes import BENCH, processes_of

# Folders that libraries write to unasked, unless a variable names another.
FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "MPLCONFIGDIR", "YOLO_CONFIG_DIR")


class Sandbox:
    """A folder, and the worker in it. python: the interpreter of an environment; empty: this one."""

    def __init__(self, python: str) -> None:
        self.python = python
        self.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="synthbench-check-")))
        for part in ("home", "tmp", "cwd", "logs"):
            (self.folder / part).mkdir()
        self.store = self.folder / "store"
        self.worker = self._worker()

    def close(self) -> None:
        """Ends the worker and whatever outlived it, and removes the folder."""
        self.worker.close()
        for process in self.left_running():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def heard(self, what: str) -> Iterator[dict[str, Any]]:
        """What the guard noted: `connection`, `write`, `read`, `damaged`, `print`, `left`, `options`, `boxes`, `scores` or `strike`."""
        log = self.folder / LOG
        lines = log.read_text().splitlines() if log.exists() else []
        return (note for note in map(json.loads, lines) if note["what"] == what)

    def left_running(self) -> dict[int, str]:
        """Number and command of processes that outlived the worker that began them; nothing is known but on Linux."""
        alive = self.worker.process
        return processes_of(self.folder, [alive.pid] if alive is not None and alive.poll() is None else [])

    def listing(self, own: Path) -> dict[str, tuple[int, int]]:
        """Size and time of every file but those of a stage's own folder and of the store itself; of folders, that they exist."""
        aside = (own, self.folder / "logs", self.store / "building", self.store / "series")
        found: dict[str, tuple[int, int]] = {}
        for folder, folders, files in os.walk(self.folder):
            here = Path(folder)
            folders[:] = [each for each in folders if here / each not in aside]
            if self.store not in (here, *here.parents):  # where the store makes folders for artifacts
                found.update({str(here / each): (0, 0) for each in folders})
            for each in files:
                state = (here / each).lstat()
                found[str(here / each)] = (state.st_size, state.st_mtime_ns)
        found.pop(str(self.folder / LOG), None)
        # torch makes it when it is imported, for kernels that all its users share.
        return {path: state for path, state in found.items() if not path.startswith(str(self.folder / "tmp" / "torchinductor_"))}

    def _worker(self) -> Worker:
        """A worker under guard, whose home, folder for temporary files and current folder are empty ones of this bench."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        variables: dict[str, str | None] = {
            BENCH: str(self.folder),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            **dict.fromkeys(FOLDERS),
            # Weights that were downloaded before are there, wherever home is.
            "HF_HOME": os.environ.get("HF_HOME", str(cache / "huggingface")),
            "TORCHINDUCTOR_CACHE_DIR": None,  # torch sets it when it is imported, perhaps by who runs the check
            "TORCH_HOME": os.environ.get("TORCH_HOME", str(cache / "torch")),
            **(ISOLATED if self.python else {}),
        }
        command = worker_command(self.python or sys.executable, str(self.store), "synthbench.testing.guarded")
        return Worker(self.folder / "logs" / "worker.log", 1, True, command, variables)
