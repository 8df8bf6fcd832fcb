"""Whether stated figures can be figures at all. What a bundle says of itself need not be true, but it must not break a board."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any

from synthbench.evidence.welch import degrees_of_freedom
from synthbench.results.claims import Figure
from synthbench.results.numbers import leaves


def checked(figure: Figure, least: int, what: str) -> Figure:
    """A figure that may stand on a board. Raises ValueError if it is out of range, or its interval is not one."""
    error, low, high = figure.error, figure.low, figure.high
    if not least <= figure.mean <= 1:
        raise ValueError(f"{what} is {figure.mean}")
    if error is None or low is None or high is None:
        if not error is low is high is None:
            raise ValueError(f"{what} has half an interval")
        return figure
    half = (high - low) / 2
    if not (isfinite(half) and 0 <= error <= 1 and abs((high + low) / 2 - figure.mean) < 1e-6):
        raise ValueError(f"{what} is {figure.mean}, and its interval [{low}, {high}] is not around it")
    degrees_of_freedom(error, half)
    return figure


def not_finite(value: Any) -> Iterator[str]:
    """The places of numbers that are not finite: JSON's 1e999 is infinite."""
    return (place for place, each in leaves(value, "entry") if isinstance(each, float) and not isfinite(each))
