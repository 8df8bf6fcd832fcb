"""Options of a plugin: what a suite cannot set, or a worker cannot be told, is refused before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import pytest
from synthbench.contract.environment import environment_of
from synthbench.contract.options import Weights, configure, is_weights, option, option_values
from synthbench.errors import SynthbenchError


@dataclass(frozen=True, kw_only=True)
class Plugin:
    limit: float = 1.0
    rates: tuple[float, ...] = ()
    place: Path | str = ""

    def __post_init__(self) -> None:
        assert self.limit >= 0, "limit: less than nothing"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"limit": math.inf}, "limit: contains a number that is not finite, which JSON cannot represent"),
        ({"rates": [1.0, math.nan]}, "rates: contains a number that is not finite, which JSON cannot represent"),
        ({"limit": -1}, "AssertionError: limit: less than nothing"),
        ({"place": "here"}, "place: no suite can set an option of the type pathlib.Path | str"),
        ({"limt": 1}, "limt: unknown option, did you mean 'limit'?"),
    ],
)
def test_what_cannot_be_an_option_is_told(given: Mapping[str, object], told: str) -> None:
    made, problems = configure(Plugin, given)
    assert made is None
    assert [problem.startswith(told) for problem in problems] == [True], problems


def test_weights_may_be_none() -> None:
    assert is_weights(Weights)
    assert is_weights(Weights | None)
    assert not is_weights(str | None)


@dataclass(frozen=True, kw_only=True)
class Renamed:
    renamed_options: ClassVar[Mapping[str, str]] = MappingProxyType({"batch": "batch_size"})
    replaced_options: ClassVar[Mapping[str, str]] = MappingProxyType({"epochs": "replaced by 'max_train_steps', in steps"})

    batch_size: int = 1
    threshold: float = option(0.5, stage="predict")


def test_an_old_name_is_told_the_new_one() -> None:
    assert configure(Renamed, {"batch": 2}) == (None, ["batch: renamed to 'batch_size'"])


def test_an_option_that_is_gone_is_told_what_to_do_instead() -> None:
    assert configure(Renamed, {"epochs": 2}) == (None, ["epochs: replaced by 'max_train_steps', in steps"])


def test_options_with_a_mark_count_where_they_are_asked_for() -> None:
    assert option_values(Renamed()) == option_values(Renamed(), ["predict"]) == {"batch_size": 1, "threshold": 0.5}
    assert option_values(Renamed(), []) == {"batch_size": 1}


class Raises:
    name = "some"

    @property
    def environment(self) -> None:
        raise KeyError("size")


class Wrong:
    name = "some"
    environment = "torch==2.1.2"


def test_an_environment_that_is_none_is_told() -> None:
    assert environment_of(Plugin()) is None
    with pytest.raises(SynthbenchError, match="some: environment: KeyError: 'size'"):
        environment_of(Raises())
    with pytest.raises(SynthbenchError, match=r"some: its environment is 'torch==2\.1\.2', and should be an Environment"):
        environment_of(Wrong())
