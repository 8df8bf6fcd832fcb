"""Tables on a terminal, without a library that takes long to import."""

from __future__ import annotations

from collections.abc import Sequence

from synthbench.text import printable

SPACES = str.maketrans("\n\t", "  ")
"""What would begin another line or column."""


def print_table(rows: Sequence[Sequence[object]]) -> None:
    """Prints rows, the first of which names the columns, every column as wide as its widest cell."""
    rows = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def one_line(text: str) -> str:
    """The text, printable and in one line: a name from elsewhere can forge no line of its own."""
    return printable(text).translate(SPACES)
