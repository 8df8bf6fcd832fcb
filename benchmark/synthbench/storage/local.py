"""A store in a folder: one folder for each artifact, named by the key of its stage.

An artifact is built below `building/` and published by one rename, so stored artifacts are always complete. Beside its files is
`stage.json`, its record. Several processes, on several hosts that share the file system, can use one store; see `storage.leases`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from synthbench.errors import SynthbenchError
from synthbench.storage.hashes import FileHashes
from synthbench.storage.leases import Lease, acquire, is_abandoned
from synthbench.storage.store import Artifact, StageRecord

SCHEMA = 2
MARK = "synthbench-store.json"
STAGE = "stage.json"
BUILDING, SERIES, PARTIAL, LEASE = "building", "series", ".partial", ".lease"


class LocalStore:
    """The artifacts below one folder. See `synthbench.storage.store.Store`."""

    def __init__(self, root: Path) -> None:
        """Opens the store in `root`, and makes it if there is none.

        Raises SynthbenchError if the folder holds something else: no foreign file is ever touched.
        """
        self.root = root.resolve()
        mark = self.root / MARK
        with disk_errors_explained(self.root):
            if not mark.exists():
                if self.root.exists() and any(self.root.iterdir()):
                    raise SynthbenchError(f"{root}: not a store of synthbench and not empty; name another folder with --store")
                self.root.mkdir(parents=True, exist_ok=True)
                mark.write_text(json.dumps({"schema": SCHEMA}))
            (self.root / BUILDING).mkdir(exist_ok=True)
        self._hashes = FileHashes(self.root / "hashes.json")

    @property
    def address(self) -> str:
        """The folder."""
        return str(self.root)

    def folder(self, kind: str, key: str) -> Path:
        """Where the artifact of this stage is, or would be."""
        return self.root / kind / key[:2] / key

    def get(self, kind: str, key: str) -> Artifact | None:
        """The artifact, or None if there is none or its record cannot be read."""
        folder = self.folder(kind, key)
        try:
            record = msgspec.json.decode((folder / STAGE).read_bytes(), type=StageRecord)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: not JSON, not text, or no record
            return None
        return Artifact(folder, record)

    @contextmanager
    def build(self, kind: str, key: str, *, resumable: bool = False, series: str = "") -> Iterator[LocalBuild]:
        """A folder to build an artifact in, removed at the end unless it was published."""
        with disk_errors_explained(self.root):
            folder, lease, stays = self._workspace(kind, key, resumable)
        try:
            yield LocalBuild(self, kind, key, folder, lease, series)
        except BaseException:
            if not stays:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        else:
            shutil.rmtree(folder, ignore_errors=True)  # nothing is left of a published one
        finally:
            lease.release()

    def longest(self, kind: str, series: str) -> Artifact | None:
        """The artifact of a series with the most images; None if there is none."""
        folder = self.root / SERIES / series
        keys = [each.name for each in folder.iterdir()] if folder.is_dir() else []
        found = [artifact for key in keys if (artifact := self.get(kind, key)) is not None]
        return max(found, key=lambda artifact: int(artifact.record.facts.get("images") or 0), default=None)

    def sweep(self) -> None:
        """Removes what processes that were killed left unfinished, but for what the next attempt continues with."""
        for lease in (self.root / BUILDING).glob(f"*{LEASE}"):
            folder = lease.with_suffix("")
            if is_abandoned(lease) and (taken := acquire(lease)) is not None:
                if folder.suffix != PARTIAL:
                    shutil.rmtree(folder, ignore_errors=True)
                taken.release()

    def content_hash(self, path: Path) -> str:
        """SHA-256 of a file, or of the files below a folder and their names. Raises SynthbenchError if there is nothing."""
        return self._hashes.of_content(path)

    def publish(self, build: LocalBuild, record: StageRecord) -> Artifact:
        """Makes a built folder the artifact; if another process published the same stage first, that one stays."""
        with disk_errors_explained(self.root):
            if not build.lease.is_ours:
                raise SynthbenchError(f"{build.folder}: another process took over this stage, so its result was not stored")
            (build.folder / STAGE).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1))
            folder = self.folder(build.kind, build.key)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.exists() and self.get(build.kind, build.key) is None:  # damaged: set aside, not deleted
                folder.replace(tempfile.mkdtemp(prefix=f"{build.key[:12]}.", suffix=".damaged", dir=folder.parent))
            build.folder.chmod(0o755)
            with suppress(OSError):  # another process published it first
                build.folder.rename(folder)
            if build.series:
                members = self.root / SERIES / build.series
                members.mkdir(parents=True, exist_ok=True)
                (members / build.key).touch()
        found = self.get(build.kind, build.key)
        if found is None:
            raise SynthbenchError(f"{folder}: could not be published")
        return found

    def _workspace(self, kind: str, key: str, resumable: bool) -> tuple[Path, Lease, bool]:
        """A folder of this process's own, its lease, and whether it stays if the work stops."""
        building = self.root / BUILDING
        name = f"{kind}-{key[:12]}"
        if resumable and (lease := acquire(building / f"{name}{PARTIAL}{LEASE}")) is not None:
            folder = building / f"{name}{PARTIAL}"
            folder.mkdir(exist_ok=True)
            return folder, lease, True
        # Also if another process works on the same stage: the first to finish publishes.
        folder = building / f"{name}.{uuid.uuid4().hex}"
        lease = acquire(folder.with_name(folder.name + LEASE))  # before the folder: `sweep` looks at leases alone
        assert lease is not None, "the folder's name is new"
        folder.mkdir()
        return folder, lease, False


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
            f"{root}: cannot be written ({error.strerror or error}); make room or name another folder with --store. "
            "What is finished stays, and the next run goes on from there"
        ) from error
