"""Results whose text cannot change a report: whatever names, notes and titles contain, they stay text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import structs

from synthbench.results.model import Results
from synthbench.text import printable

LEADING = {"#": "\N{FULLWIDTH NUMBER SIGN}", ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"}
"""What would make a heading or a quotation at the beginning of a list's item; between backticks no backslash could prevent it."""
FILE = re.compile(r"[\w.+ -]+/[\w.-]+")
"""A picture: a file in the folder beside the report, never an address."""


def harmless(results: Results) -> Results:
    """The same results for rendering. What is shown as it is between fences (errors, traces and the command) keeps its marks."""
    changed = msgspec.convert(_changed(msgspec.to_builtins(results)), Results)
    suite = structs.replace(changed.suite, about=paragraphs(results.suite.about))
    failures = [
        structs.replace(new, error=printable(old.error), trace=printable(old.trace))
        for new, old in zip(changed.failures, results.failures, strict=True)
    ]
    pictures = {name: about for name, about in results.pictures.items() if FILE.fullmatch(str(about.get("file")))}
    return structs.replace(changed, suite=suite, failures=failures, command=printable(results.command), pictures=pictures)


@lru_cache(2**16)  # names, units and keys come again and again
def inline(text: str) -> str:
    """Text for the middle of a line, in prose or between backticks: one line, without HTML, links, images or code marks."""
    line = _unmarked(" ".join(printable(text).split())).replace("`", "'")
    return LEADING[line[0]] + line[1:] if line[:1] in LEADING else line


def unlinked(text: str) -> str:
    """Text for a heading by a stranger: as `inline`, and code hosts make no links, mentions of people or formulas of it either.

    A word joiner, which is not seen, stands after what would begin one.
    """
    return re.sub(r"@(?=\w)|://|\bwww\.|\$|#(?=\d)", lambda found: f"{found[0]}\N{WORD JOINER}", inline(text))


def paragraphs(text: str) -> str:
    """Text of several paragraphs, which may contain `code`, and nothing that Markdown knows at the beginning of a line."""
    parts = [" ".join(_unmarked(printable(part)).split()) for part in re.split(r"\n\s*\n", text)]
    parts = [part if part.count("`") % 2 == 0 and "``" not in part else part.replace("`", "'") for part in parts]
    return "\n\n".join(re.sub(r"^(?=[#>=|~+*-])|(?<=^\d)(?=[.)])", r"\\", part) for part in parts)


def _unmarked(text: str) -> str:
    """A space after `<` and before `(` or `[` keeps them from being HTML and links."""
    text = re.sub(r"<(?=[A-Za-z/!?])", "< ", text)
    return re.sub(r"\](?=[(\[:])", "] ", text)


def _changed(value: Any) -> Any:
    if isinstance(value, str):
        return inline(value)
    if isinstance(value, dict):
        return {_changed(key): _changed(each) for key, each in value.items()}
    return [_changed(each) for each in value] if isinstance(value, list) else value
