"""Renders the templates of suites, and writes a suite without replacing anything."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from synthbench.errors import SynthbenchError
from synthbench.text import cut, named, printable


def rendered(template: str, **values: object) -> str:
    """A template of this package with its values filled in; an unknown one is an error."""
    return environment().get_template(template).render(**values)


@cache
def environment() -> Environment:
    """The templates, with the filters `toml`, `comment` and `named`. Nothing is escaped for HTML: they are TOML."""
    made = Environment(
        loader=PackageLoader("synthbench.starting"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"toml": toml, "comment": one_line, "named": named}
    return made


def toml(value: str | int | float | bool | list[str]) -> str:
    """A value as TOML writes it. JSON's strings, numbers and lists are TOML's too, except that TOML escapes DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def one_line(text: str) -> str:
    """Text from strangers, such as the name of a class, within a comment: it cannot end the line."""
    return cut(" ".join(printable(text).split()))


def write_new(file: Path, text: str) -> None:
    """Writes a file that is not there yet. Raises SynthbenchError if it is, or if its folder is not."""
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise SynthbenchError(f"{file}: is there already, and nothing was written; name another file with -o") from None
    except OSError as error:
        raise SynthbenchError(f"{file}: {error.strerror or os.strerror(error.errno or 0)}") from None
