"""The lines of a call stack that are relevant to a plugin's author."""

from __future__ import annotations

import sys
import sysconfig
from types import FrameType

Place = tuple[str, int]
"""A file and a line number."""
MOST = 25
STANDARD = sysconfig.get_path("stdlib")
OWN = __file__.rpartition("/")[0]


def is_standard(file: str) -> bool:
    """Whether code is from Python's standard library, or generated without a file, as by dataclasses."""
    return file.startswith("<") or (file.startswith(STANDARD) and "site-packages" not in file)


def calling_places(frame: FrameType | None = None) -> list[Place]:
    """The call stack of the caller, or of `frame`, innermost first, without the standard library and this package."""
    found: list[Place] = []
    frame = frame or sys._getframe(1)
    while frame is not None and len(found) < MOST:
        file = frame.f_code.co_filename
        if not is_standard(file) and not file.startswith(OWN):
            found.append((file, frame.f_lineno))
        frame = frame.f_back
    return found
