"""What execution asks of a store: a folder (`storage.local`), or an object store with a folder that caches it (`storage.remote`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from synthbench.errors import SynthbenchError

Value = str | int | float | bool | None


class StoredFile(msgspec.Struct, frozen=True, array_like=True):
    """A file of an artifact. size: bytes."""

    size: int
    sha256: str


class StageRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is stored of a finished stage, in `stage.json`.

    recipe: everything the key is made of. facts: the core's figures. metrics: the plugin's, under the plugin's name.
    curves: the plugin's learning curves, points of (step, value); left out if there are none, so that the checksums of records that
    were stored before there were curves still hold.
    seconds: wall time. peak_memory: bytes, of the process from its start to the end of the stage.
    peak_gpu_memory: bytes that torch had allocated on the GPU at once during the stage; 0 without one.
    python, packages, device: what it ran with. commit: of synthbench. code: a hash of the plugin's source files.
    kind, key: of the artifact. files: of the artifact, by their relative names. checksum: of the record itself. The store fills
    these in.
    """

    kind: str = ""
    key: str = ""
    label: str = ""
    recipe: dict[str, Any] = {}
    seconds: float = 0.0
    peak_memory: int = 0
    peak_gpu_memory: int = 0
    notes: tuple[str, ...] = ()
    facts: dict[str, Value] = {}
    metrics: dict[str, dict[str, Value]] = {}
    curves: dict[str, list[tuple[int, float]]] | msgspec.UnsetType = msgspec.UNSET
    python: str = ""
    packages: dict[str, str] = {}
    device: str = ""
    commit: str = ""
    code: str = ""
    files: dict[str, StoredFile] = {}
    checksum: str = ""


class DamagedArtifact(SynthbenchError):
    """A stored artifact is not what was stored. The runner sets it aside and makes it again."""

    def __init__(self, place: Path | str, kind: str, key: str, what: str) -> None:
        super().__init__(f"{place}: damaged: {what}")
        self.kind, self.key, self.what = kind, key, what


class Busy(SynthbenchError):
    """Another process is making the same artifact."""


@dataclass(frozen=True)
class Artifact:
    """The result of a stage: a complete folder, to be read only, and its record."""

    folder: Path
    record: StageRecord


class Build(Protocol):
    """An artifact that is being made."""

    @property
    def folder(self) -> Path:
        """Where its files are written."""

    def publish(self, record: StageRecord) -> Artifact:
        """Makes the folder the artifact. If another process published the same stage first, that one stays."""


class Store(Protocol):
    """Artifacts by the kind and key of their stage. Stored artifacts are always complete."""

    @property
    def address(self) -> str:
        """What `open_store` opens the same store with, in another process."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that a process needs to open it, besides those that synthbench always has."""

    @property
    def root(self) -> Path:
        """A folder on this machine, for logs and what else belongs to no artifact."""

    @property
    def is_ours(self) -> bool:
        """Whether this user made it."""

    def present(self, stages: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those kinds and keys of which there is an artifact: one listing, where asking for each would take long."""

    def get(self, kind: str, key: str) -> Artifact | None:
        """The artifact, its record checked; its files may not be on this machine yet (see `verify`). None if there is none.

        Raises DamagedArtifact if its record is not what was stored.
        """

    def verify(self, kind: str, key: str) -> Artifact | None:
        """The artifact, with every file on this machine and checked. None if there is none.

        Raises DamagedArtifact if a file is not what was stored.
        """

    def is_busy(self, kind: str, key: str) -> bool:
        """Whether a process is making this artifact."""

    def set_aside(self, kind: str, key: str) -> str:
        """Takes a damaged artifact out of the way, so that it can be made again; returns where it is then, or an empty string."""

    def build(self, kind: str, key: str, *, resumable: bool = False, series: str = "") -> AbstractContextManager[Build]:
        """A folder to make an artifact in. It is removed at the end unless it was published.

        resumable: what was written stays if the work stops, and the next attempt starts with it.
        series: results of the same series with another number of images extend each other; see `longest`.
        Raises Busy if another process is making it.
        """

    def hold(self, name: str) -> AbstractContextManager[bool]:
        """Says that a run of this name goes on, so that nobody tidies up meanwhile what it will read. False if another process says so.

        Raises SynthbenchError if nothing can be written: nothing would come of the run.
        """

    def longest(self, kind: str, series: str) -> Artifact | None:
        """The artifact of a series with the most images (its fact `images`), damaged ones aside; None if there is none."""

    def contents(self) -> Iterator[tuple[str, str]]:
        """Kind and key of every artifact, whole or damaged."""

    def recent(self, kind: str, most: int = 200) -> Iterator[StageRecord]:
        """Records of stages of a kind, the latest first; those of damaged artifacts left out."""

    def sweep(self) -> None:
        """Removes what processes that were killed left unfinished on this machine, but for what the next attempt continues with."""

    def has_room(self) -> bool:
        """Whether anything can be written."""

    def content_hash(self, path: Path, only: Sequence[Path] | None = None) -> str:
        """SHA-256 of a file, or of the files below a folder and their names. Raises SynthbenchError if there is nothing.

        only: the files of the folder that count; None: all.
        """


def is_remote(address: str) -> bool:
    """Whether an address is that of an object store, and not the path of a folder."""
    return "://" in address


def open_store(address: str, *, trust: bool = True) -> Store:
    """The store at an address, as `Store.address` gives it: the path of a folder, or what fsspec opens, such as `s3://bucket/prefix`.

    trust: also one that another user made; workers open what was checked before it was given on.
    Raises SynthbenchError if it cannot be opened.
    """
    if is_remote(address):
        from synthbench.storage.remote import RemoteStore

        return RemoteStore(address, trust=trust)
    from synthbench.storage.local import LocalStore

    return LocalStore(Path(address), trust=trust)
