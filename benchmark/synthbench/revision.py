"""Which state of the program made a result."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@cache
def commit() -> str:
    """The commit of this checkout, with a plus where files differ from it; empty where it is no checkout."""
    here = Path(__file__).parent
    if not (here.parents[1] / ".git").exists():  # installed, perhaps below somebody else's checkout
        return ""
    asked = ["git", "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        told = subprocess.run(asked, cwd=here, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""


def requirement_name(line: str) -> str:
    """`torch` of `torch==2.1.2`."""
    return (re.match(r"[\w.-]+", line) or [""])[0]


def versions(requirements: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The installed packages that these lines ask for, extras left out, with their versions."""
    for name in sorted({requirement_name(line) for line in requirements if "extra ==" not in line}):
        with suppress(PackageNotFoundError):  # not needed on this kind of machine
            yield name, version(name)
