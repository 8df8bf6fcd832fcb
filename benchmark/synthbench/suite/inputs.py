"""The files and folders that a suite's options name: where they are, and what is in them.

A path says nothing about what lies there, so a stage's key holds the hash of the content instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthbench.contract.options import is_weights, option_types
from synthbench.contract.weights import is_address, is_hub_id
from synthbench.errors import SuiteError, SynthbenchError, suggest
from synthbench.registry import Kind, Registry
from synthbench.storage.local import Store
from synthbench.suite.reader import Entry, Suite

Inputs = Mapping[tuple[Kind, str], Mapping[str, str]]
"""By a plugin's kind and the entry's name: option -> hash of the content that it names."""


def resolve_suite(suite: Suite, registry: Registry, store: Store) -> tuple[Suite, Inputs]:
    """The suite with absolute paths, and the hashes of what they lead to. Raises SuiteError with all that lead nowhere."""
    inputs: dict[tuple[Kind, str], dict[str, str]] = {}
    problems: list[str] = []

    def resolved(entries: Iterable[Entry]) -> tuple[Entry, ...]:
        made = []
        for entry in entries:
            try:
                changed, inputs[entry.found.kind, entry.name] = resolve_entry(entry, registry, store)
                made.append(changed)
            except SuiteError as error:
                problems.extend(f"{suite.file}: {problem}" for problem in error.problems)
        return tuple(made)

    data = resolved([suite.data])
    generators, annotators, detectors = resolved(suite.generators), resolved(suite.annotators), resolved(suite.detectors)
    if problems:
        raise SuiteError(problems)
    return replace(suite, data=data[0], generators=generators, annotators=annotators, detectors=detectors), inputs


def resolve_entry(entry: Entry, registry: Registry, store: Store) -> tuple[Entry, dict[str, str]]:
    """The entry with absolute paths for what its options name, and the content hash of each.

    Raises SuiteError with every option that names nothing.
    """
    hashes: dict[str, str] = {}
    changed: dict[str, str | Path] = {}
    problems = []
    for name, kind in option_types(type(entry.plugin)).items():
        value = getattr(entry.plugin, name)
        try:
            if (place := named_path(kind, value, registry)) is not None:
                hashes[name] = store.content_hash(place)
                changed[name] = place if isinstance(value, Path) else str(place)
        except SynthbenchError as error:
            problems.append(f"{entry.name}.{name}: {error}")
    if problems:
        raise SuiteError(problems)
    return replace(entry, plugin=replace(entry.plugin, **changed)), hashes


def named_path(kind: Any, value: object, registry: Registry) -> Path | None:
    """The file or folder that an option names, None where it names none. Raises SynthbenchError for weights nowhere to be found."""
    if isinstance(value, Path):
        return _home(value).resolve()
    if not is_weights(kind) or not value:
        return None
    name = str(value)
    place = registry.checkpoints.get(name) or _home(Path(name))
    if place.exists():
        return place.resolve()
    if is_hub_id(name) or is_address(name):
        return None
    if "://" in name:
        raise SynthbenchError(f"'{name}' is no https address that ends with the beginning of the file's SHA-256, as in -047c8118.pth")
    raise SynthbenchError(f"'{name}' is no shipped checkpoint, file, folder, hub id or address{suggest(name, registry.checkpoints)}")


def _home(path: Path) -> Path:
    """The path with a `~` at its beginning replaced. Raises SynthbenchError for a user that there is not."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise SynthbenchError(f"{path}: {error}") from None
