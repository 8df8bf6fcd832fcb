"""Text from strangers, made harmless: names, notes and errors come from plugins, suites and data that anybody may have written."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

LONGEST = 4000  # characters of an error or a note; a longer one helps nobody, and slows down what shows it
NAME = 80  # characters of a name, such as a class's
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but for tab and line feed, marks that turn the direction of text around, and surrogates, which no encoding has."""


def printable(text: str) -> str:
    """The text without what a terminal or a file cannot take: escape sequences become visible, surrogates a replacement mark."""
    return CONTROLS.sub(lambda found: "\N{REPLACEMENT CHARACTER}" if found[0] >= "\ud800" else f"\\x{ord(found[0]):02x}", text)


def cut(text: str, longest: int = LONGEST) -> str:
    """The text, printable, and at most about `longest` characters of it."""
    if len(text) > longest:
        text = f"{text[: longest // 2]} … [{len(text) - longest} characters left out] … {text[-longest // 2 :]}"
    return printable(text)


def shortened(text: str, longest: int) -> str:
    """The text, with its end cut off where it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def named(name: str) -> str:
    """A name as it is shown in a line of text."""
    return shortened(printable(name), NAME)


def without_machine(text: str) -> str:
    """The text with absolute paths cut to their last parts: the others say more of a machine than of an error, and may be private."""
    for folder in (Path.cwd(), Path(tempfile.gettempdir()), Path.home()):
        if len(folder.parts) > 1:
            text = text.replace(f"{folder}/", "")
    return re.sub(r"(?<![\w.:/])/(?:[^\s/'\"`:,;()<>]+/)+", lambda found: last_folder(found[0]), text)


def last_folder(path: str) -> str:
    """`…/b/` of `/a/b/`."""
    return f"…/{path.rstrip('/').rsplit('/', 1)[-1]}/"
