"""Leases: who is building in a folder of a store that several processes share, on one machine or on several.

A lease is a file beside the folder that names a host and a process. Its owner touches it every few seconds. A lease is abandoned
if its process is gone (on the same host), or if nobody has touched it for ten minutes (on another host). Times are those of the
file system, so clocks of hosts need not agree.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

HEARTBEAT = 15.0  # seconds
STALE = 600.0  # seconds without a heartbeat, after which another host's lease counts as abandoned


class Lease:
    """A lease that this process holds; use `acquire`."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self._content = content
        self._released = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    @property
    def is_ours(self) -> bool:
        """Whether nobody else took it over."""
        with suppress(OSError):
            return self.path.read_bytes() == self._content
        return False

    def release(self) -> None:
        """Gives the lease up."""
        self._released.set()
        if self.is_ours:
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._released.wait(HEARTBEAT):
            if self.is_ours:
                with suppress(OSError):
                    os.utime(self.path)


def acquire(path: Path) -> Lease | None:
    """The lease at `path`, or None while another process holds it. An abandoned one is taken over."""
    content = json.dumps({"host": this_host(), "process": os.getpid(), "started": started(os.getpid()), "id": uuid.uuid4().hex}).encode()
    for _ in range(2):
        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            if not remove_abandoned(path):
                return None
            continue
        with os.fdopen(file, "wb") as opened:
            opened.write(content)
        return Lease(path, content)
    return None


def remove_abandoned(path: Path) -> bool:
    """Removes a lease whose process is gone. False if it is held, or was taken over by another process meanwhile."""
    with suppress(FileNotFoundError):
        judged = path.read_bytes()
        if not is_abandoned(path):
            return False
        removed = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        path.rename(removed)  # atomic: one process gets this file
        if removed.read_bytes() != judged:  # another process was quicker, and this is its new lease: put it back
            with suppress(FileExistsError):
                os.link(removed, path)
            removed.unlink()
            return False
        removed.unlink()
    return True


def is_abandoned(path: Path) -> bool:
    """Whether the process that holds a lease is gone, as far as this host can tell. True if there is no lease."""
    try:
        content, touched = path.read_bytes(), path.stat().st_mtime
    except FileNotFoundError:
        return True
    with suppress(ValueError, KeyError, TypeError):
        owner = json.loads(content)
        if owner["host"] == this_host():
            return bool(started(int(owner["process"])) != owner["started"])
    return file_system_time(path.parent) - touched > STALE


def file_system_time(folder: Path) -> float:
    """Now, by the clock that gives files in this folder their times."""
    probe = folder / f".clock-{uuid.uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


@cache
def this_host() -> str:
    """This host and its table of processes: containers may share a host's name, and not its process ids."""
    parts = [socket.gethostname()]
    for source in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with suppress(OSError):
            path = Path(source)
            parts.append(str(path.readlink()) if path.is_symlink() else path.read_text().strip())
    return " ".join(parts)


def started(process: int) -> str | None:
    """When a process of this host started, or None if none runs by that id. An id may be reused; the pair is not."""
    with suppress(OSError, IndexError):
        state, *fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        return None if state in "ZX" else fields[18]  # a zombie has ended, and waits for its parent to notice
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "running"
