"""A store in an object store, looked through and tidied by a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from synthbench.storage import object_leases
from synthbench.storage.inventory import Leftover, Listed
from synthbench.storage.local import name_of
from synthbench.storage.managed_local import ManagedLocalStore
from synthbench.storage.manifest import unseal
from synthbench.storage.marks import MARK
from synthbench.storage.object_leases import LEASE, LEASES
from synthbench.storage.objects import Objects
from synthbench.storage.remote import RemoteStore, read_record
from synthbench.storage.remote_names import ASIDE, DAMAGED, FILE, FILES, RECORD, RECORDS, SERIES, files_name, mark_of, record_name
from synthbench.storage.store import DamagedArtifact, StageRecord

YOUNG = 3600.0  # seconds: files without a record may be on their way
UNREAD = "?"  # in place of the mark of a record that is damaged


class ManagedRemoteStore(RemoteStore):
    """See `synthbench.storage.inventory.ManagedStore`."""

    def check(self, kind: str, key: str) -> None:
        """Reads every file of an artifact where it is stored, without keeping it. Raises DamagedArtifact."""
        record = self._read_record(kind, key)
        if record is None:
            return
        for name, expected in record.files.items():
            found = self.objects.sha256(f"{files_name(record)}/{name}")
            if found is None:
                raise self._damage(kind, key, f"{name} is missing")
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
        """The objects beside an artifact's files that the store did not put there; of a damaged record, whatever is there."""
        with suppress(DamagedArtifact):
            if (artifact := self.get(kind, key)) is not None:
                return self._beside(artifact.record)
            return []
        return [*self.objects.find(f"{FILES}/{kind}/{key}")]

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
        files = [name for name in self.objects.find(f"{FILES}/{kind}/{key}") if FILE.fullmatch(name)]
        self.objects.delete([record_name(kind, key), *series, *files])

    def leftovers(self) -> list[Leftover]:
        """Records that were set aside, files without a record, and what killed processes left; of the cache too."""
        held, there = set(self.building()), set(self.contents())
        self.present(there)
        marks = {each: mark_of(self._known[each]) if each in self._known else UNREAD for each in there}
        files, aside = self.objects.find(FILES), self._set_aside()
        theirs = {name for beside in aside.values() for name in beside}
        unrecorded = unrecorded_in(files, marks, self.objects.now() if files else 0.0)
        gone = {name: files[name] for name in unrecorded if name not in theirs and lease_for(name) not in held}
        gone |= {name: about for name, about in self.objects.find(LEASES).items() if LEASE.fullmatch(name) and lease_for(name) not in held}
        found = [Leftover(f"{self.address}/{name}", size) for name, (size, _) in gone.items()]
        found += [Leftover(f"{self.address}/{name}", 0, next(iter(beside), "")) for name, beside in aside.items()]
        return sorted([*found, *self._cache_leftovers()], key=lambda each: each.place)

    def remove(self, leftovers: Sequence[Leftover]) -> int:
        """Removes what `leftovers` gave, but for what a process has taken up since; says how many it removed."""
        start = f"{self.address}/"
        leftovers = [each for each in leftovers if not each.foreign]
        cached = [each for each in leftovers if not each.place.startswith(start)]
        removed = ManagedLocalStore(self.cache.root, trust=True).remove(cached)
        by_lease: dict[str, list[str]] = {}
        for name in (each.place.removeprefix(start) for each in leftovers if each.place.startswith(start)):
            by_lease.setdefault(lease_for(name), []).append(name)
        now = self.objects.now() if by_lease else 0.0
        for lease, names in by_lease.items():
            if (taken := object_leases.acquire(self.objects, lease)) is not None:
                try:
                    own, unneeded = object_leases.lease_of(lease), self._still_unneeded(names, now)
                    unneeded.sort(key=lambda name: ASIDE.fullmatch(name) is not None)  # while one is there, no cache sends its artifact
                    self.objects.delete([name for name in unneeded if name != own])
                    removed += len(unneeded)
                finally:
                    taken.release()
        return removed

    def _still_unneeded(self, names: Sequence[str], now: float) -> list[str]:
        """Those of the names that are no files of an artifact that was published since they were listed; under its lease."""
        unneeded = {name for name in names if not FILE.fullmatch(name)}
        for stage in {(found[1], found[2]) for name in names if (found := FILE.fullmatch(name))}:
            marks = {}
            if (content := self.objects.read(record_name(*stage))) is not None:
                marks[stage] = UNREAD
                with suppress(ValueError):
                    marks[stage] = mark_of(read_record(content, *stage))
            unneeded |= unrecorded_in(self.objects.find(f"{FILES}/{stage[0]}/{stage[1]}"), marks, now)
        return [name for name in names if name in unneeded]

    def _set_aside(self) -> dict[str, list[str]]:
        """The records that were set aside, by the names of their objects: what lies among their files and they do not name."""
        found: dict[str, list[str]] = {}
        for name, content in self.objects.read_many([name for name in self.objects.find(DAMAGED) if ASIDE.fullmatch(name)]).items():
            found[name] = []
            with suppress(ValueError):  # a damaged one names nothing
                found[name] = self._beside(unseal(content))
        return found

    def _beside(self, record: StageRecord) -> list[str]:
        """The objects among the files of a record that it does not name."""
        known = {f"{files_name(record)}/{name}" for name in record.files}
        return [name for name in self.objects.find(files_name(record)) if name not in known]

    def _cache_leftovers(self) -> list[Leftover]:
        return ManagedLocalStore(self.cache.root, trust=True).leftovers()


def unrecorded_in(files: Mapping[str, tuple[int, float]], marks: Mapping[tuple[str, str], str], now: float) -> set[str]:
    """Those of the files that are of no record, without young ones, which may be on their way.

    files: as `Objects.find` gives them. marks: of the records that there are, as `mark_of` gives them; `UNREAD`: nobody knows which files
    are of that record. now: by the store's clock, in seconds since 1970.
    """
    return {
        name
        for name, (_, written) in files.items()
        if (found := FILE.fullmatch(name)) and marks.get((found[1], found[2])) not in (UNREAD, found[3]) and now - written > YOUNG
    }


def lease_for(name: str) -> str:
    """The lease that protects an object."""
    if (found := FILE.fullmatch(name) or ASIDE.fullmatch(name)) is not None:
        return name_of(found[1], found[2])
    return object_leases.name_in(name)


def has_store(address: str) -> bool:
    """Whether there is a store at an address. Makes nothing."""
    return Objects(address).read(MARK) is not None
