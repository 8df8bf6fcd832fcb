"""Removes objects from an image: what was behind them is made of other parts of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Box = tuple[int, int, int, int]
    Mask = NDArray[np.bool_]
    Pixels = NDArray[np.uint8]

MARGIN = 0.12  # share of a box's side that is removed around it: shadows, and boxes that are a little too small
RING = 4  # pixels around the hole that must look alike where the filling comes from, more for large holes
REACH = 4.0  # in sides of the hole: how far the filling may come from, at first
MIN_REACH = 128  # pixels
ALIKE = 32  # of 255; a larger difference is one of content, not of light


def remove_objects(pixels: Pixels, boxes: NDArray[np.float64], crowds: NDArray[np.float64]) -> Pixels:
    """The image, uint8 (H, W, 3), without the objects in `boxes` (N, 4). Nothing is copied from `crowds` (M, 4).

    Each box is filled with the part of the image, free of objects, whose surroundings look most like the box's own; where there is
    none, by inpainting (Telea 2004).
    """
    height, width = pixels.shape[:2]
    holes = [enlarged(box, width, height) for box in boxes]
    unknown = np.zeros((height, width), np.bool_)  # shows an object that is still to be removed
    for x1, y1, x2, y2 in holes:
        unknown[y1:y2, x1:x2] = True
    taboo = unknown.copy()
    for x1, y1, x2, y2 in (enlarged(box, width, height) for box in crowds):
        taboo[y1:y2, x1:x2] = True
    emptied, rest = pixels.copy(), unknown.copy()
    for hole in sorted(holes, key=lambda each: (each[2] - each[0]) * (each[3] - each[1])):
        if fill(emptied, rest, taboo, hole):
            rest[hole[1] : hole[3], hole[0] : hole[2]] = False
    if rest.any():
        emptied = cv2.inpaint(emptied, rest.astype(np.uint8), 3, cv2.INPAINT_TELEA).astype(np.uint8)
    return emptied


def enlarged(box: NDArray[np.float64], width: int, height: int) -> Box:
    """The whole pixels of a box and of a margin around it, within the image."""
    x1, y1, x2, y2 = box
    margin = max(2.0, MARGIN * max(x2 - x1, y2 - y1))
    return (
        int(max(np.floor(x1 - margin), 0)),
        int(max(np.floor(y1 - margin), 0)),
        int(min(np.ceil(x2 + margin), width)),
        int(min(np.ceil(y2 + margin), height)),
    )


def fill(emptied: Pixels, unknown: Mask, taboo: Mask, hole: Box) -> bool:
    """Fills a hole of `emptied` from the best matching place; returns False if there is none.

    unknown: pixels that show an object still. taboo: pixels that nothing may be copied from.
    """
    height, width = unknown.shape
    x1, y1, x2, y2 = hole
    if x2 <= x1 or y2 <= y1:
        return True
    ring = max(RING, round(0.2 * max(x2 - x1, y2 - y1)))
    left, top, right, bottom = max(x1 - ring, 0), max(y1 - ring, 0), min(x2 + ring, width), min(y2 + ring, height)
    window = emptied[top:bottom, left:right]
    inside = np.zeros(window.shape[:2], np.bool_)
    inside[y1 - top : y2 - top, x1 - left : x2 - left] = True
    known = ~inside & ~unknown[top:bottom, left:right]
    if not known.any():
        return False
    reach = round(max(MIN_REACH, REACH * max(x2 - x1, y2 - y1)))
    near = (max(left - reach, 0), max(top - reach, 0), min(right + reach, width), min(bottom + reach, height))
    for a, b, c, d in (near, (0, 0, width, height)):
        found = best_match(emptied[b:d, a:c], taboo[b:d, a:c], window, known)
        if found is not None:
            x, y = found[0] + a, found[1] + b
            source = emptied[y : y + window.shape[0], x : x + window.shape[1]].astype(np.float32)
            soft = np.maximum(cv2.GaussianBlur(inside.astype(np.float32), (0, 0), ring / 4), inside)[..., None]
            blended = window * (1 - soft) + matched(source, window, known) * soft
            seen = inside | known
            window[seen] = np.rint(blended[seen].clip(0, 255)).astype(np.uint8)
            return True
    return False


def matched(source: NDArray[np.float32], window: Pixels, known: Mask) -> NDArray[np.float32]:
    """`source`, (H, W, 3), in the light of `window`: small differences between both where `known`, spread smoothly, are added."""
    sigma = max(known.shape) / 4
    difference = window - source
    alike = known & (np.abs(difference).max(2) < ALIKE)
    weight = cv2.GaussianBlur(alike.astype(np.float32), (0, 0), sigma)[..., None]
    spread = cv2.GaussianBlur(np.where(alike[..., None], difference, 0).astype(np.float32), (0, 0), sigma) / (weight + 0.01)
    lit: NDArray[np.float32] = source + spread
    return lit


def best_match(area: Pixels, taboo: Mask, window: Pixels, known: Mask) -> tuple[int, int] | None:
    """The place (x, y) in `area` whose pixels are most like those of `window` where `known`, free of `taboo`; None if there is none."""
    high, wide = window.shape[:2]
    counts = cv2.integral(taboo.astype(np.uint8))
    hidden = counts[high:, wide:] - counts[:-high, wide:] - counts[high:, :-wide] + counts[:-high, :-wide]
    if hidden.size == 0 or hidden.min() > 0:
        return None
    mask = np.repeat(known.astype(np.float32)[..., None], 3, 2)
    distance = cv2.matchTemplate(area.astype(np.float32), window.astype(np.float32), cv2.TM_SQDIFF, mask=mask)
    distance = np.where(hidden > 0, np.inf, distance)
    y, x = np.unravel_index(int(distance.argmin()), distance.shape)
    return int(x), int(y)
