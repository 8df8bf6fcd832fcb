"""A job: everything a process needs to carry out one stage, as plain values that travel as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synthbench.storage.views import ViewRef


@dataclass(frozen=True, kw_only=True)
class Job:
    """One stage. Folders are absolute paths; `plugin` is (kind, name), None for the core's own stages.

    python: the interpreter of the environment that it is carried out in; empty: the harness's own.
    """

    stage: str
    label: str
    workdir: str
    python: str = ""
    plugin: tuple[str, str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    fitted: str | None = None
    predictions: str | None = None
    views: Mapping[str, list[ViewRef]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1
    allow_pickle: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a finished job says of itself. `error` is empty where all went well."""

    error: str = ""
    trace: str = ""
    disk_full: bool = False
    """Nothing more can be written, so there is no use in going on with other stages."""
    seconds: float = 0.0
    peak_memory: int = 0
    """Of the process that carried it out, up to its end, bytes."""
    notes: tuple[str, ...] = ()
    records: Mapping[str, Any] = field(default_factory=dict)
    python: str = ""
    """Version of the interpreter."""
    packages: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    """What a plugin's stage ran on."""
