"""Finds objects in photographs with an exported detector. Needs numpy, Pillow and onnxruntime, and nothing of synthbench.

    python detect.py PHOTO...                 the boxes as JSON, in pixels of the photograph, best first
    python detect.py --draw FOLDER PHOTO...   and drawn, as PHOTO.png in the folder

`detector.onnx` and `detector.json` lie beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps

GREY = 114


class Detector:
    """The detector in a folder."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime 1.29 and newer would report to its makers
        import onnxruntime

        self.about: dict[str, Any] = json.loads((folder / "detector.json").read_text())
        self.session = onnxruntime.InferenceSession(str(folder / "detector.onnx"), providers=["CPUExecutionProvider"])

    def detect(self, image: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Boxes (N, 4) as x1, y1, x2, y2 in pixels of `image`, which is uint8 (H, W, 3), RGB; scores (N,); labels (N,)."""
        height, width = image.shape[:2]
        values, (left, top), (across, down) = prepare(image, self.about)
        boxes, scores, labels = self.session.run(["boxes", "scores", "labels"], {"image": values})
        boxes = (boxes.astype(float) - [left, top, left, top]) / [across, down, across, down]
        boxes = boxes.clip(0, [width, height, width, height])
        sides = boxes[:, 2:] - boxes[:, :2]
        kept = ((sides > 0) & (sides >= self.about["min_side"])).all(1)
        return boxes[kept], scores[kept], labels[kept]


def prepare(image: np.ndarray[Any, Any], about: dict[str, Any]) -> tuple[np.ndarray[Any, Any], tuple[int, int], tuple[float, float]]:
    """The input of the network, where the photograph begins in it, and by what its width and height were multiplied."""
    size, fit = int(about["size"]), about["fit"]
    height, width = image.shape[:2]
    scale = size / max(height, width)
    new_width, new_height = (size, size) if fit == "stretch" else (max(round(width * scale), 1), max(round(height * scale), 1))
    resized = opencv_resize(image, new_width, new_height) if about["resample"] == "opencv" else pillow_resize(image, new_width, new_height)
    left = top = 0
    across, down = new_width / width, new_height / height
    if fit == "letterbox":
        across = down = scale
        left, top = round((size - new_width) / 2 - 0.1), round((size - new_height) / 2 - 0.1)
        square = np.full((size, size, 3), GREY, np.uint8)
        square[top : top + new_height, left : left + new_width] = resized
        resized = square
    return resized.transpose(2, 0, 1)[None].astype(np.float32) / 255, (left, top), (across, down)


def pillow_resize(image: np.ndarray[Any, Any], width: int, height: int) -> np.ndarray[Any, Any]:
    """Bilinear, with antialiasing where it shrinks."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def opencv_resize(image: np.ndarray[Any, Any], width: int, height: int) -> np.ndarray[Any, Any]:
    """Bilinear between the nearest four pixels, as OpenCV's INTER_LINEAR."""
    if (height, width) == image.shape[:2]:
        return image
    (low_y, high_y, part_y), (low_x, high_x, part_x) = neighbours(image.shape[0], height), neighbours(image.shape[1], width)
    rows = image[low_y] * (1 - part_y)[:, None, None] + image[high_y] * part_y[:, None, None]
    mixed = rows[:, low_x] * (1 - part_x)[None, :, None] + rows[:, high_x] * part_x[None, :, None]
    rounded: np.ndarray[Any, Any] = np.rint(mixed).astype(np.uint8)
    return rounded


def neighbours(old: int, new: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """For each new pixel along a side the two old ones that it lies between, and how near it is to the second."""
    place = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
    low = np.floor(place).astype(int)
    return low, np.minimum(low + 1, old - 1), place - low


def read(path: Path) -> np.ndarray[Any, Any]:
    """A photograph, upright, uint8 (H, W, 3), RGB."""
    with Image.open(path) as file:
        upright: np.ndarray[Any, Any] = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    return upright


def main() -> None:
    """Detects in the photographs that were named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="+", type=Path)
    parser.add_argument("--score", type=float, default=0.5, help="leave out boxes with a lower score (default: %(default)s)")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="also draw them, as PHOTO.png in this folder")
    arguments = parser.parse_args()
    drawings = {path: arguments.draw / f"{path.name}.png" for path in arguments.photo} if arguments.draw else {}
    if len(set(drawings.values())) < len(drawings):
        parser.error("photographs of the same name would be drawn over each other; name one folder of them at a time")
    if there := [str(each) for each in drawings.values() if each.exists()]:
        parser.error(f"{there[0]} is there already; name another folder with --draw")
    detector = Detector(Path(__file__).parent)
    found = {}
    for path in arguments.photo:
        image = read(path)
        boxes, scores, labels = (each.tolist() for each in detector.detect(image))
        kept = [row for row in zip(boxes, scores, labels, strict=True) if row[1] >= arguments.score]
        found[str(path)] = [
            {"box": [round(edge, 2) for edge in box], "score": round(score, 4), "category": detector.about["categories"][label]}
            for box, score, label in kept
        ]
        if path in drawings:
            drawn = Image.fromarray(image)
            for box, _, _ in kept:
                ImageDraw.Draw(drawn).rectangle(box, outline=(255, 0, 0), width=max(2, max(drawn.size) // 300))
            drawings[path].parent.mkdir(parents=True, exist_ok=True)
            drawn.save(drawings[path])
    print(json.dumps(found, indent=1))  # noqa: T201 - a program of its own


if __name__ == "__main__":
    main()
