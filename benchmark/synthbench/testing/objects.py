"""Where images show the references' objects, and which reading of boxes fits them best. Uses numpy only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthbench.contract.types import Boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synthbench.contract.types import ImageSet

    Map = NDArray[np.float64]

FARTHEST = 16  # largest shift of boxes that is tried, in pixels
TOLERANCE = 2  # pixels by which a box may be off
BLOCK = 7  # side in pixels of a square outside all boxes that is checked for an object
CLEAR = 4.0  # standard deviations of the surrounding pixels by which an object must differ from their mean
LOSS = 0.75  # share of the best reading's fit that unchanged boxes must reach
RESIDUE = 0.6  # share of the likeness inside boxes above which a block outside is an object


@dataclass(frozen=True)
class Likeness:
    """The likeness of a colour to the objects of one category: about 0 outside the references' boxes, 1 inside.

    Fisher's linear discriminant between the pixels of this category's boxes and all others.
    """

    weights: NDArray[np.float64]
    zero: float

    @classmethod
    def of(cls, references: ImageSet, label: int) -> Likeness:
        """Computed from labelled references."""
        inside, outside = [], []
        for picture in references:
            mask = np.zeros((picture.height, picture.width), bool)
            boxes = picture.boxes or Boxes.none()
            for x1, y1, x2, y2 in boxes.xyxy[boxes.labels == label].astype(int):
                mask[y1:y2, x1:x2] = True
            pixels = picture.pixels().astype(np.float64)
            inside.append(pixels[mask])
            outside.append(pixels[~mask])
        objects, rest = np.concatenate(inside), np.concatenate(outside)
        direction = np.linalg.solve(np.cov(objects.T) + np.cov(rest.T) + np.eye(3), objects.mean(0) - rest.mean(0))
        weights = direction / (direction @ (objects.mean(0) - rest.mean(0)))
        return cls(weights, float(weights @ rest.mean(0)))

    def map(self, pixels: NDArray[np.uint8]) -> Map:
        """The likeness of each pixel, float64 (H, W), averaged with its eight neighbours."""
        return smooth(pixels @ self.weights - self.zero)


def smooth(values: Map) -> Map:
    """The mean of each pixel (H, W) and its eight neighbours."""
    found: Map = np.lib.stride_tricks.sliding_window_view(np.pad(values, 1, mode="edge"), (3, 3)).mean((2, 3))
    return found


@dataclass(frozen=True)
class Scene:
    """The likeness of an image's pixels to the references' objects, and boxes: float64 (H, W) and (N, 4)."""

    likeness: Map
    boxes: NDArray[np.float64]

    def fit(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The difference in mean between boxes (..., 4) and surrounding pixels, in standard deviations of the latter; 0 for empty boxes."""
        height, width = self.likeness.shape
        sums, squares = (integral(each) for each in (self.likeness, self.likeness**2))
        inner = np.clip(np.rint(boxes), 0, [width, height] * 2).astype(int)
        margin = (np.maximum(inner[..., 2:] - inner[..., :2], 4) + 1) // 2
        outer = np.clip(np.concatenate([inner[..., :2] - margin, inner[..., 2:] + margin], -1), 0, [width, height] * 2)
        count, total, square = (total_in(table, inner) for table in (None, sums, squares))
        around, total_around, square_around = (
            whole - part
            for whole, part in zip((total_in(table, outer) for table in (None, sums, squares)), (count, total, square), strict=True)
        )
        sound = (inner[..., 2:] > inner[..., :2]).all(-1) & (around > 0)
        count, around = np.maximum(count, 1), np.maximum(around, 1)
        spread = np.sqrt(np.maximum(square_around / around - (total_around / around) ** 2, 1e-4))
        found: NDArray[np.float64] = np.where(sound, (total / count - total_around / around) / spread, 0.0)
        return found


def integral(values: Map) -> Map:
    """The integral image, sums of all values above and to the left: (H + 1, W + 1)."""
    table: Map = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    return table


def total_in(table: Map | None, boxes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum inside boxes (..., 4), from an `integral`; the number of pixels if `table` is None."""
    x1, y1, x2, y2 = (boxes[..., place] for place in range(4))
    if table is None:
        count: NDArray[np.float64] = (np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)).astype(np.float64)
        return count
    total: NDArray[np.float64] = table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]
    return total


def readings(boxes: NDArray[np.float64], size: tuple[int, int]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yields each possible other format of boxes (N, 4) and the boxes converted from it to xyxy. size: the image's width and height."""
    x, y, third, fourth = boxes.T
    yield "x, y, width, height", np.stack([x, y, x + third, y + fourth], 1)
    yield "middle, width, height", np.stack([x - third / 2, y - fourth / 2, x + third / 2, y + fourth / 2], 1)
    yield "rows before columns", np.stack([y, x, fourth, third], 1)
    yield "pixels of an image of twice the size", boxes / 2
    yield "pixels of an image of half the size", boxes * 2
    if np.abs(boxes).max(initial=0) <= 2:
        yield "shares of the image", boxes * np.array([*size, *size])


def misread(scenes: Sequence[Scene]) -> str:
    """The format or shift that fits the boxes better than xyxy in pixels; empty if none does.

    Raises ValueError if nothing fits: the images do not show the references' objects, or not near the boxes.
    """
    scenes = [scene for scene in scenes if len(scene.boxes)]
    fits: dict[str, float] = {}
    sizes = [scene.likeness.shape[::-1] for scene in scenes]
    others = [dict(readings(scene.boxes, (size[0], size[1]))) for scene, size in zip(scenes, sizes, strict=True)]
    for name in {name for each in others for name in each}:
        fits[name] = mean_fit([scene.fit(each[name]) for scene, each in zip(scenes, others, strict=True) if name in each])
    steps = np.arange(-FARTHEST, FARTHEST + 1)
    moves = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 1, 2)
    moved = np.concatenate([capped(scene.fit(scene.boxes + np.tile(moves, 2))) for scene in scenes], 1).mean(1) if scenes else np.zeros(1)
    near = (np.abs(moves[:, 0]) <= TOLERANCE).all(1)
    as_they_are = float(moved[near].max()) if scenes else 0.0
    across, down = moves[moved.argmax(), 0]
    fits[f"moved by {across} pixels to the right and {down} down"] = float(moved.max())
    best = max(fits, key=lambda name: fits[name])
    if fits[best] < CLEAR:
        raise ValueError(f"the boxes differ from the pixels around them by {fits[best]:.1f} standard deviations, {CLEAR:g} are needed")
    return best if as_they_are < LOSS * fits[best] else ""


def capped(fit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fits, clipped to at most 3 * `CLEAR`."""
    return np.clip(fit, 0, 3 * CLEAR)


def mean_fit(fits: Sequence[NDArray[np.float64]]) -> float:
    """The mean of the capped fits of all boxes."""
    return float(np.mean(capped(np.concatenate(fits)))) if fits else 0.0


def unlabelled(scene: Scene, least: float) -> tuple[int, int] | None:
    """The centre (x, y) of a block of pixels outside all boxes with a mean likeness of at least `least`; None if there is none."""
    rest = scene.likeness.copy()
    for x1, y1, x2, y2 in np.rint(scene.boxes).astype(int):
        rest[max(y1 - TOLERANCE, 0) : max(y2 + TOLERANCE, 0), max(x1 - TOLERANCE, 0) : max(x2 + TOLERANCE, 0)] = 0
    if min(rest.shape) < BLOCK:
        return None
    blocks = np.lib.stride_tricks.sliding_window_view(rest, (BLOCK, BLOCK)).mean((2, 3))
    down, across = np.unravel_index(blocks.argmax(), blocks.shape)
    return (int(across) + BLOCK // 2, int(down) + BLOCK // 2) if blocks.max() >= least else None
