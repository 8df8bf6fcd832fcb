"""What an artifact consists of, so that damage is noticed: the size and SHA-256 of each file, sealed together with its record."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import structs

from synthbench.errors import SynthbenchError
from synthbench.files import sha256_of
from synthbench.storage.store import Artifact, DamagedArtifact, StageRecord, StoredFile

STAGE = "stage.json"
SILLY = re.compile(r"\.nfs[0-9a-f]{24}")
"""What Linux calls a file on NFS that was removed while a process had it open; it goes when that process closes it."""
Fingerprint = tuple[int, int, int, int]


def describe_files(folder: Path) -> dict[str, StoredFile]:
    """Size and SHA-256 of every file below a folder, but for its record. Raises SynthbenchError for what is no file, such as a link."""
    return {name: StoredFile(size=path.stat().st_size, sha256=sha256_of(path)) for name, path in files_of(folder) if name != STAGE}


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files below a folder, sorted, by their relative names, without those that are removed already (`SILLY`).

    Raises SynthbenchError for what is no file, such as a link.
    """
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted([*names, *(each for each in folders if Path(parent, each).is_symlink())]):
            if SILLY.fullmatch(name):
                continue
            path = Path(parent, name)
            if not stat.S_ISREG(path.lstat().st_mode):
                raise SynthbenchError(f"{path.relative_to(folder)}: neither a file nor a folder; a stored result holds nothing else")
            yield path.relative_to(folder).as_posix(), path


def seal(record: StageRecord) -> bytes:
    """A record as JSON, with a checksum of itself."""
    sealed = structs.replace(record, checksum=checksum_of(record))
    return msgspec.json.format(msgspec.json.encode(sealed), indent=1)


def unseal(content: bytes) -> StageRecord:
    """The record that `seal` wrote. Raises ValueError if it is anything else."""
    record = msgspec.json.decode(content, type=StageRecord)
    if record.checksum != checksum_of(record):
        raise ValueError("its checksum is that of another content")
    return record


def checksum_of(record: StageRecord) -> str:
    """SHA-256 of everything else in a record."""
    return hashlib.sha256(msgspec.json.encode(structs.replace(record, checksum=""))).hexdigest()


class Verifier:
    """Compares artifacts with their manifests. Each file is read once per process, and again if it has changed since."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[Fingerprint, str]] = {}

    def verify(self, artifact: Artifact, kind: str, key: str) -> None:
        """Raises DamagedArtifact if a file is missing, changed or new."""
        recorded = artifact.record.files
        try:
            found = dict(files_of(artifact.folder))
            found.pop(STAGE, None)
            for name in [*recorded, *found]:
                if name not in found:
                    raise DamagedArtifact(artifact.folder, kind, key, f"{name} is missing")
                if name not in recorded:
                    raise DamagedArtifact(artifact.folder, kind, key, f"{name} is not one of its files")
            for name, expected in recorded.items():
                if found[name].stat().st_size != expected.size or self._sha256(found[name]) != expected.sha256:
                    raise DamagedArtifact(artifact.folder, kind, key, f"{name} is not what was stored")
        except DamagedArtifact:
            raise
        except (OSError, SynthbenchError) as error:
            raise DamagedArtifact(artifact.folder, kind, key, str(error)) from None

    def _sha256(self, path: Path) -> str:
        state = path.stat()
        fingerprint = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        known = self._read.get(path)
        if known is None or known[0] != fingerprint:
            known = self._read[path] = (fingerprint, sha256_of(path))
        return known[1]
