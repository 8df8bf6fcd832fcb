"""Leases: who is building in a folder of a store that several processes share, on one machine or on several.

A lease is a file beside the folder that names a host and a process. Its owner touches it every few seconds. On the owner's host, a
lease is abandoned when its process is gone. Other hosts cannot see that: to them it is abandoned when it has not changed for
`STALE` seconds, or for `WATCHED` seconds if it was old already, by the clock of the file system, when they began to watch. Waiting is
measured by the watching process's own clock: clocks of hosts need not agree, even where files get the times of the host that writes.

No `flock`: it is not reliable on NFS. A lease appears with its whole content, by a hard link to a file that was written before, and is
taken over by a rename. Over NFS either may have succeeded although it reports failure, when the server's answer was lost and the request
was sent again; so what counts is what is there afterwards.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import cache
from pathlib import Path

HEARTBEAT = 15.0  # seconds
STALE = 600.0  # seconds without a heartbeat, after which another host's lease counts as abandoned
WATCHED = 60.0  # seconds that a lease is watched which looks older than that: its host may have another clock
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


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
        return holds(self.path, self._content)

    def release(self) -> None:
        """Gives the lease up."""
        self._released.set()
        if self.is_ours:
            with suppress(OSError):  # a full or read-only disk must not hide what went wrong before
                self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._released.wait(HEARTBEAT):
            if self.is_ours:
                with suppress(OSError):
                    os.utime(self.path)


def acquire(path: Path) -> Lease | None:
    """The lease at `path`, or None while another process holds it. An abandoned one is taken over."""
    content = new_content()
    for _ in range(2):
        if create(path, content):
            return Lease(path, content)
        if not remove_abandoned(path):
            return None
    return None


def new_content() -> bytes:
    """What a new lease of this process contains."""
    owner = {"host": this_host(), "process": os.getpid(), "started": started(os.getpid()), "id": uuid.uuid4().hex}
    return json.dumps(owner).encode()


def create(path: Path, content: bytes) -> bool:
    """Makes a file with this content unless there is one by that name, and says whether it is this one that is there now."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(content)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            with suppress(FileExistsError), os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644), "wb") as opened:
                opened.write(content)
        return holds(path, content)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def holds(path: Path, content: bytes) -> bool:
    """Whether a file has this content. A handle that went stale on the server is opened again."""
    for _ in range(3):
        try:
            return path.read_bytes() == content
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno != errno.ESTALE:
                return False
    return False


def remove_abandoned(path: Path) -> bool:
    """Removes a lease whose process is gone. False if it is held, or was taken over by another process meanwhile."""
    with suppress(FileNotFoundError):
        judged = path.read_bytes()
        if not is_abandoned(path):
            return False
        removed = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        with suppress(FileNotFoundError):  # another process was quicker, or NFS reports a rename that succeeded as failed
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
        content = path.read_bytes()  # opening it first: NFS asks the server for its times then
        touched = path.stat().st_mtime_ns
    except FileNotFoundError:
        return True
    if (running := owner_is_running(content)) is not None:
        return not running
    return stopped(path, (content, touched), lambda: file_system_time(path.parent) - touched / 1e9)


def owner_is_running(content: bytes) -> bool | None:
    """Whether the process that a lease names runs; None if this host cannot tell."""
    with suppress(ValueError, KeyError, TypeError):
        owner = json.loads(content)
        if owner["host"] == this_host():
            found = started(int(owner["process"]))
            return None if found == HIDDEN else bool(found == owner["started"])
    return None


def looks_old(path: Path) -> bool:
    """Whether a lease of another host had its last heartbeat long ago, if that host's clock is right: to be sure, watch it."""
    try:
        content = path.read_bytes()
        touched = path.stat().st_mtime
    except FileNotFoundError:
        return False
    return owner_is_running(content) is None and file_system_time(path.parent) - touched > STALE


_watched: dict[Hashable, tuple[object, float]] = {}  # lease -> its state, and since when this process has seen it


def stopped(lease: Hashable, state: object, age: Callable[[], float]) -> bool:
    """Whether the owner of a lease on another host has stopped to touch it.

    state: what every heartbeat changes. age: seconds since the last one by the store's clock, which may be wrong.
    """
    known = _watched.get(lease)
    now = time.monotonic()
    if known is None or known[0] != state:
        known = _watched[lease] = (state, now)
    quiet = now - known[1]
    return quiet >= STALE or (quiet >= WATCHED and age() > STALE)


def file_system_time(folder: Path) -> float:
    """Now, by the clock that gives files in this folder their times, in seconds since 1970; by this host's if nothing can be written."""
    probe = folder / f".clock-{uuid.uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with suppress(OSError):
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


HIDDEN = "hidden"


def started(process: int) -> str | None:
    """When a process of this host started, or None if none runs by that id. An id may be reused; the pair is not.

    `HIDDEN` if the system does not show it: /proc may leave out other users' processes (`hidepid`).
    """
    with suppress(OSError, IndexError):
        state, *fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        return None if state in "ZX" else fields[18]  # a zombie has ended, and waits for its parent to notice
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return HIDDEN if Path("/proc/self/stat").exists() else "running"
    return None if Path("/proc/self/stat").exists() else "running"  # it ended between the two looks
