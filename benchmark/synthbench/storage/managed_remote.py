"""A store in an object store, looked through and tidied by a person."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress

from synthbench.storage import object_leases
from synthbench.storage.inventory import Leftover, Listed
from synthbench.storage.local import name_of
from synthbench.storage.managed_local import ManagedLocalStore
from synthbench.storage.marks import MARK
from synthbench.storage.objects import Objects
from synthbench.storage.remote import RemoteStore
from synthbench.storage.remote_names import DAMAGED, FILES, RECORD, RECORDS, SERIES, files_name, record_name
from synthbench.storage.store import DamagedArtifact, StageRecord

YOUNG = 3600.0  # seconds: files without a record may be on their way


class ManagedRemoteStore(RemoteStore):
    """See `synthbench.storage.inventory.ManagedStore`."""

    def check(self, kind: str, key: str) -> None:
        """Reads every file of an artifact where it is stored, without keeping it. Raises DamagedArtifact."""
        record = self._read_record(kind, key)
        if record is None:
            return
        for name, expected in record.files.items():
            try:
                with self.objects.open(f"{files_name(record)}/{name}") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                raise self._damage(kind, key, f"{name} is missing") from None
            if found != expected.sha256:
                raise self._damage(kind, key, f"{name} is not what was stored")

    def listed(self) -> Iterator[Listed]:
        """Every artifact, whole or damaged."""
        found = {RECORD.fullmatch(name): published for name, (_, published) in self.objects.find(RECORDS).items()}
        self.present((match[1], match[2]) for match in found if match)
        for match, published in found.items():
            if match:
                yield Listed.of(match[1], match[2], self._known.get((match[1], match[2])), published)

    def foreign(self, kind: str, key: str) -> list[str]:
        """The objects beside an artifact's files that the store did not put there."""
        with suppress(DamagedArtifact):
            if (artifact := self.get(kind, key)) is not None:
                place = files_name(artifact.record)
                return [name for name in self.objects.find(place) if name.removeprefix(f"{place}/") not in artifact.record.files]
        return []

    def series_of(self, kind: str, key: str) -> list[str]:  # noqa: ARG002 - a key is of one kind
        """The series that an artifact belongs to."""
        return [name.split("/")[1] for name in self.objects.find(SERIES) if name.endswith(f"/{key}")]

    def building(self) -> list[str]:
        """What processes are making now, here or on other hosts, and the runs that go on."""
        return [name for name in object_leases.names(self.objects) if object_leases.is_held(self.objects, name)]

    def doubtful(self) -> list[str]:
        """Those of `building` whose process is on another host and seems to have ended."""
        return [name for name in self.building() if object_leases.looks_old(self.objects, name)]

    def discard(self, kind: str, key: str) -> None:
        """Removes an artifact: first its record, so that nobody finds half of it. What is left by a stop, `leftovers` has."""
        series = [f"{SERIES}/{name}/{key}" for name in self.series_of(kind, key)]
        self._known.pop((kind, key), None)
        self.cache.discard(kind, key)
        self.objects.delete([record_name(kind, key), *series, *self.objects.find(f"{FILES}/{kind}/{key}")])

    def leftovers(self) -> list[Leftover]:
        """Records that were set aside, files without a record, and what killed processes left; of the cache too."""
        held, there = set(self.building()), set(self.contents())
        places = {files_name(record) for record in self._records(there)}
        gone, files = [], self.objects.find(FILES)
        now = self.objects.now() if files else 0.0
        for name, (size, written) in files.items():
            place, (kind, key) = "/".join(name.split("/")[:4]), name.split("/")[1:3]
            unread = (kind, key) in there and (kind, key) not in self._known  # of a damaged record: nobody knows its files
            if place not in places and not unread and name_of(kind, key) not in held and now - written > YOUNG:
                gone.append(Leftover(f"{self.address}/{name}", size))
        others = [*self.objects.find(DAMAGED).items(), *self._dead_leases(held)]
        gone += [Leftover(f"{self.address}/{name}", size) for name, (size, _) in others]
        return sorted([*gone, *self._cache_leftovers()], key=lambda each: each.place)

    def remove(self, leftovers: Sequence[Leftover]) -> int:
        """Removes what `leftovers` gave, but for what a process has taken up since; says how many it removed."""
        start = f"{self.address}/"
        cached = [each for each in leftovers if not each.place.startswith(start)]
        removed = ManagedLocalStore(self.cache.root, trust=True).remove(cached)
        by_lease: dict[str, list[str]] = {}
        for name in (each.place.removeprefix(start) for each in leftovers if each.place.startswith(start)):
            by_lease.setdefault(lease_for(name), []).append(name)
        for lease, names in by_lease.items():
            if (taken := object_leases.acquire(self.objects, lease)) is not None:
                try:
                    own = object_leases.lease_of(lease)
                    self.objects.delete([name for name in names if name != own])
                    removed += len(names)
                finally:
                    taken.release()
        return removed

    def _cache_leftovers(self) -> list[Leftover]:
        return ManagedLocalStore(self.cache.root, trust=True).leftovers()

    def _records(self, stages: set[tuple[str, str]]) -> list[StageRecord]:
        """The records of these artifacts that can be read."""
        self.present(stages)
        return [self._known[each] for each in stages if each in self._known]

    def _dead_leases(self, held: set[str]) -> list[tuple[str, tuple[int, float]]]:
        """Objects of leases that nobody holds."""
        return [each for each in self.objects.find(object_leases.LEASES).items() if object_leases.name_in(each[0]) not in held]


def lease_for(name: str) -> str:
    """The lease that protects an object."""
    if name.startswith(f"{object_leases.LEASES}/"):
        return object_leases.name_in(name)
    return name_of(*name.split("/")[1:3])


def has_store(address: str) -> bool:
    """Whether there is a store at an address. Makes nothing."""
    return Objects(address).read(MARK) is not None
