"""Renders docs/options.md from the code: every key of a suite, every option of every shipped plugin.

`uv run python tests/options_page.py` renews the page.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from synthbench.contract.options import ENTRY, UNIONS, WEIGHTS, option_marks_of, option_types
from synthbench.contract.stages import PLUGIN_KINDS
from synthbench.registry import PluginInfo, installed
from synthbench.shipped import SHIPPED, extra_of
from synthbench.suite.model import TABLES, Mix, SeedTable, Settings

PAGE = Path(__file__).parents[1] / "docs" / "options.md"
HEAD = """# Keys and options

Every key of a suite and every option of every shipped plugin, rendered from the code by `tests/options_page.py`; a test keeps both
the same. An option that a suite does not set has its default. `--set detectors.yolov8.max_train_steps=500` sets one for a single run.

"Not set" is no value of TOML: leave the key out. An option marked *later* counts for sampling or prediction only, so changing it
repeats no fit and no training."""
SUITE = """## A suite

Keys at the top of the file, before the first table."""
ENTRIES = """### Tables

Each table names its plugin with `use`; `name` gives the entry a name of its own, so that one plugin can appear twice. All
other keys are the plugin's options, below."""
WORDS: Mapping[Any, str] = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path", Any: "any value"}
BOUNDS = {"ge": "{} or more", "gt": "above {}", "le": "at most {}", "lt": "below {}", "multiple_of": "a multiple of {}"}


def page() -> str:
    """The whole page."""
    parts = [HEAD, SUITE, *options(Settings), ENTRIES, tables()]
    parts += ["#### `seeds` as a table", *options(SeedTable), "#### `[[mix]]`", "A training set made of others.", *options(Mix)]
    for kind in PLUGIN_KINDS:
        parts.append(f"## {kind.capitalize().replace('-', ' ')}s")
        for info in shipped(kind):
            parts += section(info)
    return "\n\n".join(parts) + "\n"


def shipped(kind: str) -> list[PluginInfo]:
    """The plugins of a kind that come with the core or are in the table of shipped ones, those of the core first."""
    ours = {"synthbench", *(f"synthbench-{extra}" for extra in SHIPPED)}
    found = [info for (its_kind, _), info in installed().found.items() if its_kind == kind and info.distribution in ours]
    return sorted(found, key=lambda info: (info.distribution != "synthbench", info.name))


def tables() -> str:
    """The tables of a suite with the kind of their plugins."""
    rows = [("[data]", "data-source", "once"), *((f"[[{name}]]", kind, "any number of times") for name, kind in TABLES.items())]
    lines = [f"| `{name}` | {kind.replace('-', ' ')} | {often} |" for name, kind, often in rows]
    return "\n".join(["| table | plugin | how often |", "|---|---|---|", *lines])


def section(info: PluginInfo) -> Iterator[str]:
    """A plugin under its name."""
    yield f"### `{info.name}`"
    extra = extra_of(info.kind, info.name)
    about = inspect.cleandoc(info.cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    where = f"In `synthbench-{extra}` (extra `{extra}`)" if extra else "In the core"
    yield f"{about} {where}, {info.cls.license}."
    yield from options(info.cls)


def options(owner: type) -> Iterator[str]:
    """The table of a class's options; nothing if it has none."""
    kinds, marks, texts = option_types(owner), option_marks_of(owner), documented(owner)
    lines = []
    for field in dataclasses.fields(owner):
        if field.init:
            late = "*Later.* " if field.name in marks else ""
            lines.append(f"| `{field.name}` | {kind_of(kinds[field.name])} | {default_of(field)} | {late}{texts.get(field.name, '')} |")
    if lines:
        yield "\n".join(["| option | type | default | what it is |", "|---|---|---|---|", *lines])


def documented(owner: type) -> dict[str, str]:
    """What is said of each option: in the statement after it, also in a base class, or in the class's docstring as `name: text`."""
    texts: dict[str, str] = {}
    for each in reversed(owner.__mro__):
        if dataclasses.is_dataclass(each):
            body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
            assert isinstance(body, ast.ClassDef)
            texts |= listed(inspect.cleandoc(each.__doc__ or "")) | attributes(body)
    return texts


def attributes(body: ast.ClassDef) -> dict[str, str]:
    """The docstring after each annotated attribute. One without a docstring that is declared anew keeps that of the base class."""
    found = {}
    for each, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and isinstance(after, ast.Expr):
            found[each.target.id] = cell(ast.literal_eval(after.value))
    return found


def listed(docstring: str) -> dict[str, str]:
    """Lines of a docstring such as `train, test: text`, which goes on in lines that are indented."""
    found: dict[str, str] = {}
    for names, text in re.findall(r"^((?:\w+, )*\w+): (.*(?:\n {4}.*)*)", docstring, re.MULTILINE):
        found |= dict.fromkeys(names.split(", "), cell(text[0].upper() + text[1:]))
    return found


def cell(text: str) -> str:
    """A text in a table: on one line."""
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def kind_of(kind: Any) -> str:
    """A type in words, with its bounds."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return annotated(arguments[0], arguments[1:])
    if origin in UNIONS:
        return " or ".join(kind_of(each) for each in arguments if each is not type(None))
    if origin is Literal:
        return ", ".join(f"`{plain(each)}`" for each in arguments)
    if origin is tuple:
        listed = arguments[:1] if arguments[1:] == (...,) else arguments
        many = "list of" if arguments[1:] == (...,) else f"list of {len(arguments)}:"
        return f"{many} {', '.join(dict.fromkeys(map(kind_of, listed)))}"
    if origin is not None and issubclass(origin, Mapping):
        return f"table of {kind_of(arguments[1])}"
    return "table, as below" if dataclasses.is_dataclass(kind) else WORDS[kind]


def annotated(kind: Any, marks: tuple[Any, ...]) -> str:
    """A type with the bounds of its `Meta`; starting weights and names of entries by what they are."""
    descriptions = {mark.description for mark in marks if isinstance(mark, msgspec.Meta)}
    if WEIGHTS in descriptions or ENTRY in descriptions:
        return "weights" if WEIGHTS in descriptions else "name of an entry"
    bounds = [words.format(f"{value:g}") for mark in marks for name, words in BOUNDS.items() if (value := getattr(mark, name)) is not None]
    bounds += ["not empty" for mark in marks if mark.min_length]
    return ", ".join([kind_of(kind), *bounds])


def default_of(field: dataclasses.Field[Any]) -> str:
    """A default as TOML writes it."""
    if field.default_factory is not dataclasses.MISSING:
        return f"`{plain(field.default_factory())}`"
    if field.default is dataclasses.MISSING:
        return "**required**"
    return "not set" if field.default is None else f"`{plain(field.default)}`"


def plain(value: Any) -> str:
    """A value as TOML writes it; a path as text."""
    return json.dumps(msgspec.to_builtins(value, enc_hook=str), ensure_ascii=False)


if __name__ == "__main__":
    PAGE.write_text(page())
