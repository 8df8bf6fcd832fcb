"""Compiles loops with numba, whose import takes most of a second: import modules that use this where they are needed.

Compiled code is kept in `__pycache__` beside a loop's file; if that folder cannot be written, in numba's cache folder of the user
(`NUMBA_CACHE_DIR` names another); if there is none either, each process compiles again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as machine code, which lets other threads go on. It is compiled when it is first called."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        result: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # "no locator available": no folder can be written
        result = numba.njit(**options)(function)
    return result
