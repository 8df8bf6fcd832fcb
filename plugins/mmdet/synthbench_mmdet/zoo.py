"""Names of the configs that mmdet ships. This module does not import mmdet itself, which would take seconds."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from synthbench.errors import SynthbenchError, suggest

from synthbench_mmdet.presets import PRESETS


@functools.cache
def zoo() -> Mapping[str, Path]:
    """The config files of the installed mmdet, by their names without `.py`. Raises SynthbenchError if mmdet is not installed."""
    found = importlib.util.find_spec("mmdet")
    if found is None or found.origin is None:
        raise SynthbenchError("mmdet is not installed here; install the distribution synthbench-mmdet with its dependencies")
    root = Path(found.origin).parent / ".mim" / "configs"
    return {path.stem: path for path in sorted(root.rglob("*.py")) if "_base_" not in path.parts}


def check_name(name: str) -> None:
    """Raises SynthbenchError, with the nearest name, if neither mmdet nor this plugin has a config of that name."""
    if name not in PRESETS and name not in zoo():
        raise SynthbenchError(f"config: mmdet ships no '{name}'{suggest(name, [*PRESETS, *zoo()])}")
