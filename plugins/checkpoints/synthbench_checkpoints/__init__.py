"""Small base checkpoints, trained on rendered scenes or photographs, so that a suite runs where no hub can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from synthbench import hookimpl

WEIGHTS = Path(__file__).parent / "weights"
NAMES = ("small-sd15", "small-sdxl", "small-detr", "photo-sd15", "photo-sdxl", "photo-detr")


@hookimpl
def synthbench_checkpoints() -> Mapping[str, Path]:
    """The checkpoints, by name."""
    return {name: WEIGHTS / name for name in NAMES}
