"""Photographs of orchards with boxes: a folder with `annotations.json` (COCO, one category) and `images/`.

Captions are made of what is measured: `a photo of many red apples on a tree, white sky`. The number comes from the
boxes, the colour from the pixels in them, the background from the pixels of the whole photograph.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scenes import Scenes, read_scenes, write_scenes

if TYPE_CHECKING:
    from numpy.typing import NDArray

# One tree in so many is held out, with all its photographs: neighbouring crops of one photograph overlap.
ONE_TREE_IN = 14
TREE = re.compile(r"(\d+kv\d+r\d+k)")


def load(folder: Path, cache: Path) -> tuple[Scenes, Scenes]:
    """The photographs to train on, and those held out, read once and kept in `cache`. All have the same size."""
    files = [cache / f"photographs-{part}.npz" for part in ("training", "held-out")]
    if not all(file.exists() for file in files):
        for part, file in zip(read(folder), files, strict=True):
            write_scenes(part, file)
    training, testing = (read_scenes(file) for file in files)
    return training, testing


def read(folder: Path) -> tuple[Scenes, Scenes]:
    """The photographs to train on, and those held out."""
    data = json.loads((folder / "annotations.json").read_text())
    boxes: dict[int, list[list[float]]] = {image["id"]: [] for image in data["images"]}
    for box in data["annotations"]:
        left, top, width, height = box["bbox"]
        boxes[box["image_id"]].append([left, top, left + width, top + height])
    trees = sorted({tree_of(image["file_name"]) for image in data["images"]})
    held_out = set(trees[::ONE_TREE_IN])
    parts: tuple[list[int], list[int]] = ([], [])
    images, captions, all_boxes = [], [], []
    for number, image in enumerate(data["images"]):
        with Image.open(folder / "images" / image["file_name"]) as file:
            images.append(np.asarray(file.convert("RGB"), np.uint8))
        all_boxes.append(np.array(boxes[image["id"]], np.float32).reshape(-1, 4))
        captions.append(caption(images[-1], all_boxes[-1]))
        parts[tree_of(image["file_name"]) in held_out].append(number)
    training, testing = (
        Scenes(np.stack([images[n] for n in part]), [captions[n] for n in part], [all_boxes[n] for n in part]) for part in parts
    )
    return training, testing


def tree_of(name: str) -> str:
    """The tree in a file's name, such as `17kv10r3k`, or the whole name."""
    found = TREE.search(name)
    return found[1] if found else name


def caption(image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> str:
    """A caption for pixels uint8 (H, W, 3) and boxes float32 (M, 4), corners in pixels."""
    number = "few" if len(boxes) <= 5 else "some" if len(boxes) <= 13 else "many"
    return f"a photo of {number} {colour(image, boxes)} apples on a tree, {background(image)}"


def colour(image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> str:
    """`red`, `pink` or `green`: the median of red minus green over the middle of each box, averaged over the boxes."""
    differences = []
    for left, top, right, bottom in boxes:
        inset_x, inset_y = (right - left) / 4, (bottom - top) / 4
        part = image[int(top + inset_y) : int(bottom - inset_y) + 1, int(left + inset_x) : int(right - inset_x) + 1].astype(int)
        differences.append(float(np.median(part[..., 0] - part[..., 1])))
    mean = float(np.mean(differences)) if differences else 0.0
    return "red" if mean > 45 else "pink" if mean > 12 else "green"


def background(image: NDArray[np.uint8]) -> str:
    """`white sky`, `blue sky` or `some sky`, by the share of white and blue pixels, otherwise `leaves`."""
    pixels = image.reshape(-1, 3).astype(int)
    white = float((pixels.min(1) > 215).mean())
    blue = float(((pixels[:, 2] > 130) & (pixels[:, 2] > pixels[:, 0] + 25)).mean())
    if max(white, blue) < 0.05:
        return "leaves"
    if max(white, blue) < 0.2:
        return "some sky"
    return "white sky" if white >= blue else "blue sky"
