"""Who called: the places of a stack that a plugin's author can go to."""

from __future__ import annotations

import sys
import sysconfig
from types import FrameType

Place = tuple[str, int]
"""A file and a line of it."""
MOST = 25
STANDARD = sysconfig.get_path("stdlib")
OWN = __file__.rpartition("/")[0]


def is_standard(file: str) -> bool:
    """Whether a file is of Python's standard library, or no file at all, as of code that dataclasses make."""
    return file.startswith("<") or (file.startswith(STANDARD) and "site-packages" not in file)


def calling_places(frame: FrameType | None = None) -> list[Place]:
    """The lines that led here, or to a `frame`, innermost first, without the standard library's and this package's."""
    found: list[Place] = []
    frame = frame or sys._getframe(1)
    while frame is not None and len(found) < MOST:
        file = frame.f_code.co_filename
        if not is_standard(file) and not file.startswith(OWN):
            found.append((file, frame.f_lineno))
        frame = frame.f_back
    return found
