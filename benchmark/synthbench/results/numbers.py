"""Where two values of results differ, number by number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

EXACT = 1e-9
"""Numbers that differ by less are equal: sums of the same numbers may differ in their last digits between processors."""


@dataclass(frozen=True)
class Differing:
    """A place, such as `cells[3].metrics.AP`, and what stands there in each; None where there is nothing."""

    place: str
    first: Any
    second: Any

    def __str__(self) -> str:
        return f"{self.place}: {_shown(self.first)}, not {_shown(self.second)}"


def differing(first: Any, second: Any, place: str, tolerance: float = EXACT) -> Iterator[Differing]:
    """Every place where two values of JSON's types differ; numbers by more than `tolerance`, or relative to their size if above 1."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in dict.fromkeys([*first, *second]):
            yield from differing(first.get(key), second.get(key), f"{place}.{key}" if place else str(key), tolerance)
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from differing(one, other, f"{place}[{number}]", tolerance)
    elif is_number(first) and is_number(second):
        try:
            close = abs(first - second) <= tolerance * max(1.0, abs(first), abs(second))
        except OverflowError:  # a whole number that no float holds
            close = first == second
        if not close:
            yield Differing(place, first, second)
    elif first != second or type(first) is not type(second):
        yield Differing(place, first, second)


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no list or object, with its place."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, f"{place}.{str(key)[:60]}")
    else:
        yield place, value


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    """A value for a message: short."""
    text = repr(value) if not isinstance(value, dict | list) else f"{len(value)} values"
    return text if len(text) <= 60 else f"{text[:57]}…"
