"""A job: everything a process needs to run one stage, as plain values that travel as JSON. It names keys, never paths of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synthbench.storage.references import ArtifactRef, ViewRef
from synthbench.storage.store import StageRecord

DATA = "data.json"
"""What a data source says of its data, in the artifact of `data`."""
FEATURES = "features.npy"
"""In the artifacts of `features`: float32 (N, D), a row an image."""
PAIRS = "pairs.json"
"""In the artifacts of stages that compare images: objects with `first` and `second` (file names), and what `Pair` has besides."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a stage may use. device: as torch writes it, or `auto` for an accelerator where there is one."""

    device: str = "cpu"
    threads: int = 1


CORE = "synthbench"
"""The distribution of the core's own stages and plugins."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which worker process runs a job: one process runs the plugins of one distribution only, so that none can change another's.

    python: the interpreter of an environment of the plugin's own; empty: the harness's.
    """

    python: str = ""
    distribution: str = CORE


@dataclass(frozen=True, kw_only=True)
class Job:
    """One stage.

    kind, key, label: the stage; the worker stores its result under kind and key.
    plugin: its kind and name; None for the core's own stages. options: all of the plugin's.
    reads: artifacts by what they are for. views: images by what they are for. parameters: what else the stage is told.
    series: see `Store.build`. about: what the record says besides (`recipe`, `commit`, `code`).
    place: the worker that runs it.
    """

    kind: str
    key: str
    label: str = ""
    plugin: tuple[str, str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    reads: Mapping[str, ArtifactRef] = field(default_factory=dict)
    views: Mapping[str, list[ViewRef]] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    series: str = ""
    resources: Resources = field(default_factory=Resources)
    allow_pickle: bool = False
    offline: bool = True
    about: Mapping[str, Any] = field(default_factory=dict)
    place: Place = field(default_factory=Place)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended. `error` is empty if the result is in the store."""

    error: str = ""
    trace: str = ""
    fixable: bool = False
    """The error says what to change; before that, the stage fails in the same way."""
    disk_full: bool = False
    """Nothing more can be written, so there is no use in going on with other stages."""
    busy: bool = False
    """Another process is making the same result; nothing was done."""
    lost: bool = False
    """The machine that ran it was lost; nothing says that the stage is at fault, so it may be tried again."""
    damaged: tuple[str, str] | None = None
    """The kind and key of an artifact that it needs and that is damaged; nothing was done."""
    record: StageRecord = field(default_factory=StageRecord)
    """As stored; of a failed stage, what is known of it."""
