"""Copying artifacts from one store to another. Each is complete in the target or not there, so a copy that broke off just goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from synthbench.errors import SynthbenchError
from synthbench.storage.inventory import ManagedStore
from synthbench.storage.manifest import STAGE, describe_files
from synthbench.storage.store import Artifact, Busy

Copied = Literal["copied", "there", "gone", "busy"]


def copy(source: ManagedStore, target: ManagedStore, kind: str, key: str) -> Copied:
    """Copies an artifact, unless the target has it, the source has it not, or a process is making it in the target.

    Every file is compared with its hash before and after. Raises DamagedArtifact if it is damaged in the source, SynthbenchError if it
    did not arrive.
    """
    if target.get(kind, key) is not None:
        return "there"
    if (artifact := source.verify(kind, key)) is None:
        return "gone"
    try:
        with target.build(kind, key, series=next(iter(source.series_of(kind, key)), "")) as build:
            if target.get(kind, key) is not None:  # another process was quicker
                return "there"
            fill(artifact, build.folder)
            build.publish(artifact.record)
    except Busy:
        return "busy"
    return "copied"


def fill(artifact: Artifact, folder: Path) -> None:
    """Copies the files of an artifact to an empty folder. Raises SynthbenchError if they are not the same there, or cannot be written."""
    try:
        shutil.copytree(artifact.folder, folder, dirs_exist_ok=True, ignore=lambda at, _: {STAGE} if Path(at) == artifact.folder else set())
    except shutil.Error as error:  # a list of what failed, as text
        _, target, reason = error.args[0][0]
        raise SynthbenchError(f"{target}: {reason}; what was copied before stays, and the same command goes on") from None
    if describe_files(folder) != artifact.record.files:
        raise SynthbenchError(f"{artifact.folder}: changed while it was copied; run the command again")
