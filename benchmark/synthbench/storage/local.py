"""A store in a folder: one folder for each artifact, named by the key of its stage.

An artifact is built below `building/` under a lease, and published by one rename, so stored artifacts are always complete. Beside its
files is `stage.json`, its record. Several processes, on several hosts that share the file system, can use one store; see
`storage.leases`. A store contains no symbolic links: a folder from somebody else could lead out of itself with them.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import structs

from synthbench.errors import SynthbenchError
from synthbench.storage.hashes import FileHashes
from synthbench.storage.leases import Lease, acquire, file_system_time, is_abandoned
from synthbench.storage.manifest import STAGE, Verifier, describe_files, seal, unseal
from synthbench.storage.marks import MARK, check_mark, make_mark, read_mark
from synthbench.storage.ownership import is_ours
from synthbench.storage.remote_names import RECORDS
from synthbench.storage.store import Artifact, Busy, DamagedArtifact, StageRecord
from synthbench.text import printable

BUILDING, SERIES = "building", "series"
CANNOT_WRITE = "cannot be written"
PROBE = 2**20  # bytes
PARTIAL, LEASE, DAMAGED = ".partial", ".lease", ".damaged"
RECEIVED, REMOVED = "copy-", "removed-"
TEMPORARY = re.compile(r"\.(clock|probe)-[0-9a-f]{32}|.+\.lease\.[0-9a-f]{32}")
KEY = re.compile(r"[0-9a-f]{64}")  # what is called otherwise, synthbench did not write
OLD = 3 * 3600.0  # seconds: more than clocks of hosts are apart


class LocalStore:
    """The artifacts below one folder. See `synthbench.storage.store.Store`."""

    def __init__(self, root: Path, *, trust: bool = False) -> None:
        """Opens the store in `root`, and makes it if there is none.

        trust: also one that another user or another machine made.
        Raises SynthbenchError if the folder holds something else, or links: no foreign file is ever touched.
        """
        if printable(str(root)) != str(root):
            raise SynthbenchError(f"{root}: a store's path must be UTF-8 without control characters; name another folder with --store")
        self.given, self.root = root, root.resolve()
        with disk_errors_explained(self.root):
            if not (self.root / MARK).exists():
                self._create(trust=trust)
            self._refuse_links()
            check_mark(self._mark(), root, "folder", trust=trust)
            if (self.root / RECORDS).is_dir() and not (self.root / BUILDING).exists():
                raise SynthbenchError(f"{root}: a store of objects; name it with --store file://{self.root}")
            (self.root / BUILDING).mkdir(exist_ok=True)
        self._hashes = FileHashes(self.root / "hashes.json")
        self._verifier = Verifier()

    @property
    def address(self) -> str:
        """The folder."""
        return str(self.root)

    @property
    def packages(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def is_ours(self) -> bool:
        """Whether this user made it, on this machine."""
        return is_ours(self._mark())

    def folder(self, kind: str, key: str) -> Path:
        """Where the artifact of this stage is, or would be."""
        return Path(self._path(kind, key))

    def _path(self, kind: str, key: str) -> str:
        """The same as text: plans ask for thousands, and making a `Path` takes longer than looking."""
        return f"{self.root}/{kind}/{key[:2]}/{key}"

    def get(self, kind: str, key: str) -> Artifact | None:
        """The artifact, its record checked; None if there is none. Raises DamagedArtifact."""
        path = self._path(kind, key)
        if not os.path.lexists(path):
            return None
        folder = Path(path)
        if any(map(os.path.islink, (path, path.removesuffix(f"/{key}"), f"{path}/{STAGE}"))):
            raise DamagedArtifact(folder, kind, key, "it is a link")
        try:
            record = unseal((folder / STAGE).read_bytes())
            if (record.kind, record.key) != (kind, key):
                raise ValueError(f"it is the record of {record.kind} {record.key[:12]}")
            return Artifact(folder, record)
        except (OSError, ValueError) as error:  # ValueError: not JSON, not text, no record, or another one
            raise DamagedArtifact(folder, kind, key, f"{STAGE}: {error}") from None

    def verify(self, kind: str, key: str) -> Artifact | None:
        """The artifact, with every file checked; None if there is none. Raises DamagedArtifact."""
        artifact = self.get(kind, key)
        if artifact is not None:
            self._verifier.verify(artifact, kind, key)
        return artifact

    def is_busy(self, kind: str, key: str) -> bool:
        """Whether a process is making this artifact."""
        return not is_abandoned(self._lease_of(name_of(kind, key)))

    def set_aside(self, kind: str, key: str) -> str:
        """Renames a damaged artifact, and returns its new name; empty if another process was first.

        Raises SynthbenchError if it cannot be renamed.
        """
        folder, aside = self.folder(kind, key), None
        try:
            aside = Path(tempfile.mkdtemp(prefix=f"{key[:12]}.", suffix=DAMAGED, dir=folder.parent))
            if folder.is_symlink() or folder.is_file():  # neither can replace a folder
                aside.rmdir()
            folder.replace(aside)
        except OSError as error:
            with suppress(OSError):
                if aside is not None:
                    aside.rmdir()
            if os.path.lexists(folder):
                raise SynthbenchError(f"{folder}: damaged, and cannot be renamed ({error.strerror}); remove it by hand") from error
            return ""
        return str(aside)

    def discard(self, kind: str, key: str) -> None:
        """Removes an artifact, in one rename as far as others can see."""
        folder = self.folder(kind, key)
        for name in self.series_of(kind, key):
            (self.root / SERIES / name / key).unlink(missing_ok=True)
        if os.path.lexists(folder):
            gone = self.root / BUILDING / f"{REMOVED}{uuid.uuid4().hex}"
            with disk_errors_explained(self.root), suppress(FileNotFoundError):  # another process may be quicker
                folder.rename(gone)
                if gone.is_symlink() or gone.is_file():
                    gone.unlink()
                else:
                    shutil.rmtree(gone, ignore_errors=True)

    @contextmanager
    def build(self, kind: str, key: str, *, resumable: bool = False, series: str = "") -> Iterator[LocalBuild]:
        """A folder to build an artifact in, removed at the end unless it was published. Raises Busy."""
        with self._building(kind, key, name_of(kind, key), resumable=resumable) as (folder, lease):
            yield LocalBuild(self, kind, key, folder, lease, series)

    @contextmanager
    def receive(self, kind: str, key: str) -> Iterator[LocalBuild]:
        """A folder for the copy of an artifact of another store; one process at a time, beside one that builds it. Raises Busy."""
        with self._building(kind, key, f"{RECEIVED}{name_of(kind, key)}", resumable=False) as (folder, lease):
            yield LocalBuild(self, kind, key, folder, lease, "")

    @contextmanager
    def _building(self, kind: str, key: str, name: str, *, resumable: bool) -> Iterator[tuple[Path, Lease]]:
        with disk_errors_explained(self.root):
            lease = acquire(self._lease_of(name))
            if lease is None:
                raise Busy(f"{kind} {key[:12]}: another process is making it")
            try:
                notice_changes(self.folder(kind, key).parent)
                folder = self.root / BUILDING / f"{name}{PARTIAL if resumable else ''}"
                if not resumable:
                    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
                folder.mkdir(exist_ok=True)
            except BaseException:
                lease.release()
                raise
        try:
            yield folder, lease
        except BaseException:
            if not resumable:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        else:
            shutil.rmtree(folder, ignore_errors=True)  # nothing is left of a published one
        finally:
            lease.release()

    @contextmanager
    def hold(self, name: str) -> Iterator[bool]:
        """See `Store.hold`."""
        with disk_errors_explained(self.root):
            lease = acquire(self._lease_of(name))
        try:
            yield lease is not None
        finally:
            if lease is not None:
                lease.release()

    def longest(self, kind: str, series: str) -> Artifact | None:
        """The artifact of a series with the most images; None if there is none."""
        folder = self.root / SERIES / series
        found = []
        for key in [each.name for each in folder.iterdir()] if folder.is_dir() else []:
            with suppress(DamagedArtifact):
                found += [artifact] if (artifact := self.verify(kind, key)) is not None else []
        return max(found, key=lambda artifact: int(artifact.record.facts.get("images") or 0), default=None)

    def sweep(self) -> None:
        """Removes what processes that were killed left unfinished, but for what the next attempt continues with."""
        building = self.root / BUILDING
        with suppress(OSError):  # of a store that can only be read
            folders = {each.name for each in building.iterdir() if each.is_dir() and each.suffix != PARTIAL}
            leases = {each.stem for each in building.glob(f"*{LEASE}") if each.is_file()}
            for name in sorted(folders | leases):
                lease = self._lease_of(name)
                if is_abandoned(lease) and (taken := acquire(lease)) is not None:
                    shutil.rmtree(building / name, ignore_errors=True)
                    taken.release()
            self._sweep_temporaries(building)

    def _sweep_temporaries(self, building: Path) -> None:
        """Removes the small files of processes that were killed between two steps."""
        small = [each for each in building.iterdir() if TEMPORARY.fullmatch(each.name) and each.is_file()]
        now = file_system_time(building) if small else 0.0
        for each in small:
            with suppress(OSError):
                if now - each.stat().st_mtime > OLD:
                    each.unlink()

    def present(self, stages: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those kinds and keys of which there is an artifact."""
        return {(kind, key) for kind, key in stages if os.path.lexists(self._path(kind, key))}

    def contents(self) -> Iterator[tuple[str, str]]:
        """Kind and key of every artifact, whole or damaged."""
        for folder in sorted(self.root.glob("*/[0-9a-f][0-9a-f]/*")):
            if folder.name.startswith(folder.parent.name) and KEY.fullmatch(folder.name):
                yield folder.parents[1].name, folder.name

    def recent(self, kind: str, most: int = 200) -> Iterator[StageRecord]:
        """Records of stages of a kind, the latest first; those of damaged artifacts left out."""
        folders = [each for each in self.root.glob(f"{kind}/[0-9a-f][0-9a-f]/*") if not each.name.endswith(DAMAGED)]
        for folder in sorted(folders, key=lambda each: each.stat().st_mtime, reverse=True)[:most]:
            with suppress(DamagedArtifact):
                if (artifact := self.get(kind, folder.name)) is not None:
                    yield artifact.record

    def series_of(self, kind: str, key: str) -> list[str]:  # noqa: ARG002 - a key is of one kind
        """The series that an artifact belongs to."""
        return sorted(each.parent.name for each in self.root.glob(f"{SERIES}/*/{key}"))

    def has_room(self) -> bool:
        """Whether a small file can be written."""
        probe = self.root / BUILDING / f".probe-{uuid.uuid4().hex}"
        try:
            probe.write_bytes(bytes(PROBE))
        except OSError:
            return False
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
        return True

    def content_hash(self, path: Path, only: Sequence[Path] | None = None) -> str:
        """SHA-256 of a file, or of the files below a folder and their names. Raises SynthbenchError if there is nothing."""
        return self._hashes.of_content(path, only)

    def publish(self, build: LocalBuild, record: StageRecord) -> Artifact:
        """Makes a built folder the artifact; if another process published the same stage first, that one stays."""
        with disk_errors_explained(self.root):
            files = describe_files(build.folder)
        return self.adopt(build, structs.replace(record, kind=build.kind, key=build.key, files=files))

    def adopt(self, build: LocalBuild, record: StageRecord) -> Artifact:
        """The same for a folder whose files are known to be those of the record."""
        with disk_errors_explained(self.root):
            if not build.lease.is_ours:
                raise SynthbenchError(f"{build.folder}: another process took over this stage, so its result was not stored")
            (build.folder / STAGE).write_bytes(seal(record))
            folder = self.folder(build.kind, build.key)
            folder.parent.mkdir(parents=True, exist_ok=True)
            build.folder.chmod(0o755)
            try:
                build.folder.rename(folder)
            except OSError:  # another process published it first, or NFS reports a rename that succeeded as failed
                if not os.path.lexists(folder):
                    raise
            if build.series:
                members = self.root / SERIES / build.series
                members.mkdir(parents=True, exist_ok=True)
                (members / build.key).touch()
        found = self.get(build.kind, build.key)
        if found is None:
            raise SynthbenchError(f"{folder}: could not be published")
        return found

    def _create(self, *, trust: bool) -> None:
        """Makes an empty folder a store."""
        content = make_mark(self.given, trust=trust)
        foreign = self.root.exists() and any(not each.name.startswith(f".{MARK}") for each in self.root.iterdir())
        if foreign and not (self.root / MARK).exists():  # else another process has made the store by now
            raise SynthbenchError(f"{self.given}: not a store of synthbench and not empty; name another folder with --store")
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = self.root / f".{MARK}-{uuid.uuid4().hex}"
        temporary.write_bytes(content)
        try:
            os.link(temporary, self.root / MARK)
        except FileExistsError:  # another process was first
            pass
        except OSError:  # the file system has no hard links
            temporary.replace(self.root / MARK)
        temporary.unlink(missing_ok=True)

    def _mark(self) -> dict[str, object]:
        return read_mark((self.root / MARK).read_bytes())

    def _refuse_links(self) -> None:
        """Raises SynthbenchError if a file or folder of the store's own is a link."""
        tops = [each for each in os.scandir(self.root) if each.is_symlink() or each.is_dir()]
        for parent in (self.root, *(Path(each.path) for each in tops if not each.is_symlink())):
            for each in os.scandir(parent):
                if each.is_symlink():
                    raise SynthbenchError(f"{each.path}: is a link, and a store contains none: remove it")

    def _lease_of(self, name: str) -> Path:
        return self.root / BUILDING / f"{name}{LEASE}"


def name_of(kind: str, key: str) -> str:
    """What a stage is called where it is built."""
    return f"{kind}-{key[:16]}"


def notice_changes(folder: Path) -> None:
    """Makes a folder of a shared file system show what other hosts have published in it.

    NFS remembers for up to a minute that a name was not there. A change of one's own to the folder brings its state from the server, and
    Linux then drops what it remembers if others have changed it (`nfs4_update_changeattr_locked` in fs/nfs/nfs4proc.c).
    """
    with suppress(OSError):  # a full disk is told by what follows
        if folder.is_dir():
            file_system_time(folder)


class LocalBuild:
    """See `synthbench.storage.store.Build`."""

    def __init__(self, store: LocalStore, kind: str, key: str, folder: Path, lease: Lease, series: str) -> None:
        self.store, self.kind, self.key, self.folder, self.lease, self.series = store, kind, key, folder, lease, series

    def publish(self, record: StageRecord) -> Artifact:
        """Makes the folder the artifact."""
        return self.store.publish(self, record)


@contextmanager
def disk_errors_explained(root: Path | str) -> Iterator[None]:
    """Turns a full or read-only disk into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise SynthbenchError(
            f"{root}: {CANNOT_WRITE} ({error.strerror or error}); make room or name another folder with --store. "
            "What is finished stays, and the next run goes on from there"
        ) from error
