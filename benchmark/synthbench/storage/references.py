"""How a job names what it reads: by the keys of stages, never by a path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from synthbench.errors import SynthbenchError
from synthbench.storage.store import Artifact, Store

OWN: Literal["own"] = "own"
HIDDEN: Literal["hidden"] = "hidden"


@dataclass(frozen=True, kw_only=True)
class ArtifactRef:
    """The artifact of a stage: its kind and its key."""

    kind: str
    key: str


@dataclass(frozen=True, kw_only=True)
class ViewRef:
    """Images as a stage sees them.

    images: the artifact that holds them.
    boxes: `own`, those stored with the images; `hidden`, none; or an artifact whose boxes replace them.
    first: only so many images, from the beginning; None: all.
    """

    images: ArtifactRef
    boxes: ArtifactRef | Literal["own", "hidden"] = OWN
    first: int | None = None


def find(store: Store, reference: ArtifactRef) -> Artifact:
    """The artifact that a job names, with every file checked.

    Raises SynthbenchError if it is not in the store any more, DamagedArtifact if it is not what was stored.
    """
    artifact = store.verify(reference.kind, reference.key)
    if artifact is None:
        raise SynthbenchError(f"{store.address}: the stored result {reference.kind} {reference.key[:10]} is gone; run again to renew it")
    return artifact
