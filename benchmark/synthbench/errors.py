"""Errors that a user can fix."""

from __future__ import annotations

TYPE_CHECKING = False  # not from typing, which takes long to import
if TYPE_CHECKING:
    from collections.abc import Iterable


class SynthbenchError(Exception):
    """Something a user can fix: the message says where, what, and the nearest fix."""

    def __str__(self) -> str:
        from synthbench.text import printable  # an error is shown; importing this takes no time otherwise

        return printable(super().__str__())


class SuiteError(SynthbenchError):
    """Everything that is wrong with a suite, one line each, all at once."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def suggest(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` for the nearest known word, else the known words, else nothing."""
    import difflib  # takes a while, and most runs need no suggestion

    from synthbench.text import named

    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1)
    if near:
        return f", did you mean '{near[0]}'?"
    return f"; known: {', '.join(map(named, words))}" if words else ""
