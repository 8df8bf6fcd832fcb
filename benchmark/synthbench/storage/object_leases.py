"""Leases in an object store: who is making which artifact.

A lease is an object with the owner's host, process and a random id. Whoever creates it first holds it (`Objects.create`). The owner
writes a second object, the beat, every few seconds; the lease itself never changes, so no late heartbeat can undo a takeover. An
abandoned lease is overwritten by the one who creates an object named by the lease's id.
"""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import suppress

from synthbench.errors import SynthbenchError
from synthbench.storage import leases
from synthbench.storage.leases import new_content, owner_is_running, stopped
from synthbench.storage.objects import Objects

LEASES = "leases"
LEASE = re.compile(rf"{LEASES}/[^/]+\.(lease|(beat|over)-[0-9a-f]{{32}})")


class ObjectLease:
    """A lease that this process holds; use `acquire`."""

    def __init__(self, objects: Objects, name: str, content: bytes) -> None:
        self._objects, self._name, self._content = objects, name, content
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    @property
    def is_ours(self) -> bool:
        """Whether nobody else took it over. False too if the store cannot be reached."""
        with suppress(SynthbenchError):
            return self._objects.read(lease_of(self._name)) == self._content
        return False

    def release(self) -> None:
        """Gives the lease up. If the store cannot be reached, others find later that its owner has gone."""
        self._released.set()
        self._thread.join(leases.HEARTBEAT)  # a beat under way would leave an object behind
        with suppress(SynthbenchError):
            if self.is_ours:
                self._objects.delete([lease_of(self._name)])
            self._objects.delete([beat_of(self._name, self._content)])

    def _beat(self) -> None:
        number = 0
        while not self._released.wait(leases.HEARTBEAT):
            number += 1
            with suppress(SynthbenchError):  # the next one may come through
                self._objects.write(beat_of(self._name, self._content), str(number).encode())


def acquire(objects: Objects, name: str) -> ObjectLease | None:
    """The lease by this name, or None while another process holds it. An abandoned one is taken over."""
    content = new_content()
    if objects.create(lease_of(name), content):
        return ObjectLease(objects, name, content)
    judged = objects.read(lease_of(name))
    if judged is None or not is_abandoned(objects, name, judged):
        return None
    claim = f"{LEASES}/{name}.over-{identity_of(judged)}"
    if not objects.create(claim, content):
        if (since := objects.time_of(claim)) and objects.now() - since > leases.STALE:
            objects.delete([claim])  # whoever took it over was killed over it
        return None
    try:
        if objects.read(lease_of(name)) != judged:  # it was taken over and released meanwhile
            return None
        objects.write(lease_of(name), content)
        objects.delete([beat_of(name, judged)])
    finally:
        objects.delete([claim])
    return ObjectLease(objects, name, content)


def is_held(objects: Objects, name: str) -> bool:
    """Whether a process holds the lease by this name."""
    content = objects.read(lease_of(name))
    return content is not None and not is_abandoned(objects, name, content)


def is_abandoned(objects: Objects, name: str, content: bytes) -> bool:
    """Whether the process that holds a lease is gone, as far as this host can tell."""
    if (running := owner_is_running(content)) is not None:
        return not running
    beat = objects.read(beat_of(name, content))
    return stopped((objects.address, name), (content, beat), lambda: age_of(objects, name, content))


def looks_old(objects: Objects, name: str) -> bool:
    """Whether a lease of another host had its last heartbeat long ago, if that host's clock is right: to be sure, watch it."""
    content = objects.read(lease_of(name))
    return content is not None and owner_is_running(content) is None and age_of(objects, name, content) > leases.STALE


def age_of(objects: Objects, name: str, content: bytes) -> float:
    """Seconds since the last heartbeat of a lease with this content, by the store's clock."""
    return objects.now() - (objects.time_of(beat_of(name, content)) or objects.time_of(lease_of(name)) or 0.0)


def names(objects: Objects) -> list[str]:
    """The names of all leases."""
    return [name.removeprefix(f"{LEASES}/").removesuffix(".lease") for name in objects.find(LEASES) if name.endswith(".lease")]


def name_in(object: str) -> str:
    """The lease that an object below `LEASES` is a part of: itself, a beat, or a claim."""
    return object.removeprefix(f"{LEASES}/").rpartition(".")[0]


def lease_of(name: str) -> str:
    """The object of a lease."""
    return f"{LEASES}/{name}.lease"


def beat_of(name: str, content: bytes) -> str:
    """The object that the owner of a lease with this content keeps writing."""
    return f"{LEASES}/{name}.beat-{identity_of(content)}"


def identity_of(content: bytes) -> str:
    """A name for the content of a lease."""
    return hashlib.sha256(content).hexdigest()[:32]
