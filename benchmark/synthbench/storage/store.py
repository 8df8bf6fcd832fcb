"""What execution asks of a store. A folder on this machine is one (`storage.local`)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

Value = str | int | float | bool | None


class StageRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is stored of a finished stage, in `stage.json`.

    recipe: everything the key is made of. facts: the core's figures. metrics: the plugin's, under the plugin's name.
    seconds: wall time. peak_memory: bytes, of the process from its start to the end of the stage.
    python, packages, device: what it ran with. commit: of synthbench. code: a hash of the plugin's source files.
    """

    label: str = ""
    recipe: dict[str, Any] = {}
    seconds: float = 0.0
    peak_memory: int = 0
    notes: tuple[str, ...] = ()
    facts: dict[str, Value] = {}
    metrics: dict[str, dict[str, Value]] = {}
    python: str = ""
    packages: dict[str, str] = {}
    device: str = ""
    commit: str = ""
    code: str = ""


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

    def get(self, kind: str, key: str) -> Artifact | None:
        """The artifact; on a store elsewhere, fetched to this machine. None if there is none, or its record cannot be read."""

    def build(self, kind: str, key: str, *, resumable: bool = False, series: str = "") -> AbstractContextManager[Build]:
        """A folder to make an artifact in. It is removed at the end unless it was published.

        resumable: what was written stays if the work stops, and the next attempt starts with it.
        series: results of the same series with another number of images extend each other; see `longest`.
        """

    def longest(self, kind: str, series: str) -> Artifact | None:
        """The artifact of a series with the most images (its fact `images`); None if there is none."""

    def content_hash(self, path: Path) -> str:
        """SHA-256 of a file, or of the files below a folder and their names. Raises SynthbenchError if there is nothing."""


def open_store(address: str) -> Store:
    """The store at an address, as `Store.address` gives it: the path of a folder."""
    from synthbench.storage.local import LocalStore

    return LocalStore(Path(address))
