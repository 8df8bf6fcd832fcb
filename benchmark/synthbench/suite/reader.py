"""Reading a suite: a TOML file, or Python values of the same layout.

    title = "Apples, rendered"
    references = 20
    images = 96

    [data]
    use = "orchard"

    [[generators]]
    use = "sd15-dreambooth"
    pretrained_model_name_or_path = "small-sd15"

Every table names its plugin with `use`; `name` gives an entry a name of its own, so that one plugin can appear twice with different
options; the other keys are the plugin's options. Relative paths are those of the current folder.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from synthbench.contract.box_sources import BoxSource, FromAnnotator, FromDetector, FromGenerator, FromPeople, box_source_of
from synthbench.contract.options import configure
from synthbench.contract.stages import PluginKind
from synthbench.errors import SuiteError, SynthbenchError, suggest
from synthbench.registry import Registry
from synthbench.suite.changes import apply_change, label_of
from synthbench.suite.model import TABLES, Entry, Mix, Settings, Suite
from synthbench.suite.rows import Rows
from synthbench.suite.training_sets import labelled
from synthbench.text import printable

UNNAMED = "suite"
NO_DESCRIBER = "add a detector that describes images, such as 'fasterrcnn'"


def read_suite(source: Path | Mapping[str, Any], registry: Registry, changes: Sequence[str] = ()) -> Suite:
    """Reads a suite and applies `KEY=VALUE` changes. Raises SuiteError with everything that is wrong.

    source: a TOML file, or its content as Python values; these may have a `name`, which is the report's.
    """
    if isinstance(source, Path):
        content, file, name = load_toml(source), str(source), source.stem
    else:
        content = copy.deepcopy(dict(source))
        name = str(content.pop("name", UNNAMED))
        file = name
    if not re.fullmatch(r"[^\x00-\x1f/]{1,200}", name) or name.startswith(".") or printable(name) != name:
        raise SuiteError([f"{file}: its report cannot be named {name!r}: up to 200 characters, no '.' at the beginning, no line breaks"])
    for change in changes:
        apply_change(content, change)
    return Reader(file, registry).read(name, content)


def load_toml(file: Path) -> dict[str, Any]:
    """The content of a suite file. Raises SuiteError with the nearest file if there is none."""
    try:
        if file.exists() and not file.is_file():
            raise SuiteError([f"{file}: not a file"])
        with file.open("rb") as opened:
            return tomllib.loads(opened.read().decode("utf-8-sig"))  # editors may write a byte order mark
    except FileNotFoundError:
        near = sorted(str(each) for each in file.parent.glob("*.toml")) if file.parent.is_dir() else []
        raise SuiteError([f"{file}: no such suite{suggest(str(file), near)}"]) from None
    except RecursionError:
        raise SuiteError([f"{file}: its tables or lists are nested too deeply"]) from None
    except OSError as error:
        raise SuiteError([f"{file}: {error.strerror or error}"]) from None
    except ValueError as error:  # not TOML, not UTF-8, or a path with a NUL
        raise SuiteError([f"{file}: {error}"]) from None


class Reader:
    """Turns a suite's content into a `Suite`, collecting every problem on the way."""

    def __init__(self, file: str, registry: Registry) -> None:
        self.file = file
        self.registry = registry
        self.problems: list[str] = []

    def read(self, name: str, content: Mapping[str, Any]) -> Suite:
        """The suite. Raises SuiteError if anything is wrong."""
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
        names = {table: self.names(table, content.get(table, [])) for table in TABLES}
        self.check_box_sources(entries["annotators"], names, settings.baselines)
        self.check_features(entries, settings)
        rows = Rows(settings, names, self.mixes(content.get("mix", [])), self.wrong).read()
        if self.problems or data is None:
            raise SuiteError(self.problems)
        return Suite(
            file=self.file,
            name=name,
            settings=settings,
            seeds=settings.seeds_of_each(),
            data=data,
            generators=entries["generators"],
            annotators=entries["annotators"],
            detectors=entries["detectors"],
            rows=rows,
        )

    def wrong(self, key: str, problem: str) -> None:
        """Notes a problem at a key."""
        self.problems.append(f"{self.file}: {key}: {problem}")

    def wrong_options(self, table: str, problems: Sequence[str]) -> None:
        """Notes what `configure` found in a table."""
        for problem in problems:
            option, colon, what = problem.partition(": ")
            key = f"{table}.{option}".lstrip(".")
            if colon:
                self.wrong(key, f"missing: write it there, or give --set {key}=VALUE" if what == "missing" else what)
            else:  # of the plugin's own checks, about no option alone
                self.wrong(table, problem)

    def settings(self, values: Mapping[str, Any]) -> Settings:
        """The keys that are not plugins; a wrong one has its default, so that the others can be checked."""
        _, problems = configure(Settings, values)
        self.wrong_options("", problems)
        wrong = {problem.partition(": ")[0] for problem in problems}
        settings, _ = configure(Settings, {key: value for key, value in values.items() if key not in wrong})
        assert settings is not None, "every key has a default"
        try:
            for seeds in dict.fromkeys(vars(settings.seeds_of_each()).values()):
                if len(set(seeds)) < len(seeds):
                    self.wrong("seeds", f"a seed appears twice in {list(seeds)}, so two replicates would be the same")
        except ValueError as error:
            self.wrong("seeds", str(error))
            settings = replace(settings, seeds=None, replicates=None)
        return settings

    def entries(self, table: str, kind: PluginKind, tables: Any) -> tuple[Entry, ...]:
        """The entries of an array of tables."""
        if not isinstance(tables, list):
            self.wrong(table, f"expected [[{table}]], an array of tables")
            return ()
        entries = [self.entry(f"{table}[{number}]", kind, each) for number, each in enumerate(tables)]
        return tuple(entry for entry in entries if entry is not None)

    def entry(self, key: str, kind: PluginKind, table: Any) -> Entry | None:
        """One table: its plugin with its options, or None if something is wrong."""
        if not isinstance(table, dict) or not isinstance(table.get("use"), str):
            self.wrong(f"{key}.use", f"missing: the name of a {kind}; installed: {', '.join(self.registry.names(kind)) or 'none'}")
            return None
        try:
            info = self.registry.get(kind, table["use"])
        except SynthbenchError as error:
            self.wrong(f"{key}.use", str(error))
            return None
        name = table.get("name", table["use"])
        if not isinstance(name, str) or not re.fullmatch(r"(?!_)[\w.+-]{1,100}(?<!_)", name):
            self.wrong(f"{key}.name", f"expected up to 100 letters, digits and '_.+-', no '_' at either end, got {name!r}")
            name = info.name
        plugin, problems = configure(info.cls, {option: value for option, value in table.items() if option not in ("use", "name")})
        self.wrong_options(key, problems)
        return None if plugin is None else Entry(name=name, plugin=plugin, info=info)

    def mixes(self, tables: Any) -> tuple[Mix, ...]:
        """The [[mix]] tables."""
        mixes = []
        for number, table in enumerate(tables if isinstance(tables, list) else [tables]):
            mix, problems = configure(Mix, table if isinstance(table, dict) else {})
            self.wrong_options(f"mix[{number}]", problems)
            mixes += [mix] if mix is not None else []
        return tuple(mixes)

    def names(self, table: str, tables: Any) -> list[str]:
        """The names of a table's entries, the wrong ones too, so that no error causes another."""
        names = [label_of(each) for each in tables if isinstance(each, dict) and "use" in each] if isinstance(tables, list) else []
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.wrong(table, f"the name '{name}' is used twice; give one of them another with name = …")
        return names

    def check_features(self, entries: Mapping[str, tuple[Entry, ...]], settings: Settings) -> None:
        """Whether a detector of this suite describes images, where anything asks for that. entries: those of each table."""
        able = [entry.name for entry in entries["detectors"] if hasattr(entry.plugin, "features")]
        if settings.features and settings.features not in able:
            choice = f"can be {' or '.join(able)}" if able else "and none of its detectors can"
            self.wrong("features", f"'{settings.features}' is no detector of this suite that describes images; {choice}")
        if settings.reference_choice == "varied" and not able:
            self.wrong("reference_choice", f"'varied' compares features of images: {NO_DESCRIBER}; or choose 'random'")
        for annotator in entries["annotators"]:
            try:
                if getattr(annotator.plugin, "needs_features", False) and not able:
                    self.wrong(f"annotators.{annotator.name}", f"it compares features of images: {NO_DESCRIBER}")
            except Exception as error:  # a property of the plugin's
                self.wrong(f"annotators.{annotator.name}", f"needs_features: {type(error).__name__}: {error}")

    def check_box_sources(self, annotators: Sequence[Entry], names: Mapping[str, list[str]], baselines: Sequence[str]) -> None:
        """Whether the boxes that annotators ask for exist in this suite. names: of the entries of each table."""
        sources: dict[str, BoxSource] = {}
        for annotator in annotators:
            key = f"annotators.{annotator.name}"
            try:
                source = sources[annotator.name] = box_source_of(annotator.plugin)
            except ValueError as error:
                self.wrong(key, str(error))
                continue
            except Exception as error:  # a property of the plugin's
                self.wrong(key, f"boxes_from: {type(error).__name__}: {error}")
                continue
            if isinstance(source, FromDetector | FromAnnotator):
                kind = "detector" if isinstance(source, FromDetector) else "annotator"
                if source.name not in names[f"{kind}s"]:
                    problem = f"its boxes come from the {kind} '{source.name}', which is not in this suite"
                    self.wrong(key, problem + suggest(source.name, names[f"{kind}s"]))
        by_themselves = [name for name in sources if not isinstance(sources.get(way_of_boxes(name, sources)[-1]), FromPeople)]
        for name, source in sources.items():
            if isinstance(source, FromPeople) and source.pre_labels and source.pre_labels not in by_themselves:
                problem = f"'{source.pre_labels}' is no annotator of this suite that draws boxes by itself"
                self.wrong(f"annotators.{name}.pre_labels", problem + suggest(source.pre_labels, by_themselves))
            way = way_of_boxes(name, sources)
            if way[-1] in way[:-1]:
                self.wrong(f"annotators.{name}", f"its boxes come from itself in the end: {' <- '.join(way)}; name one with other boxes")
            elif isinstance(sources.get(way[-1]), FromPeople) and (row := labelled(name).name) in baselines:
                self.wrong("baselines", f"'{row}': people label generated images only; the real ones have boxes")
            elif isinstance(sources.get(way[-1]), FromGenerator) and (row := labelled(name).name) in baselines:
                self.wrong("baselines", f"'{row}': {way[-1]} takes over a generator's boxes, and real images have none")


def way_of_boxes(annotator: str, sources: Mapping[str, BoxSource]) -> list[str]:
    """The annotator, the one whose boxes it starts from, and so on; a circle ends with the first name that comes again."""
    way = [annotator]
    while isinstance(source := sources.get(way[-1]), FromAnnotator) and way[-1] not in way[:-1]:
        way.append(source.name)
    return way
