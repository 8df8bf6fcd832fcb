"""A store in an object store, such as a bucket of S3, with a folder on this machine that caches it.

    PREFIX/synthbench-store.json                    the mark, as in a folder
    PREFIX/records/<kind>/<key>.json                the record: the artifact is complete when it is there
    PREFIX/files/<kind>/<key>/<checksum>/<name>     its files, below the beginning of the record's checksum
    PREFIX/series/<series>/<key>                    which sample artifacts extend each other
    PREFIX/leases/                                  who is making what; see `storage.object_leases`
    PREFIX/damaged/<kind>/<key>-<checksum>.json     records that were set aside

Files are uploaded first and the record last, under the condition that there is none: of two hosts that made the same artifact, the first
one counts, and their files never mix. What is fetched is compared with the record before it is used. The cache is a store in a folder; it
can be removed at any time when no run uses it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from synthbench.errors import SynthbenchError
from synthbench.files import write_bytes
from synthbench.storage import object_leases
from synthbench.storage.local import BUILDING, LocalBuild, LocalStore, name_of
from synthbench.storage.manifest import STAGE, describe_files, unseal
from synthbench.storage.marks import MARK, check_mark, make_mark, read_mark
from synthbench.storage.object_leases import ObjectLease
from synthbench.storage.objects import Objects
from synthbench.storage.ownership import is_ours
from synthbench.storage.remote_names import (
    RECORD,
    RECORDS,
    SERIES,
    aside_name,
    cache_name,
    cache_root,
    files_name,
    record_name,
)
from synthbench.storage.store import Artifact, Busy, DamagedArtifact, StageRecord

COPIES = "known"  # records, in the folder of the cache
TRIES = 2  # downloads of files that do not arrive as they were stored
POLL = 3.0  # seconds between two looks at a lease
PAUSE = 0.2  # seconds between two looks whether another process has fetched an artifact


class RemoteStore:
    """The artifacts below one address. See `synthbench.storage.store.Store`."""

    def __init__(self, address: str, *, trust: bool = False, cache: Path | None = None) -> None:
        """Opens the store at `address`, and makes it if there is none.

        trust: also one that another user made. cache: where fetched artifacts are kept; None: below `cache_root()`.
        Raises SynthbenchError if it cannot be opened, or there is something else.
        """
        self.objects = Objects(address)
        if self.objects.is_folder and self.objects.has_below(BUILDING):
            raise SynthbenchError(f"{address}: a store in a folder; name it by its path, without file://")
        content = self.objects.read(MARK)
        self._mark = read_mark(content if content is not None else self._create(trust=trust))
        check_mark(self._mark, address, "address", trust=trust)
        self.cache = open_cache(cache or cache_root() / cache_name(self.address, str(self._mark.get("id"))), self.address)
        self._known: dict[tuple[str, str], StageRecord] = {}  # records of complete artifacts that this process has seen
        self._busy: dict[tuple[str, str], tuple[float, bool]] = {}
        self._building: set[tuple[str, str]] = set()  # what this process has the leases of

    @property
    def address(self) -> str:
        """As fsspec opens it."""
        return self.objects.address

    @property
    def packages(self) -> tuple[str, ...]:
        """The package by which fsspec opens this kind of store, such as s3fs."""
        return self.objects.packages

    @property
    def root(self) -> Path:
        """The folder of the cache."""
        return self.cache.root

    @property
    def is_ours(self) -> bool:
        """Whether this user made it."""
        return is_ours(self._mark)

    def contents(self) -> Iterator[tuple[str, str]]:
        """Kind and key of every artifact, whole or damaged."""
        for name in self.objects.find(RECORDS):
            if (found := RECORD.fullmatch(name)) is not None:
                yield found[1], found[2]

    def recent(self, kind: str, most: int = 200) -> Iterator[StageRecord]:
        """Records of stages of a kind, the latest first; those of damaged artifacts left out."""
        published = {name: moment for name, (_, moment) in self.objects.find(f"{RECORDS}/{kind}").items()}
        names = sorted(published, key=lambda name: published[name], reverse=True)[:most]
        contents = self.objects.read_many(names)
        for name in names:
            if name in contents and (found := RECORD.fullmatch(name)) is not None:
                with suppress(ValueError):
                    yield read_record(contents[name], found[1], found[2])

    def present(self, stages: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those kinds and keys of which there is an artifact, here or in the cache. Reads their records, those this host has not yet."""
        wanted = set(stages)
        there = {(found[1], found[2]): about for name, about in self.objects.find(RECORDS).items() if (found := RECORD.fullmatch(name))}
        missing: dict[str, tuple[str, str]] = {}
        for each in wanted & there.keys():
            with suppress(OSError, ValueError):
                self._known[each] = read_record(self._copy_of(each, there[each]).read_bytes(), *each)
                continue
            missing[record_name(*each)] = each
        for name, content in self.objects.read_many(sorted(missing)).items():
            each = missing[name]
            with suppress(ValueError):  # a damaged one is told by `get`
                self._known[each] = read_record(content, *each)
                with suppress(SynthbenchError):  # it saves time, nothing more
                    write_bytes(self._copy_of(each, there[each]), content)
        return {each for each in wanted if each in there or os.path.lexists(self.cache.folder(*each))}

    def _copy_of(self, stage: tuple[str, str], about: tuple[int, float]) -> Path:
        """Where this host keeps a record: a changed one has another size or time, and so another name."""
        return self.root / COPIES / stage[0] / f"{stage[1]}-{about[0]}-{about[1]:.3f}.json"

    def get(self, kind: str, key: str) -> Artifact | None:
        """The artifact, its record checked; None if there is none. Raises DamagedArtifact."""
        record = self._known.get((kind, key)) or self._read_record(kind, key)
        if record is None:
            return self._send_cached(kind, key)
        return Artifact(self.cache.folder(kind, key), record)

    def verify(self, kind: str, key: str) -> Artifact | None:
        """The artifact, with every file in the cache and checked; None if there is none. Raises DamagedArtifact."""
        if (artifact := self.get(kind, key)) is None:
            return None
        return self._intact(kind, key, artifact.record) or self._fetch(kind, key)

    def is_busy(self, kind: str, key: str) -> bool:
        """Whether a process is making this artifact, here or on another host."""
        looked, busy = self._busy.get((kind, key), (0.0, False))
        if time.monotonic() - looked > POLL or not looked:
            busy = object_leases.is_held(self.objects, name_of(kind, key))
            self._busy[kind, key] = time.monotonic(), busy
        return busy

    def set_aside(self, kind: str, key: str) -> str:
        """Renames the record of a damaged artifact, and returns its new address; empty if another process was first.

        Its files stay, for whoever wants to look, until `synthbench store gc`.
        """
        self._known.pop((kind, key), None)
        self.cache.discard(kind, key)
        content = self.objects.read(record_name(kind, key))
        if content is None:
            return ""
        try:
            mark = unseal(content).checksum
        except ValueError:
            mark = hashlib.sha256(content).hexdigest()
        aside = aside_name(kind, key, mark)
        self.objects.write(aside, content)
        self.objects.delete([record_name(kind, key)])
        return f"{self.address}/{aside}"

    @contextmanager
    def build(self, kind: str, key: str, *, resumable: bool = False, series: str = "") -> Iterator[RemoteBuild]:
        """A folder of the cache to build an artifact in; see `LocalStore.build`. Raises Busy."""
        lease = object_leases.acquire(self.objects, name_of(kind, key))
        if lease is None:
            raise Busy(f"{kind} {key[:12]}: another process is making it")
        self._building.add((kind, key))
        try:
            self._known.pop((kind, key), None)
            with self.cache.build(kind, key, resumable=resumable, series=series) as build:
                yield RemoteBuild(self, build, lease)
        finally:
            self._building.discard((kind, key))
            lease.release()
            self._busy.pop((kind, key), None)

    @contextmanager
    def hold(self, name: str) -> Iterator[bool]:
        """See `Store.hold`."""
        lease = object_leases.acquire(self.objects, name)
        try:
            yield lease is not None
        finally:
            if lease is not None:
                lease.release()

    def longest(self, kind: str, series: str) -> Artifact | None:
        """The artifact of a series with the most images; None if there is none."""
        found = []
        for name in self.objects.find(f"{SERIES}/{series}"):
            with suppress(DamagedArtifact):
                found += [artifact] if (artifact := self.get(kind, name.rpartition("/")[2])) is not None else []
        for artifact in sorted(found, key=lambda each: int(each.record.facts.get("images") or 0), reverse=True):
            with suppress(DamagedArtifact):
                if (whole := self.verify(kind, artifact.record.key)) is not None:
                    return whole
        return None

    def sweep(self) -> None:
        """Removes what processes that were killed left in the cache."""
        self.cache.sweep()

    def has_room(self) -> bool:
        """Whether a small file can be written to the cache."""
        return self.cache.has_room()

    def content_hash(self, path: Path, only: Sequence[Path] | None = None) -> str:
        """SHA-256 of a file, or of the files below a folder and their names. Raises SynthbenchError if there is nothing."""
        return self.cache.content_hash(path, only)

    def publish(self, build: LocalBuild, record: StageRecord) -> Artifact:
        """Stores a built folder in the cache, then uploads it. If another host published the same stage first, that one stays.

        Raises SynthbenchError if it cannot be uploaded; it stays in the cache, and the next look for it uploads it.
        """
        artifact = self.cache.publish(build, record)
        try:
            return self.send(artifact, build.series)
        except SynthbenchError as error:
            raise SynthbenchError(f"{error}. The result is kept in {artifact.folder} and uploaded by the next run on this host") from error

    def send(self, artifact: Artifact, series: str = "") -> Artifact:
        """Uploads an artifact of the cache, and returns the one that counts: this, or another that was there before.

        Files that are there already are written again: they may be the damaged ones of the same record.
        """
        kind, key, record = artifact.record.kind, artifact.record.key, artifact.record
        place = files_name(record)
        self.objects.upload({f"{place}/{name}": artifact.folder / name for name in record.files})
        for name in [series] if series else self.cache.series_of(kind, key):
            self.objects.write(f"{SERIES}/{name}/{key}", b"")
        content = (artifact.folder / STAGE).read_bytes()
        if not self.objects.create(record_name(kind, key), content):
            first = self._read_record(kind, key)
            if first is not None and first.checksum != record.checksum:
                self.objects.delete([f"{place}/{name}" for name in record.files])
                self.cache.discard(kind, key)
                if (theirs := self.verify(kind, key)) is None:
                    raise SynthbenchError(f"{self.address}: {kind} {key[:12]} could not be published; run again")
                return theirs
        self._known[kind, key] = record
        return artifact

    def _send_cached(self, kind: str, key: str) -> Artifact | None:
        """Uploads what the cache has and the store has not: a connection broke, or somebody removed it. None if it has nothing."""
        try:
            artifact = self.cache.verify(kind, key)
        except DamagedArtifact:
            artifact = None
        if artifact is None or self.objects.read(aside_name(kind, key, artifact.record.checksum)) is not None:
            self.cache.discard(kind, key)
            return None
        if (kind, key) in self._building:
            return self.send(artifact)
        with self.hold(name_of(kind, key)) as held:  # else `gc` could be removing the same files
            return self.send(artifact) if held else None

    def _read_record(self, kind: str, key: str) -> StageRecord | None:
        """The record as it is stored now; None if there is none. Raises DamagedArtifact."""
        self._known.pop((kind, key), None)
        if (content := self.objects.read(record_name(kind, key))) is None:
            return None
        try:
            record = read_record(content, kind, key)
        except ValueError as error:
            raise self._damage(kind, key, f"its record: {error}") from None
        self._known[kind, key] = record
        return record

    def _intact(self, kind: str, key: str, record: StageRecord) -> Artifact | None:
        """The copy in the cache, every file checked; None if there is none, or another or a damaged one, which is removed."""
        with suppress(DamagedArtifact):
            artifact = self.cache.verify(kind, key)
            if artifact is None or artifact.record.checksum == record.checksum:
                return artifact
        self.cache.discard(kind, key)
        return None

    def _fetch(self, kind: str, key: str) -> Artifact | None:
        """Copies an artifact to the cache, where one process does it and others wait. Raises DamagedArtifact."""
        while True:
            if (record := self._read_record(kind, key)) is None:
                return None
            try:
                with self.cache.receive(kind, key) as copy:
                    if (artifact := self._intact(kind, key, record)) is not None:  # another process has just fetched it
                        return artifact
                    self._download(record, copy.folder)
                    return self.cache.adopt(copy, record)
            except Busy:
                time.sleep(PAUSE)

    def _download(self, record: StageRecord, folder: Path) -> None:
        """Fetches the files of an artifact. What does not arrive as it was stored is fetched again. Raises DamagedArtifact."""
        missing, place = record.files, files_name(record)
        for _ in range(TRIES):
            try:
                self.objects.download({f"{place}/{name}": folder / name for name in missing})
            except FileNotFoundError:
                there = self.objects.find(place)
                gone = next((name for name in record.files if f"{place}/{name}" not in there), "a file")
                raise self._damage(record.kind, record.key, f"{gone} is missing") from None
            found = describe_files(folder)
            missing = {name: about for name, about in record.files.items() if found.get(name) != about}
            if not missing:
                return
        raise self._damage(record.kind, record.key, f"{min(missing)} is not what was stored")

    def _damage(self, kind: str, key: str, what: str) -> DamagedArtifact:
        return DamagedArtifact(f"{self.address}/{record_name(kind, key)}", kind, key, what)

    def _create(self, *, trust: bool) -> bytes:
        """Makes an empty prefix a store, and returns its mark."""
        content = make_mark(self.address, trust=trust)
        if self.objects.has_others(MARK):
            raise SynthbenchError(f"{self.address}: not a store of synthbench and not empty; name another prefix with --store")
        if self.objects.create(MARK, content):
            return content
        return self.objects.read(MARK) or b""


class RemoteBuild:
    """See `synthbench.storage.store.Build`."""

    def __init__(self, store: RemoteStore, build: LocalBuild, lease: ObjectLease) -> None:
        self.store, self.lease, self._build = store, lease, build

    @property
    def folder(self) -> Path:
        """Where its files are written."""
        return self._build.folder

    def publish(self, record: StageRecord) -> Artifact:
        """Makes the folder the artifact."""
        return self.store.publish(self._build, record)


def open_cache(folder: Path, address: str) -> LocalStore:
    """The cache of the store at an address. Raises SynthbenchError if something else is in the folder, or it cannot be written."""
    try:
        return LocalStore(folder, trust=True)
    except SynthbenchError as error:
        if isinstance(error.__cause__, OSError):  # it says what to do
            raise
        raise SynthbenchError(f"{folder}: is damaged and no cache of {address} any more; move it away, and it is made again") from error


def read_record(content: bytes, kind: str, key: str) -> StageRecord:
    """The record of an artifact. Raises ValueError if it is another's, or names files that would lie elsewhere: it comes from afar."""
    record = unseal(content)
    if (record.kind, record.key) != (kind, key):
        raise ValueError(f"it is the record of {record.kind} {record.key[:12]}")
    for name in record.files:
        if name == STAGE or "\\" in name or name != PurePosixPath(name).as_posix() or not {"..", "/"}.isdisjoint(PurePosixPath(name).parts):
            raise ValueError(f"{name[:80]!r} is no name of a file below the artifact's folder")
    return record
