"""Cuts images and their boxes into tiles and resizes them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from synthbench.contract.types import Boxes

Window = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, x2 and y2 exclusive."""


def tiles(width: int, height: int, side: int, overlap: float) -> list[Window]:
    """Windows that cover the image, row by row: squares of `side`, or the whole image if `side` is 0.

    They are spaced evenly, so that neighbours overlap by at least the share `overlap` of `side` and the last window ends at the
    image's edge.
    """
    if not side:
        return [(0, 0, width, height)]
    across, down = min(side, width), min(side, height)
    return [(x, y, x + across, y + down) for y in _starts(height, down, overlap) for x in _starts(width, across, overlap)]


def boxes_in(boxes: Boxes, window: Window, min_visible: float) -> Boxes:
    """The boxes clipped to the window, in the window's pixels. Drops boxes with less than the share `min_visible` of their area in it."""
    x1, y1, x2, y2 = window
    shown = boxes.xyxy.clip((x1, y1, x1, y1), (x2, y2, x2, y2))
    sides = shown[:, 2:] - shown[:, :2]
    share = sides.prod(1) / (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).prod(1)
    shifted = replace(boxes, xyxy=shown - np.array([x1, y1, x1, y1]))
    return shifted.keep((sides > 0).all(1) & (share >= min_visible))


def new_size(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size of an image after its longest side is resized to `longest`; unchanged if that is 0."""
    if not longest:
        return width, height
    factor = longest / max(width, height)
    return max(round(width * factor), 1), max(round(height * factor), 1)


def resize(image: Image.Image, boxes: Boxes, longest: int) -> tuple[Image.Image, Boxes]:
    """Resizes the image's longest side to `longest` pixels (0: unchanged), and scales its boxes."""
    size = new_size(*image.size, longest)
    if size == image.size:
        return image, boxes
    # Pillow widens the filter when it shrinks an image, which avoids aliasing.
    return image.resize(size, Image.Resampling.LANCZOS), boxes.scaled(size[0] / image.width, size[1] / image.height)


def _starts(length: int, side: int, overlap: float) -> list[int]:
    steps = math.ceil((length - side) / (side * (1 - overlap)) - 1e-9)
    return [round(number * (length - side) / steps) for number in range(steps + 1)] if steps else [0]
