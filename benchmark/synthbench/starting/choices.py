"""What a first suite says for a folder of photographs and a machine."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from synthbench.contract.options import option_types
from synthbench.data.tiling import tiles
from synthbench.registry import Registry
from synthbench.shipped import extra_of, install_command
from synthbench.starting.folder import Facts
from synthbench.starting.machine import Machine
from synthbench.text import NAME

SMALLEST = 12.0  # pixels that an object of median size should have where a detector sees it; small networks find few below
SIDES = (256, 320, 416, 512)  # of images on a CPU
LARGE = 10.0  # GiB of GPU memory from which Stable Diffusion is fine-tuned
FULL = 24.0  # GiB for all weights of SD-1.5 and for SDXL's LoRA
REFERENCES, IMAGES = 20, 3  # references, as in the paper, and generated images for each of them
RIVALS = ("copy-paste", "augment")
PER_WORKER = (1.0, 1.3)  # GiB that a worker takes, and in addition for a batch of 8 at 256 pixels; reports/detectors-photos.json


@dataclass(frozen=True)
class Choices:
    """The values of the template `folder.toml`; sizes are in pixels, `tile` and `resize` 0 for none."""

    references: int
    images: int
    holdout: int
    real_counts: list[int]
    image_size: int
    resize: int
    tile: int
    tiles: int
    batch_size: int
    large: bool
    full: bool
    prompt: str
    placeholder: bool
    """Whether the generators put the classes of an image into its prompt."""
    class_words: dict[str, str]
    """What prompts call the classes whose names are not words."""
    varied: bool
    generators: list[str]
    detectors: list[str]
    natives: list[str]
    """The generators whose own boxes are used."""
    leave_out: list[str]
    """The rows of these that no detector is trained on."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Plugins that are not installed, with the command that installs them."""


def choose(facts: Facts, machine: Machine, registry: Registry) -> Choices:
    """The choices for a folder and a machine, of the plugins that are installed. The first detector is the teacher."""
    large = machine.gpu_memory >= LARGE
    image_size, tile = sizes(facts, machine, large=large)
    count = len(tiles(*next(iter(facts.sizes)), tile, 0.0))
    train = facts.train * count
    references = REFERENCES if train >= 3 * REFERENCES else max(1, train // 3)
    holdout = min(20, train // 10) if train >= 5 * REFERENCES else 0
    generators, detectors, left_out = plugins(registry, machine, large=large)
    several = len(facts.classes) > 1
    placeholder = "sd15-dreambooth" in generators and "class_words" in option_types(registry.get("generator", "sd15-dreambooth").cls)
    apart = placeholder and several and told_apart([spoken(name) or name for name in facts.classes])
    natives = [name for name in generators if name in RIVALS or (apart and name == "sd15-dreambooth")]
    return Choices(
        references=references,
        images=references * IMAGES,
        holdout=holdout,
        real_counts=[3 * references] if train - holdout >= 6 * references else [],
        image_size=image_size,
        resize=image_size if facts.longest > image_size or tile > image_size else 0,
        tile=tile,
        tiles=count,
        batch_size=8 if large else batch_size(image_size, machine),
        large=large,
        full=machine.gpu_memory >= FULL,
        prompt=prompt(facts.classes, placeholder=placeholder and several),
        placeholder=placeholder and several,
        class_words={name: words for name in facts.classes if (words := spoken(name)) not in ("", name)},
        varied=any(hasattr(registry.get("detector", name).cls, "features") for name in detectors),
        generators=generators,
        detectors=detectors,
        natives=natives,
        leave_out=unused(generators, natives),
        left_out=left_out,
    )


def sizes(facts: Facts, machine: Machine, *, large: bool) -> tuple[int, int]:
    """The longer side at which detectors see images, and the side of the tiles that images are cut into, 0 for none.

    The smallest side at which an object of median size has `SMALLEST` pixels; tiles where no side that the machine can afford does.
    """
    most = 640 if large else SIDES[0] if machine.processors <= 2 else SIDES[2] if machine.processors <= 8 else SIDES[3]
    needed = facts.longest * SMALLEST / max(facts.side, 1.0)
    affordable = [side for side in (*SIDES, 640) if side <= most]
    side = next((each for each in affordable if each >= needed), most)
    side = 640 if large else side
    if side >= needed or facts.longest <= side:
        return side, 0
    return side, max(side, math.floor(side * facts.side / SMALLEST / 32) * 32)


def batch_size(image_size: int, machine: Machine) -> int:
    """Images in a step on a CPU: 8, or as many as fit the memory of one of two workers."""
    own, batch = PER_WORKER
    room = machine.memory / 2 - own
    return next((size for size in (8, 4, 2) if not machine.memory or room >= batch * size / 8 * (image_size / 256) ** 2), 1)


def plugins(registry: Registry, machine: Machine, *, large: bool) -> tuple[list[str], list[str], dict[str, str]]:
    """Generators, detectors, and what is not installed. With fewer than four processors and no GPU, one detector is enough."""
    wanted = ["sd15-dreambooth", *(["sdxl-lora"] if machine.gpu_memory >= FULL else []), "copy-paste", "augment"]
    needed = {} if large else {"sd15-dreambooth": "photo-sd15"}
    lacking = {name: lacks(registry, "generator", name, needed.get(name)) for name in wanted}
    left_out = {name: install_command(*extras) for name, extras in lacking.items() if extras}
    ordered = ("fasterrcnn", "yolov8", "detr", "fasterrcnn-mmdet")
    able = [name for name in ordered if ("detector", name) in registry.found]
    left_out |= {name: install_command(*lacks(registry, "detector", name)) for name in ordered[:1] if name not in able}
    return [name for name in wanted if name not in left_out], able[: 2 if large or machine.processors >= 4 else 1], left_out


def unused(generators: Sequence[str], natives: Sequence[str]) -> list[str]:
    """Rows that tell nothing: rivals with a teacher, whose boxes are worse than theirs, and models without boxes with `native`."""
    if all(name in RIVALS for name in generators):
        return []  # there is no teacher
    rows = [f"{name} x teacher" for name in generators if name in RIVALS]
    return rows + ([f"{name} x native" for name in generators if name not in natives] if natives else [])


def lacks(registry: Registry, kind: str, name: str, checkpoint: str | None = None) -> list[str]:
    """The extras that bring what is not installed of a plugin and the checkpoint that it needs."""
    missing = [] if (kind, name) in registry.found else [(kind, name)]
    missing += [("checkpoint", checkpoint)] if checkpoint and checkpoint not in registry.checkpoints else []
    return [extra for each in missing if (extra := extra_of(*each))]


def prompt(classes: Iterable[str], *, placeholder: bool) -> str:
    """A prompt that names the classes, or `{classes}` for those that each image shows."""
    if placeholder:
        return "a photo of {classes}"
    words = [text for name in classes if (text := spoken(name))]
    return f"a photo of {listed(words)}" if words else "a photo of an object"


def told_apart(words: Sequence[str]) -> bool:
    """Whether no class's words are a part of another's, as `apple` is of `apple leaf`: else boxes from attention mix them up."""
    padded = [" ".join(["", *re.findall(r"[^\W_]+", each.casefold()), ""]) for each in words]
    return not any(one in other for one, other in permutations(padded, 2))


def spoken(name: str) -> str:
    """A class's name as words: `red apple` for `red_apple`; empty if there is no letter in it."""
    words = re.sub(r"[\W_]+", " ", name[:NAME]).strip()  # no model takes notice of more
    return words if any(letter.isalpha() for letter in words) else ""


def listed(words: Sequence[str]) -> str:
    """`one, two and three`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
