"""Loads a distribution's plugins as `synthbench plugins` does, and reports which lines import libraries that are slow to import.

python -m synthbench.testing.loading DISTRIBUTION
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import distribution
from types import ModuleType

from synthbench.contract.hookspecs import PROJECT
from synthbench.registry import discover
from synthbench.testing.frames import Place, calling_places

# Importing each takes 0.1 s (numpy) to 15 s, and every command that lists plugins would wait for it.
HEAVY = (
    *("torch", "torchvision", "tensorflow", "jax", "transformers", "diffusers", "ultralytics", "mmdet", "mmcv", "mmengine", "peft"),
    *("accelerate", "cv2", "scipy", "sklearn", "skimage", "matplotlib", "pandas", "PIL", "numpy"),
)


class Listener(MetaPathFinder):
    """Finds no module, and records which lines first imported a heavy library."""

    def __init__(self) -> None:
        self.first: dict[str, list[Place]] = {}

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Always None, so that other finders find the module."""
        if fullname in HEAVY:
            self.first.setdefault(fullname, calling_places())
        return None


def main(name: str) -> dict[str, list[Place]]:
    """The heavy libraries that loading this distribution's plugins imports, with call stacks. Raises PackageNotFoundError."""
    before, listener = set(sys.modules), Listener()
    sys.meta_path.insert(0, listener)
    discover(distribution(name).entry_points.select(group=PROJECT))
    # importlib.util.find_spec also calls the finders, but imports nothing.
    return {name: places for name, places in listener.first.items() if name in sys.modules and name not in before}


if __name__ == "__main__":
    json.dump(main(sys.argv[1]), sys.stdout)
