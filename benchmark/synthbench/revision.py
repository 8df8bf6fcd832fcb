"""Which state of the program made a result."""

from __future__ import annotations

import subprocess
from functools import cache
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
