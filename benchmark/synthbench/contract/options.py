"""Options of a plugin: fields of its frozen dataclass.

    @dataclass(frozen=True, kw_only=True)
    class Blur:
        radius: Annotated[float, Meta(gt=0)] = 2.0              # Meta is msgspec.Meta: a suite's value is checked against it
        start: Weights = ""                                     # shipped name, folder, file, hub id or address
        threshold: float = option(0.5, stage="predict")         # changing it does not repeat the training

An option that a suite does not set has its default.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from synthbench.errors import SynthbenchError, suggest

Value = TypeVar("Value")
Stage = Literal["sample", "predict"]
UNIONS = (typing.Union, types.UnionType)
WEIGHTS = "synthbench: weights"
Weights = Annotated[str, msgspec.Meta(description=WEIGHTS)]
"""Starting weights: a shipped checkpoint's name, a folder, a file, a hub id, an https address whose file name ends with the first
digits of the file's SHA-256, as in `-047c8118.pth`, or empty for none. See `synthbench.contract.weights`."""


ENTRY = "synthbench: entry"
EntryName = Annotated[str, msgspec.Meta(description=ENTRY)]
"""The name of another entry of the suite, such as a detector's. It is no part of a key: what that entry is, is."""


def option(default: Value, *, stage: Stage | None = None, added: bool = False) -> Value:
    """A field with more to say of it than its type and default.

    stage: only this stage, the later of the plugin's two, uses it, so changing it does not repeat the fit or the training.
    added: it came in a later release, and with its default the plugin gives the results of before. So the default is in no key, and
        nothing in anybody's store is made again; `run.shared` cannot name it.
    """
    metadata = {**({"stage": stage} if stage else {}), **({"added": True} if added else {})}
    if isinstance(default, dict):
        made: Any = dataclasses.field(default_factory=default.copy, metadata=metadata)
    else:
        made = dataclasses.field(default=default, metadata=metadata)
    field: Value = made
    return field


def option_types(plugin: type) -> dict[str, Any]:
    """The type of each option of a plugin's class, by name."""
    hints = typing.get_type_hints(plugin, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(plugin) if field.init}


def is_weights(kind: Any) -> bool:
    """Whether an option's type is `Weights`."""
    return _is_marked(kind, WEIGHTS)


def is_entry_name(kind: Any) -> bool:
    """Whether an option's type is `EntryName`."""
    return _is_marked(kind, ENTRY)


def entry_names(plugin: type) -> frozenset[str]:
    """The options of a plugin's class that name other entries. Remembered by the class: every stage of a plan asks."""
    if plugin not in _ENTRY_NAMES:
        _ENTRY_NAMES[plugin] = frozenset(name for name, kind in option_types(plugin).items() if is_entry_name(kind))
    return _ENTRY_NAMES[plugin]


_ENTRY_NAMES: dict[type, frozenset[str]] = {}


def _is_marked(kind: Any, description: str) -> bool:
    """Whether a type, or one of a union, is annotated with this description."""
    if typing.get_origin(kind) in UNIONS:
        return any(_is_marked(each, description) for each in typing.get_args(kind))
    return any(isinstance(mark, msgspec.Meta) and mark.description == description for mark in typing.get_args(kind)[1:])


def option_marks_of(plugin: type) -> dict[str, str]:
    """The stage of each option that was declared with `option(…, stage=…)`, by the option's name."""
    return {field.name: field.metadata["stage"] for field in dataclasses.fields(plugin) if "stage" in field.metadata}


def configure(plugin: type[Value], options: Mapping[str, object]) -> tuple[Value | None, list[str]]:
    """The plugin with these options, or None and all problems; a problem with an option begins with the option's name."""
    kinds = option_types(plugin)
    renamed: Mapping[str, str] = getattr(plugin, "renamed_options", {})
    replaced: Mapping[str, str] = getattr(plugin, "replaced_options", {})
    told = {**{old: f"renamed to '{new}'" for old, new in renamed.items()}, **replaced}
    problems = [f"{key}: {told.get(key) or f'unknown option{suggest(key, kinds)}'}" for key in options if key not in kinds]
    values: dict[str, object] = {}
    for key, value in options.items():
        if key in kinds:
            try:
                values[key] = msgspec.convert(value, kinds[key], dec_hook=_decode)
            except msgspec.ValidationError as error:
                problems.append(f"{key}: {_message(kinds[key], value, error)}")
            except TypeError as error:  # a union whose types look the same in TOML, such as Path | str
                problems.append(f"{key}: no suite can set an option of the type {kinds[key]} ({error})")
    required = [field.name for field in dataclasses.fields(plugin) if _is_required(field)]  # type: ignore[arg-type]
    problems += [f"{key}: missing" for key in required if key not in options]
    if problems:
        return None, problems
    try:
        configured = plugin(**values)
    except (TypeError, ValueError, SynthbenchError) as error:  # the plugin's __post_init__ rejects the values
        return None, [str(error)]
    except Exception as error:  # or has a bug
        return None, [f"{type(error).__name__}: {error}"]
    infinite = [name for name, value in option_values(configured).items() if not _is_finite(value)]
    problems = [f"{name}: contains a number that is not finite, which JSON cannot represent" for name in infinite]
    return (None if infinite else configured), problems


def option_values(plugin: object, marks: Collection[str] | None = None) -> dict[str, object]:
    """The options of a configured plugin as plain values.

    marks: stages; options that were declared with `option(…, stage=…)` for another stage are left out. None: all options.
    """
    fields = dataclasses.fields(plugin)  # type: ignore[arg-type]
    kept = [field for field in fields if field.init and (marks is None or field.metadata.get("stage") in (None, *marks))]
    return {field.name: msgspec.to_builtins(getattr(plugin, field.name), enc_hook=str) for field in kept}


def keyed_options(plugin: object, marks: Collection[str]) -> dict[str, object]:
    """The options that a key has, as `option_values`: without those that were added later and have their default."""
    values = option_values(plugin, marks)
    for each in dataclasses.fields(plugin):  # type: ignore[arg-type]
        if each.metadata.get("added") and each.name in values and getattr(plugin, each.name) == _default(each):
            del values[each.name]
    return values


def _default(field: dataclasses.Field[object]) -> object:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _is_finite(value: object) -> bool:
    """Whether a plain value contains finite numbers only: JSON, in which workers get their options, has no others."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, (list, tuple)) else not isinstance(value, float) or math.isfinite(value)


def _is_required(field: dataclasses.Field[object]) -> bool:
    missing = dataclasses.MISSING
    return field.init and field.default is missing and field.default_factory is missing


def _message(kind: Any, value: object, error: msgspec.ValidationError) -> str:
    if typing.get_origin(kind) is Literal:
        return f"unknown value {value!r}{suggest(str(value), map(str, typing.get_args(kind)))}"
    expected = re.sub(", got `.*?`", "", str(error))  # the message shows the value instead of its type
    return f"{expected[0].lower()}{expected[1:]}, got {value!r}"


def _decode(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise msgspec.ValidationError(f"Expected `{kind.__name__}`")
