"""`synthbench new`: the folder of a plugin to come."""

from __future__ import annotations

from typing import Any


def add(commands: Any) -> None:
    """Adds the command."""
