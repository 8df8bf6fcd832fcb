"""Checks that a suite can set a plugin's options and that their types are checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from synthbench.contract.options import configure, option_types, option_values
from synthbench.testing.bench import Bench
from synthbench.testing.checks import Failure

WRONG: tuple[object, ...] = ({"no": {"such": "value"}}, "no such value", -0.123, [[]], True)


def options_are_checked(bench: Bench) -> None:
    """Sets each option to its current value, and to values of wrong types."""
    plugin, given = bench.found.cls, bench.options
    place = bench.method("")
    for name, kind in option_types(plugin).items():
        try:
            again, problems = configure(plugin, given)
            accepted = [
                value for value in WRONG if not any(each.startswith(f"{name}: ") for each in configure(plugin, {**given, name: value})[1])
            ]
        except TypeError as error:  # from msgspec: the type is wrong, not the value
            raise Failure(f"{name}: no suite can set an option of type {kind}: {error}", place) from None
        if again is None:
            raise Failure(f"its own options are not valid: {'; '.join(problems)}", place)
        if option_values(again) != given:
            raise Failure(f"its options change when they are set again: {option_values(again)} instead of {given}", place)
        if len(accepted) == len(WRONG):
            raise Failure(f"{name}: accepts any value; declare a type that allows only valid ones", place)


def other_values(plugin: type[Any], name: str, value: object, given: Mapping[str, object]) -> Iterator[object]:
    """Valid values of this option other than `value`, if the other options are `given`."""
    kind = option_types(plugin)[name]
    for other in others(msgspec.inspect.type_info(kind), msgspec.to_builtins(value, enc_hook=str)):
        try:
            made, problems = configure(plugin, {**given, name: other})
        except TypeError:
            continue
        if made is not None and not problems and getattr(made, name) != value:
            yield other


def others(kind: msgspec.inspect.Type, value: Any) -> Iterator[object]:
    """Values other than `value` that a type may allow, as plain TOML values."""
    info = msgspec.inspect
    match kind:
        case info.Metadata():
            yield from others(kind.type, value)
        case info.UnionType():
            for each in kind.types:
                yield from others(each, value)
        case info.LiteralType():
            yield from (each for each in kind.values if each != value)
        case info.EnumType():
            yield from (each.value for each in kind.cls if each.value != value)
        case info.BoolType():
            yield not value
        case info.IntType() | info.FloatType():
            yield from numbers(kind, value)
        case info.StrType():
            yield from (f"{value or ''}x", "x")
        case info.VarTupleType() | info.ListType() | info.TupleType():
            yield from lists(kind, value)
        case info.CustomType():  # a path
            yield "elsewhere"


def numbers(kind: msgspec.inspect.IntType | msgspec.inspect.FloatType, value: Any) -> Iterator[float]:
    """Numbers near `value` and near the bounds."""
    step = kind.multiple_of or (1 if isinstance(kind, msgspec.inspect.IntType) else 0.1)
    bounds = [bound for bound in (kind.ge, kind.le, kind.gt, kind.lt) if bound is not None]
    for near in (value, *bounds, step):
        if isinstance(near, (int, float)) and not isinstance(near, bool):
            yield from (near + step, near - step, near)


def lists(kind: Any, value: Any) -> Iterator[list[object]]:
    """Lists that differ from `value` in one item, or have one item more or fewer."""
    held = list(value or ())
    items = kind.item_types if isinstance(kind, msgspec.inspect.TupleType) else (kind.item_type,)
    for place, item in enumerate(items):
        for other in others(item, held[place] if place < len(held) else None):
            yield [*held[:place], other, *held[place + 1 :]]
    yield held[:-1]
