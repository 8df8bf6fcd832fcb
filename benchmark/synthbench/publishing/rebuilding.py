"""A suite from the results that it gave: what `synthbench verify --rerun` runs again.

Results state every option with its value, but no path of the machine that they come from, and training sets as rows. Both are turned
back here into the values that `read_suite` takes.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthbench.contract.options import UNIONS, configure, is_weights, option_types
from synthbench.contract.stages import PluginKind
from synthbench.contract.weights import is_address, is_hub_id
from synthbench.errors import SuiteError, SynthbenchError
from synthbench.publishing.rebuilt_rows import rebuilt_rows
from synthbench.registry import Registry
from synthbench.results.model import EntryInfo, Results, Seeds
from synthbench.suite.changes import apply_change
from synthbench.suite.inputs import resolve_value
from synthbench.suite.model import TABLES
from synthbench.suite.reader import read_suite

SETTINGS = ("title", "about", "caveat", "references", "reference_choice", "images", "holdout", "margin", "timeout")
"""The keys of a suite that results have under the same name."""


def rebuild(results: Results, seeds: Seeds, registry: Registry, folder: Path | None = None, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The suite as Python values that `read_suite` takes, with these seeds.

    folder: where the data are, if their source reads a folder. changes: `KEY=VALUE`, only for options that name files, which results
    do not tell where they are.
    Raises SynthbenchError with all that cannot be rebuilt: plugins that are not installed or of another version, options that this
    version does not have, and files that `changes` does not name.
    """
    suite = results.suite
    content: dict[str, Any] = {
        "name": suite.name,
        **{name: getattr(suite, name) for name in SETTINGS},
        "seeds": {"references": list(seeds.references), "generators": list(seeds.generators), "detectors": list(seeds.detectors)},
        "allow_duplicates": results.similarity is not None and results.similarity.splits.allowed,
        "data": _table(suite.data),
        **{table: [_table(entry) for entry in getattr(suite, table)] for table in TABLES},
    }
    problems: list[str] = []
    rows, unknown = rebuilt_rows(results)
    content |= rows
    problems += unknown
    files = _files(results, content, registry, problems)
    if folder is not None and "data.path" in files:
        content["data"]["path"] = str(folder)
        files.pop("data.path")
    for change in changes:
        key = change.partition("=")[0].strip()
        if key not in files:
            raise SynthbenchError(
                f"--set {change}: a re-run has the bundle's options; it can only name files anew: {', '.join(files) or 'there are none'}"
            )
        apply_change(content, change)
    named = {change.partition("=")[0].strip() for change in changes}
    for key, value in files.items():
        if key not in named:
            way = "--data FOLDER" if key == "data.path" else f"--set {key}=PATH"
            problems.append(f"{key}: '{value}' is a file or folder of another machine; name yours with {way}")
    if not problems:
        problems += _misfits(results, content, registry)
    if problems:
        raise SynthbenchError("\n".join(["the experiment cannot be rebuilt here:", *problems]))
    return _with_features(content, results, registry)


def _table(entry: EntryInfo) -> dict[str, Any]:
    return {"use": entry.plugin, "name": entry.name, **entry.options}


def _entries(results: Results, content: Mapping[str, Any]) -> Iterator[tuple[str, PluginKind, EntryInfo, dict[str, Any]]]:
    """Each entry: the key of its table as `--set` takes it, its kind, what results say, and its table."""
    yield "data", "data-source", results.suite.data, content["data"]
    for table, kind in TABLES.items():
        for entry, values in zip(getattr(results.suite, table), content[table], strict=True):
            yield f"{table}[{entry.name}]" if "." in entry.name else f"{table}.{entry.name}", kind, entry, values


def _files(results: Results, content: Mapping[str, Any], registry: Registry, problems: list[str]) -> dict[str, Any]:
    """The options that name files or folders, with their values. Names shipped checkpoints in `content` by their names again."""
    found: dict[str, Any] = {}
    for key, kind, entry, values in _entries(results, content):
        try:
            info = registry.get(kind, entry.plugin)
        except SynthbenchError as error:
            problems.append(f"{key}: {error}")
            continue
        if info.cls.version != entry.version:
            problems.append(
                f"{key}: was computed by version {entry.version} of {entry.plugin}, here is version {info.cls.version}; "
                f"install {entry.distribution} {entry.release}"
            )
        for option, type_ in option_types(info.cls).items():
            if option in values:
                named: list[str] = []
                values[option], _ = resolve_value(type_, values[option], lambda type_, each: _named(type_, each, registry, named), str)  # noqa: B023 - called at once
                if named:
                    found[f"{key}.{option}"] = ", ".join(named)
    return found


def _named(kind: Any, value: object, registry: Registry, named: list[str]) -> Path | None:
    """The name of the shipped checkpoint that a value is; a value that names another file is noted in `named`."""
    if not isinstance(value, str) or not value:
        return None
    if is_weights(kind):
        if (name := value.rsplit("/", 1)[-1]) in registry.checkpoints:
            return Path(name)
        if not is_address(value) and not is_hub_id(value):
            named.append(value)
    elif _is_path(kind):
        named.append(value)
    return None


def _is_path(kind: Any) -> bool:
    """Whether a value of this type is a path."""
    if typing.get_origin(kind) in (*UNIONS, typing.Annotated):
        return any(map(_is_path, typing.get_args(kind)))
    return isinstance(kind, type) and issubclass(kind, Path)


def _misfits(results: Results, content: Mapping[str, Any], registry: Registry) -> list[str]:
    """The options that the installed plugins do not take."""
    found = []
    for key, kind, entry, values in _entries(results, content):
        options = {name: value for name, value in values.items() if name not in ("use", "name")}
        _, problems = configure(registry.get(kind, entry.plugin).cls, options)
        found += [f"{key}.{problem}" for problem in problems]
    return found


def _with_features(content: dict[str, Any], results: Results, registry: Registry) -> dict[str, Any]:
    """Names the detector that describes images, if it is not the first that can: results tell the space of its features."""
    compared = results.similarity.generated if results.similarity else []
    spaces = {found[1] for each in compared for name in each.distances if (found := re.fullmatch(r"(.+): \w+", name))}
    try:
        suite = read_suite(content, registry)
    except SuiteError as error:
        raise SynthbenchError("\n".join(["the experiment cannot be rebuilt here:", *error.problems])) from None
    able = [entry for entry in suite.detectors if hasattr(entry.plugin, "features") and entry.plugin.feature_space in spaces]
    if able and suite.describer is not None and suite.describer.plugin.feature_space not in spaces:
        return {**content, "features": able[0].name}
    return content
