"""The pictures every shipped checkpoint learns from: rendered scenes of the `broad` domain."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from synthbench_orchard.draw import paint
from synthbench_orchard.scene import BROAD, compose

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 96
# Apart from every seed a suite is likely to use.
SEED = 20230609


@dataclass(frozen=True)
class Scenes:
    """Images uint8 (N, S, S, 3), a caption and boxes float32 (M, 4) xyxy for each."""

    images: NDArray[np.uint8]
    captions: list[str]
    boxes: list[NDArray[np.float32]]


def render(index: int, size: int = SIZE) -> tuple[NDArray[np.uint8], str, NDArray[np.float32]]:
    """Scene `index` of the training set."""
    rng = np.random.default_rng([SEED, index])
    scene = compose(BROAD, rng)
    painted = paint(scene, size, rng)
    return painted.image, scene.caption, painted.boxes


def load(count: int, cache: Path, size: int = SIZE) -> Scenes:
    """The first `count` scenes, rendered once and kept in `cache`."""
    file = cache / (f"broad-{count}.npz" if size == SIZE else f"broad-{count}-{size}.npz")
    if not file.exists():
        with ProcessPoolExecutor() as pool:
            images, captions, boxes = zip(*pool.map(render, range(count), [size] * count, chunksize=32), strict=True)
        write_scenes(Scenes(np.stack(images), list(captions), list(boxes)), file)
    return read_scenes(file)


def write_scenes(scenes: Scenes, file: Path) -> None:
    """One .npz file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"captions": scenes.captions, "boxes": [box.tolist() for box in scenes.boxes]})
    np.savez(file, images=scenes.images, text=np.array(text))


def read_scenes(file: Path) -> Scenes:
    """What `write_scenes` wrote."""
    with np.load(file) as held:
        text = json.loads(str(held["text"]))
        boxes = [np.array(box, np.float32).reshape(-1, 4) for box in text["boxes"]]
        return Scenes(held["images"], text["captions"], boxes)
