"""An image set as files in the layout that ultralytics reads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from synthbench import SynthbenchError

from synthbench_yolov8.library import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from synthbench import ImageSet, Picture, Run

SMALLEST = 10  # pixels: ultralytics silently drops smaller images


def write_dataset(folder: Path, train: ImageSet, validation: ImageSet, image_size: int, run: Run) -> dict[str, object]:
    """Writes both sets and returns what ultralytics' `data.yaml` would say; without `validation`, `val` is the training set.

    Images are written again rather than linked, so that they are what `Picture.pixels` returns (upright, 8 bits, RGB), and so
    that ultralytics, which repairs JPEGs in place, changes nothing in the store.
    """
    parts = [("train", number, picture) for number, picture in enumerate(train)]
    parts += [("val", number, picture) for number, picture in enumerate(validation)]
    for part, number, picture in run.track(parts, "prepare", unit="images"):
        images, labels = folder / "images" / part, folder / "labels" / part
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_shrunk(picture, image_size)).save(images / f"{number:06d}.png", compress_level=1)
        (labels / f"{number:06d}.txt").write_text(_label_lines(picture))
    return {
        "path": folder,
        "train": str(folder / "images/train"),
        "val": str(folder / "images" / ("val" if len(validation) else "train")),
        "names": dict(enumerate(train.categories)),
        "nc": len(train.categories),
        "channels": 3,
    }


def _shrunk(picture: Picture, image_size: int) -> NDArray[np.uint8]:
    """The pixels, uint8 (H, W, 3), with the longer side at most `image_size`: ultralytics would resize the file at every reading."""
    pixels = picture.pixels()
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST:
        raise SynthbenchError(f"{picture.path}: {width} x {height} pixels, and YOLOv8 needs {SMALLEST} each way; leave the image out")
    ratio = image_size / max(height, width)
    if ratio >= 1 or min(height, width) * ratio < SMALLEST:
        return pixels
    size = min(math.ceil(width * ratio), image_size), min(math.ceil(height * ratio), image_size)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _label_lines(picture: Picture) -> str:
    """A line for each box that is not a crowd: category, then centre and size as fractions of the image."""
    if picture.boxes is None:
        return ""
    boxes = picture.boxes.keep(~picture.boxes.crowd)
    size = np.array([picture.width, picture.height] * 2, np.float64)
    corners = np.clip(boxes.xyxy / size, 0, 1)
    centres, sides = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    lines = [
        f"{label} {x:.8f} {y:.8f} {width:.8f} {height:.8f}\n"
        for label, (x, y), (width, height) in zip(boxes.labels.tolist(), centres.tolist(), sides.tolist(), strict=True)
        if width > 0 and height > 0
    ]
    return "".join(lines)
