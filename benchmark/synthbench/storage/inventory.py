"""What a store holds, for people: its artifacts with their sizes and dates, and what nobody needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from synthbench.storage.store import StageRecord, Store, is_remote


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An artifact. size: bytes of its files. published: seconds since 1970, by the store's clock. label: empty if it is damaged."""

    kind: str
    key: str
    label: str
    size: int
    published: float

    @classmethod
    def of(cls, kind: str, key: str, record: StageRecord | None, published: float) -> Listed:
        """The artifact with this record; None: it cannot be read."""
        size = sum(file.size for file in record.files.values()) if record else 0
        return cls(kind=kind, key=key, label=record.label if record else "", size=size, published=published)


@dataclass(frozen=True)
class Leftover:
    """What a store holds and nobody needs. place: where it is. size: bytes. foreign: a file in it that may not be the store's; it stays."""

    place: str
    size: int
    foreign: str = ""


class ManagedStore(Store, Protocol):
    """A store that can be looked through and tidied: both kinds can."""

    def listed(self) -> Iterator[Listed]:
        """Every artifact, whole or damaged."""

    def check(self, kind: str, key: str) -> None:
        """Reads every file of an artifact where it is stored. Raises DamagedArtifact."""

    def foreign(self, kind: str, key: str) -> list[str]:
        """The files in an artifact's folder that the store did not put there."""

    def series_of(self, kind: str, key: str) -> list[str]:
        """The series that an artifact belongs to; see `Store.build`."""

    def building(self) -> list[str]:
        """What processes are making now, here or on other hosts, and the runs that go on."""

    def doubtful(self) -> list[str]:
        """Those of `building` whose process is on another host and seems to have ended: call that again after `WATCHED` seconds."""

    def discard(self, kind: str, key: str) -> None:
        """Removes an artifact."""

    def leftovers(self) -> list[Leftover]:
        """Damaged artifacts that were set aside, and what killed processes left."""

    def remove(self, leftovers: Sequence[Leftover]) -> int:
        """Removes what `leftovers` gave, but for what a process has taken up since; says how many it removed."""


def open_managed(address: str, *, trust: bool) -> ManagedStore:
    """The store at an address, for a person; made if there is none. trust: also one that another user made."""
    if is_remote(address):
        from synthbench.storage.managed_remote import ManagedRemoteStore

        return ManagedRemoteStore(address, trust=trust)
    from synthbench.storage.managed_local import ManagedLocalStore

    return ManagedLocalStore(Path(address), trust=trust)


def find_key(store: ManagedStore, beginning: str) -> list[tuple[str, str]]:
    """Kind and key of the artifacts whose key begins so; `KIND/KEY` names one of a kind."""
    kind, _, key = beginning.rpartition("/")
    return [each for each in store.contents() if each[1].startswith(key) and kind in ("", each[0])]


def unneeded(store: ManagedStore, needed: Iterable[tuple[str, str]]) -> tuple[list[Listed], dict[tuple[str, str], list[str]]]:
    """The artifacts that are not needed, and of those that must stay nevertheless the files in them that the store did not write."""
    kept, remove, foreign = set(needed), [], {}
    for each in store.listed():
        if (each.kind, each.key) in kept:
            continue
        if names := store.foreign(each.kind, each.key):
            foreign[each.kind, each.key] = names
        else:
            remove.append(each)
    return remove, foreign
