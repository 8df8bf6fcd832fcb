"""What differs between two runs besides their scores: settings, entries, data, versions, machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import structs

from synthbench.results.model import EntryInfo, Results
from synthbench.results.numbers import differing

ENTRIES = ("generators", "annotators", "detectors")


class Difference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place, such as `sd15.guidance_scale`, and what stands there in each; None where there is nothing."""

    about: str
    """A name of `SUBJECTS`."""
    place: str
    first: Any
    second: Any


SUBJECTS = ("settings", "seeds", "data", *ENTRIES, "training sets", "versions", "machine")
"""What is compared, each by itself."""


def differences(first: Results, second: Results) -> list[Difference]:
    """Every difference, by subject in the order of `SUBJECTS`. A subject without any is the same in both."""
    subjects = zip(_subjects(first).items(), _subjects(second).values(), strict=True)
    return [
        Difference(about=about, place=each.place, first=each.first, second=each.second)
        for (about, one), other in subjects
        for each in differing(one, other, "", 0.0)
    ]


def _subjects(results: Results) -> dict[str, dict[str, Any]]:
    """The plain values of each subject, nested in such a way that a place tells what it is."""
    suite, about = results.suite, results.environment
    settings = {
        name: value
        for name, value in structs.asdict(suite).items()
        if name not in (*ENTRIES, "name", "file", "seeds", "data")  # what a file is called changes no result
    }
    packages = dict(about.packages)
    for name, own in about.own_environments.items():
        packages |= {f"{name}: {package}": version for package, version in {"python": own.python, **own.packages}.items()}
    described = results.data
    found = {
        "settings": settings | {"replicates": suite.seeds.replicates, "replicates_planned": results.replicates_planned},
        "seeds": {name: ", ".join(map(str, seeds)) for name, seeds in structs.asdict(suite.seeds).items()},
        "data": {**_entry(suite.data), **({} if described is None else dict(_flat(msgspec.to_builtins(described))))},
        **{table: {name: _entry(entry) for name, entry in _by_name(getattr(suite, table)).items()} for table in ENTRIES},
        "training sets": {row.name: msgspec.to_builtins(structs.replace(row, name="")) for row in results.training_sets},
        "versions": {"synthbench": about.synthbench, "commit": about.commit, "python": about.python, **packages},
        "machine": {
            "platform": about.platform,
            "processors": about.processors,
            "device": about.device,
            "workers": about.workers,
        },
    }
    return {about: _present(found[about]) for about in SUBJECTS}


def _entry(entry: EntryInfo) -> dict[str, Any]:
    """A configured plugin: its options beside what it is."""
    about = {name: value for name, value in structs.asdict(entry).items() if name not in ("name", "options", "trained_on")}
    return {**about, **{f"option {name}": value for name, value in entry.options.items()}, **_told(entry)}


def _told(entry: EntryInfo) -> dict[str, str]:
    return {f"{option} was trained on": what for option, what in entry.trained_on.items()}


def _by_name(entries: Sequence[EntryInfo]) -> dict[str, EntryInfo]:
    return {entry.name: entry for entry in entries}


def _flat(value: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Nested tables as one."""
    for key, each in value.items():
        if isinstance(each, dict):
            yield from _flat(each, f"{place}{key}.")
        else:
            yield f"{place}{key}", each


def _present(value: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty, which is the same as what an older version did not store."""
    kept = {name: _present(each) if isinstance(each, dict) else each for name, each in value.items()}
    return {name: each for name, each in kept.items() if each not in (None, "", [], {})}
