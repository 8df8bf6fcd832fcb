"""What people write into label files: numbers, and text in some encoding."""

from __future__ import annotations

import math
from pathlib import Path

from synthbench.text import named

ENCODING = "utf-8-sig"  # with or without a byte order mark


def number_of(field: str) -> float:
    """A finite number as labels write it. Raises ValueError, which quotes it, for other text.

    Python's own `1_5` for 15 is refused: in a label file it is a slip of the pen.
    """
    try:
        value = float(field) if "_" not in field else None
    except ValueError:
        value = None
    if value is None:
        raise ValueError(f"'{named(field)}' is no number{'; write decimals with a point' if ',' in field else ''}")
    if not math.isfinite(value):
        raise ValueError(f"{named(field)} is not finite")
    return value


def read_text(path: Path | str) -> str:
    """The text of a file. Raises OSError, or ValueError if it is in another encoding."""
    try:
        with open(path, encoding=ENCODING) as opened:  # noqa: PTH123 - 100,000 of them
            return opened.read()
    except UnicodeDecodeError:
        raise ValueError("not in UTF-8; save it again as UTF-8") from None
