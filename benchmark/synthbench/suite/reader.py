"""A suite: a TOML file that says what to compare.

    title = "Apples, rendered"
    references = 20
    images = 96

    [data]
    use = "orchard"

    [[generators]]
    use = "sd15-dreambooth"
    checkpoint = "small-sd15"

Every table names its plugin with `use`; `name` gives an entry a name of its own, so that one plugin can appear
twice with different options; the other keys are the plugin's options. Relative paths are those of the folder in
which the command is typed.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import msgspec

from synthbench.contract.options import configure
from synthbench.errors import SuiteError, SynthbenchError, suggest
from synthbench.registry import Found, Kind, Registry

BASELINES = ("real", "references")
TABLES: Mapping[str, Kind] = {"generators": "generator", "annotators": "annotator", "detectors": "detector"}


@dataclass(frozen=True)
class Entry:
    """A configured plugin under the name that rows and columns of the report bear."""

    name: str
    plugin: Any
    found: Found


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The keys of a suite that are not plugins."""

    title: str = ""
    about: str = ""
    seeds: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)] = (0,)
    """Detectors are trained once with each; the first is also the generators' and the teacher's."""
    references: Annotated[int, msgspec.Meta(ge=1)] = 20
    images: Annotated[int, msgspec.Meta(ge=1)] = 100
    """How many images each generator makes."""
    baselines: tuple[str, ...] = BASELINES
    timeout: Annotated[float, msgspec.Meta(gt=0, le=1e7)] = 24 * 3600.0
    """Seconds after which a stage that is still running counts as hung."""


@dataclass(frozen=True)
class Mix:
    """A training set put together from others."""

    name: str
    parts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


@dataclass(frozen=True)
class Suite:
    """What to compare, every name resolved and every option checked."""

    file: str
    name: str
    settings: Settings
    data: Entry
    generators: tuple[Entry, ...]
    annotators: tuple[Entry, ...]
    detectors: tuple[Entry, ...]
    mixes: tuple[Mix, ...]

    @property
    def pairs(self) -> list[tuple[Entry, Entry]]:
        """Generators with annotators, in the order of the file."""
        return [(generator, annotator) for generator in self.generators for annotator in self.annotators]


def pair_name(generator: str, annotator: str) -> str:
    """The name of the training set that a generator and an annotator make."""
    return f"{generator} x {annotator}"


def label_of(table: Mapping[str, Any]) -> str:
    """The name that an entry's table goes by: its own, or its plugin's."""
    return str(table.get("name", table.get("use")))


def read_suite(file: Path, registry: Registry, changes: Sequence[str] = ()) -> Suite:
    """Reads a suite and applies `KEY=VALUE` changes. Raises SuiteError with everything that is wrong."""
    try:
        with file.open("rb") as opened:
            content = tomllib.load(opened)
    except FileNotFoundError:
        near = sorted(str(each) for each in file.parent.glob("*.toml")) if file.parent.is_dir() else []
        raise SuiteError([f"{file}: no such suite{suggest(str(file), near)}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SuiteError([f"{file}: {error}"]) from None
    for change in changes:
        apply_change(content, change)
    return Reader(str(file), registry).read(file.stem, content)


def apply_change(content: dict[str, Any], change: str) -> None:
    """Applies one `KEY=VALUE`: `data.path=photos`, `detectors.yolov8.epochs=3`, `detectors[0].epochs=3`, `seeds=[0, 1]`.

    An entry whose name has a dot in it goes in brackets: `detectors[yolo.v8].epochs=3`. The value is read as TOML where
    it is TOML, and as a string otherwise.
    """
    path, equals, text = change.partition("=")
    keys = [bracketed or plain for bracketed, plain in re.findall(r"\[([^\]]+)\]|([^.\[\]]+)", path.strip())]
    if not equals or not keys:
        raise SuiteError([f"--set {change}: expected KEY=VALUE, as in --set data.path=photos"])
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    place: Any = content
    for number, key in enumerate(keys):
        last = number == len(keys) - 1
        if isinstance(place, list):
            names = {str(index): index for index in range(len(place))}
            names |= {label_of(each): index for index, each in enumerate(place) if isinstance(each, dict)}
            if key not in names or last:
                raise SuiteError([f"--set {change}: no entry '{key}'{suggest(key, names)}"])
            place = place[names[key]]
        elif not isinstance(place, dict):
            raise SuiteError([f"--set {change}: '{keys[number - 1]}' is a value, it has no '{key}'"])
        elif last:
            place[key] = value
        else:
            place = place.setdefault(key, {})


class Reader:
    """Turns a suite's content into a `Suite`, gathering every problem on the way."""

    def __init__(self, file: str, registry: Registry) -> None:
        self.file = file
        self.registry = registry
        self.problems: list[str] = []

    def read(self, name: str, content: Mapping[str, Any]) -> Suite:
        """The suite. Raises SuiteError where anything is wrong."""
        known = [field.name for field in fields(Settings)]
        tables = ["data", "mix", *TABLES]
        for key in content:
            if key not in (*known, *tables):
                self.wrong(key, f"unknown key{suggest(key, [*known, *tables])}")
        settings = self.settings({key: value for key, value in content.items() if key in known})
        data = self.entry("data", "data-source", content.get("data", {}))
        entries = {table: self.entries(table, kind, content.get(table, [])) for table, kind in TABLES.items()}
        if not content.get("detectors"):
            self.wrong("detectors", "missing: a suite needs at least one [[detectors]] table")
        mixes = self.mixes(content.get("mix", []))
        names = {table: self.names(table, content.get(table, [])) for table in TABLES}
        self.check_sources(entries["annotators"], names["detectors"])
        self.check_settings(settings)
        self.check_mixes(mixes, names)
        if self.problems or data is None:
            raise SuiteError(self.problems)
        return Suite(self.file, name, settings, data, entries["generators"], entries["annotators"], entries["detectors"], mixes)

    def wrong(self, place: str, what: str) -> None:
        """Notes a problem at a key."""
        self.problems.append(f"{self.file}: {place}: {what}")

    def wrong_options(self, place: str, problems: Sequence[str]) -> None:
        """Notes what `configure` found in a table."""
        for problem in problems:
            option, colon, what = problem.partition(": ")
            key = f"{place}.{option}".lstrip(".")
            if colon:
                self.wrong(key, f"missing: write it there, or give --set {key}=VALUE" if what == "missing" else what)
            else:  # of the plugin's own checks, about no option alone
                self.wrong(place, problem)

    def settings(self, given: Mapping[str, Any]) -> Settings:
        """The keys that are not plugins; a wrong one has its default, so that the others can be checked."""
        _, problems = configure(Settings, given)
        self.wrong_options("", problems)
        wrong = {problem.partition(": ")[0] for problem in problems}
        settings, _ = configure(Settings, {key: value for key, value in given.items() if key not in wrong})
        assert settings is not None, "every key has a default"
        return settings

    def entries(self, table: str, kind: Kind, given: Any) -> tuple[Entry, ...]:
        """The entries of an array of tables."""
        if not isinstance(given, list):
            self.wrong(table, f"expected [[{table}]], an array of tables")
            return ()
        made = [self.entry(f"{table}[{number}]", kind, each) for number, each in enumerate(given)]
        return tuple(each for each in made if each is not None)

    def entry(self, place: str, kind: Kind, given: Any) -> Entry | None:
        """One table: its plugin with its options, or None where something is wrong."""
        if not isinstance(given, dict) or not isinstance(given.get("use"), str):
            self.wrong(f"{place}.use", f"missing: the name of a {kind}; installed: {', '.join(self.registry.names(kind)) or 'none'}")
            return None
        try:
            found = self.registry.get(kind, given["use"])
        except SynthbenchError as error:
            self.wrong(f"{place}.use", str(error))
            return None
        name = given.get("name", given["use"])
        if not isinstance(name, str) or not re.fullmatch(r"[\w.+-]+", name):
            self.wrong(f"{place}.name", f"expected letters, digits and '_.+-', got {name!r}")
            name = found.name
        plugin, problems = configure(found.plugin, {key: value for key, value in given.items() if key not in ("use", "name")})
        self.wrong_options(place, problems)
        return None if plugin is None else Entry(name, plugin, found)

    def mixes(self, given: Any) -> tuple[Mix, ...]:
        """The [[mix]] tables."""
        made = []
        for number, each in enumerate(given if isinstance(given, list) else [given]):
            mix, problems = configure(Mix, each if isinstance(each, dict) else {})
            self.wrong_options(f"mix[{number}]", problems)
            made += [mix] if mix is not None else []
        return tuple(made)

    def names(self, table: str, given: Any) -> list[str]:
        """The names of a table's entries, the wrong ones among them, so that no error begets another."""
        names = [label_of(each) for each in given if isinstance(each, dict) and "use" in each] if isinstance(given, list) else []
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.wrong(table, f"the name '{name}' is used twice; give one of them another with name = …")
        return names

    def check_sources(self, annotators: Sequence[Entry], detectors: Sequence[str]) -> None:
        """Whether the boxes that annotators ask for can be had."""
        for annotator in annotators:
            try:
                source = str(annotator.plugin.boxes_from)
            except Exception as error:  # a property's
                self.wrong(f"annotators.{annotator.name}", f"boxes_from: {type(error).__name__}: {error}")
                continue
            if source.startswith("detector:") and (wanted := source.removeprefix("detector:")) not in detectors:
                self.wrong(f"annotators.{annotator.name}.detector", f"no detector '{wanted}' in this suite{suggest(wanted, detectors)}")
            elif source not in ("", "generator") and not source.startswith("detector:"):
                self.wrong(f"annotators.{annotator.name}", f"its boxes_from is '{source}'; known: generator, detector:NAME, or nothing")

    def check_settings(self, settings: Settings) -> None:
        """Baselines that do not exist, and seeds that are there twice."""
        for baseline in settings.baselines:
            if baseline not in BASELINES:
                self.wrong("baselines", f"unknown row '{baseline}'{suggest(baseline, BASELINES)}")
        if len(set(settings.seeds)) < len(settings.seeds):
            self.wrong("seeds", f"a seed is there twice in {list(settings.seeds)}")

    def check_mixes(self, mixes: Sequence[Mix], names: Mapping[str, Sequence[str]]) -> None:
        """Generators without an annotator, and mixes of what does not exist."""
        if names["generators"] and not names["annotators"]:
            self.wrong("annotators", "missing: generated images need boxes, so name at least one [[annotators]]")
        sets = [*BASELINES, *(pair_name(generator, annotator) for generator in names["generators"] for annotator in names["annotators"])]
        for number, mix in enumerate(mixes):
            for part in mix.parts:
                if part not in sets:
                    near = difflib.get_close_matches(part, sets, n=1)
                    hint = f", did you mean '{near[0]}'?" if near else f"; known: {', '.join(sets)}"
                    self.wrong(f"mix.{mix.name}.parts", f"no training set '{part}'{hint}")
            if mix.name in sets or mix.name in [other.name for other in mixes[:number]]:
                self.wrong(f"mix.{mix.name}.name", "the name of another training set")
