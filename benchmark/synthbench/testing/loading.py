"""Loads a distribution's plugins as listing them does, and says who imports a library that takes long to import.

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

# 0.1 s (numpy) to 15 s each, and all of them are paid for by every command that lists plugins.
HEAVY = (
    *("torch", "torchvision", "tensorflow", "jax", "transformers", "diffusers", "ultralytics", "mmdet", "mmcv", "mmengine", "peft"),
    *("accelerate", "cv2", "scipy", "sklearn", "skimage", "matplotlib", "pandas", "PIL", "numpy"),
)


class Listener(MetaPathFinder):
    """Finds nothing, and remembers who looked for a heavy library first."""

    def __init__(self) -> None:
        self.first: dict[str, list[Place]] = {}

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Leaves the finding to others."""
        if fullname in HEAVY:
            self.first.setdefault(fullname, calling_places())
        return None


def main(name: str) -> dict[str, list[Place]]:
    """Heavy libraries that loading this distribution's plugins imports, in order, and from where. Raises PackageNotFoundError."""
    before, listener = set(sys.modules), Listener()
    sys.meta_path.insert(0, listener)
    discover(distribution(name).entry_points.select(group=PROJECT))
    # Whether a library is there may be asked without importing it.
    return {name: places for name, places in listener.first.items() if name in sys.modules and name not in before}


if __name__ == "__main__":
    json.dump(main(sys.argv[1]), sys.stdout)
