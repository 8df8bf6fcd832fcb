"""The files and folders that a suite's options name: where they are, and what is in them.

A path says nothing about what is there, so a stage's key contains the hash of the content instead.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthbench.contract.hookspecs import Inputs as Reads
from synthbench.contract.options import UNIONS, is_weights, option_types
from synthbench.contract.stages import PluginKind
from synthbench.contract.weights import is_address, is_hub_id
from synthbench.errors import SuiteError, SynthbenchError, suggest
from synthbench.registry import Registry
from synthbench.shipped import how_to_install
from synthbench.suite.hub import pinned
from synthbench.suite.model import Entry, Suite

Hasher = Callable[[Path, Sequence[Path] | None], str]
"""The hash of a file or folder, of all files in it or of some."""
Inputs = Mapping[tuple[PluginKind, str], Mapping[str, Any]]
"""By a plugin's kind and the entry's name: option -> the option's value with hashes for what it names."""


def resolve_suite(suite: Suite, registry: Registry, content_hash: Hasher) -> tuple[Suite, Inputs]:
    """The suite with absolute paths, and the hashes of what they lead to. Raises SuiteError with all that lead nowhere."""
    inputs: dict[tuple[PluginKind, str], dict[str, Any]] = {}
    problems: list[str] = []

    def resolved(entries: Iterable[Entry]) -> tuple[Entry, ...]:
        changed = []
        for entry in entries:
            try:
                resolved_entry, inputs[entry.info.kind, entry.name] = resolve_entry(entry, registry, content_hash)
                changed.append(resolved_entry)
            except SuiteError as error:
                problems.extend(f"{suite.file}: {problem}" for problem in error.problems)
        return tuple(changed)

    data = resolved([suite.data])
    generators, annotators, detectors = resolved(suite.generators), resolved(suite.annotators), resolved(suite.detectors)
    if problems:
        raise SuiteError(problems)
    return replace(suite, data=data[0], generators=generators, annotators=annotators, detectors=detectors), inputs


def resolve_entry(entry: Entry, registry: Registry, content_hash: Hasher) -> tuple[Entry, dict[str, Any]]:
    """The entry with absolute paths for what its options name, and the hashes of each.

    Raises SuiteError with every option that names nothing.
    """
    read: list[Path] | None = None
    if isinstance(entry.plugin, Reads):  # it names its files by the absolute paths
        changed, _ = resolve_options(entry, registry, lambda path: path.name)
        plugin: Any = entry.plugin
        try:
            read = list(replace(plugin, **changed).inputs())
        except Exception as error:  # a plugin may raise anything
            raise SuiteError([f"{entry.name}: {error}"]) from None
    changed, hashes = resolve_options(entry, registry, lambda path: content_hash(path, read))
    return replace(entry, plugin=replace(entry.plugin, **changed)), hashes


def resolve_options(entry: Entry, registry: Registry, content_hash: Callable[[Path], str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options that name files or folders: with absolute paths, and with hashes. Raises SuiteError."""
    hashes: dict[str, Any] = {}
    changed: dict[str, Any] = {}
    problems = []
    for name, kind in option_types(type(entry.plugin)).items():
        value = getattr(entry.plugin, name)
        try:
            resolved, hashed = resolve_value(kind, value, lambda kind, each: named_path(kind, each, registry), content_hash)
        except SynthbenchError as error:
            problems.append(f"{entry.name}.{name}: {error}")
        except (OSError, ValueError) as error:  # a name with a NUL, or one that is too long
            problems.append(f"{entry.name}.{name}: '{str(value)[:80]}' cannot be a path ({getattr(error, 'strerror', None) or error})")
        else:
            if resolved is not value:
                changed[name], hashes[name] = resolved, hashed
    if problems:
        raise SuiteError(problems)
    return changed, hashes


def resolve_value(
    kind: Any, value: Any, find: Callable[[Any, object], Path | None], content_hash: Callable[[Path], str]
) -> tuple[Any, Any]:
    """A value with absolute paths, and the same with hashes in place of what is named, in lists and tables too.

    The value itself is returned, unchanged, if it names nothing.
    """
    if (path := find(kind, value)) is not None:
        return (path if isinstance(value, Path) else str(path)), content_hash(path)
    if isinstance(value, str) and is_weights(kind) and is_hub_id(value):
        commit = pinned(value)
        return commit, commit
    if isinstance(value, (tuple, list)):
        pairs = [resolve_value(part_of(kind, number), each, find, content_hash) for number, each in enumerate(value)]
        if any(new is not old for (new, _), old in zip(pairs, value, strict=True)):
            return type(value)(new for new, _ in pairs), [hashed for _, hashed in pairs]
    elif isinstance(value, Mapping):
        table = {key: resolve_value(part_of(kind, 1), each, find, content_hash) for key, each in value.items()}
        if any(table[key][0] is not each for key, each in value.items()):
            return {key: new for key, (new, _) in table.items()}, {key: hashed for key, (_, hashed) in table.items()}
    return value, value


def part_of(kind: Any, number: int) -> Any:
    """The type of an item of a list, or of a table's values (number 1)."""
    if typing.get_origin(kind) in UNIONS:
        kind = next((each for each in typing.get_args(kind) if typing.get_args(each)), kind)
    parts = [each for each in typing.get_args(kind) if each is not Ellipsis]
    if typing.get_origin(kind) is typing.Annotated:
        return part_of(parts[0], number)
    return parts[min(number, len(parts) - 1)] if parts else None


def named_path(kind: Any, value: object, registry: Registry) -> Path | None:
    """The file or folder that a value names, None if it names none. Raises SynthbenchError for weights that are nowhere to be found."""
    if isinstance(value, Path):
        return _home(value).resolve()
    if not isinstance(value, str) or not value or not is_weights(kind):
        return None
    path = registry.checkpoints.get(value) or _home(Path(value))
    if path.exists():
        return path.resolve()
    if is_hub_id(value) or is_address(value):
        return None
    if "://" in value:
        raise SynthbenchError(f"'{value}' is not an https address that ends with the beginning of the file's SHA-256, as in -047c8118.pth")
    hint = how_to_install("checkpoint", value) or suggest(value, registry.checkpoints)
    raise SynthbenchError(f"'{value}' is no installed checkpoint, file, folder, hub id or address{hint}")


def _home(path: Path) -> Path:
    """The path with a `~` at its beginning replaced. Raises SynthbenchError for a user who does not exist."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise SynthbenchError(f"{path}: {error}") from None
