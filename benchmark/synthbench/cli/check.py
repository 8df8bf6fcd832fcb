"""`synthbench check`: whether a plugin keeps the contract."""

from __future__ import annotations

from typing import Any


def add(commands: Any) -> None:
    """Adds the command."""
