"""The example: rendered scenes, one diffusion model, its rival without a model, one detector; of these, what is installed.

Every plugin in it works without a download. What is missing stays in the file as a comment with the command that installs it.
"""

from __future__ import annotations

from dataclasses import dataclass

from synthbench.errors import SynthbenchError
from synthbench.registry import Registry
from synthbench.shipped import extra_of, install_command
from synthbench.starting.writing import rendered

DETECTORS = ("fasterrcnn", "detr", "yolov8", "fasterrcnn-mmdet")
"""In the order of preference: the first that is installed is used. The first two start from weights that their extras bring."""
NEEDS = {"sd15-dreambooth": ("small-sd15",), "detr": ("small-detr",)}
"""The checkpoints without which a plugin of the example cannot run."""


@dataclass(frozen=True)
class Example:
    """The text of the suite, and what was left out of it: the plugin and the command that installs it."""

    text: str
    left_out: dict[str, str]


def example(registry: Registry) -> Example:
    """The example for what is installed. Raises SynthbenchError, with the command to install it, if no detector or no scene is."""
    detectors = [name for name in DETECTORS if missing(registry, "detector", name) is None]
    missing_scenes = missing(registry, "data-source", "orchard")
    if missing_scenes or not detectors:
        lacking = [*(["the data source 'orchard'"] if missing_scenes else []), *([] if detectors else ["a detector"])]
        raise SynthbenchError(f"the example needs {' and '.join(lacking)}: {install_command('example')}")
    wanted = {name: missing(registry, "generator", name) for name in ("sd15-dreambooth", "copy-paste")}
    left_out = {name: command for name, command in wanted.items() if command}
    generators = [name for name in wanted if name not in left_out]
    text = rendered("example.toml", detector=detectors[0], left_out=left_out, generators=generators)
    return Example(text, left_out)


def missing(registry: Registry, kind: str, name: str) -> str | None:
    """The command that installs a plugin with the checkpoints that it needs here; None if all are installed."""
    lacking = [] if (kind, name) in registry.found else [(kind, name)]
    lacking += [("checkpoint", each) for each in NEEDS.get(name, ()) if each not in registry.checkpoints]
    extras = [extra for each in lacking if (extra := extra_of(*each))]
    return install_command(*extras) if extras else None
