"""Which distribution has which of the shipped plugins, so that the error for one that is not installed says how to get it.

A test keeps this equal to the workspace. Plugins of others are not here: only their authors know where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SHIPPED: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "checkpoints": tuple(("checkpoint", f"{what}-{model}") for what in ("small", "photo") for model in ("sd15", "sdxl", "detr")),
        "datasets": (
            *(("data-source", name) for name in ("applebbch81", "minneapple", "voetman-generated")),
            ("generator", "voetman-generated"),
        ),
        "detr": (("detector", "detr"),),
        "diffusers": (("generator", "sd15-dreambooth"), ("generator", "sdxl-lora"), ("generator", "inpaint")),
        "fasterrcnn": (("detector", "fasterrcnn"),),
        "mmdet": (("detector", "fasterrcnn-mmdet"), ("detector", "detr-mmdet")),
        "orchard": (("data-source", "orchard"),),
        "rivals": (("generator", "copy-paste"), ("generator", "augment"), ("generator", "repeat")),
        "yolov8": (("detector", "yolov8"),),
        "yolox": (("detector", "yolox"),),
        "zeroshot": (*(("annotator", name) for name in ("grounding-dino", "owlv2", "sam2")), ("detector", "grounding-dino")),
    }
)
"""By the extra of the distribution `synthbench`: kind and name of each plugin and checkpoint in `synthbench-EXTRA`."""


def extra_of(kind: str, name: str) -> str | None:
    """The extra that brings a shipped plugin or a `checkpoint`; None if it is not shipped, or comes with the core."""
    return next((extra for extra, contents in SHIPPED.items() if (kind, name) in contents), None)


def install_command(*extras: str) -> str:
    """The command that installs extras."""
    return f'pip install "synthbench[{",".join(dict.fromkeys(extras))}]"'


def how_to_install(kind: str, name: str) -> str:
    """`; it is in synthbench-X: pip install "synthbench[X]"` for what is shipped, else nothing."""
    extra = extra_of(kind, name)
    return f"; it is in synthbench-{extra}: {install_command(extra)}" if extra else ""
