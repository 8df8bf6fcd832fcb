"""Checks what plugins yield before it is stored: one rule for data sources, generators, annotators and detectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from synthbench.contract.images import read_header
from synthbench.contract.types import Boxes, ImageSet, Run, Sample
from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Item = TypeVar("Item")

DROPPED, CUT = "boxes were dropped: ", "boxes were cut: "  # how notes about boxes begin


class Border:
    """Clips boxes to their image, and drops and counts those that cannot be used. categories: how many there are."""

    def __init__(self, categories: int) -> None:
        self.categories = categories
        self.dropped: Counter[str] = Counter()
        self.cut = 0

    def boxes(self, boxes: Boxes, width: int, height: int) -> Boxes:
        """The boxes that can be used. Raises SynthbenchError if the arrays differ in length."""
        clipped, usable = self.usable(boxes, width, height)
        return _exact(boxes, clipped).keep(usable)

    def usable(self, boxes: Boxes, width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The boxes clipped to their image, and which of them can be used."""
        lengths = {len(boxes.xyxy), len(boxes.labels), len(boxes.scores), len(boxes.crowd)}
        if len(lengths) > 1 or boxes.xyxy.shape[1:] != (4,):
            raise SynthbenchError(f"boxes {boxes.xyxy.shape}, labels, scores and crowd flags are of different lengths: {sorted(lengths)}")
        finite = np.isfinite(boxes.xyxy).all(1) & np.isfinite(boxes.scores)
        known = (boxes.labels >= 0) & (boxes.labels < self.categories)
        clipped: NDArray[np.float64] = np.clip(boxes.xyxy, 0.0, np.array([width, height] * 2, np.float64))
        sized = (clipped[:, 2:] > clipped[:, :2]).all(1)
        self.dropped["with a number that is not finite"] += int((~finite).sum())
        self.dropped["of an unknown category"] += int((finite & ~known).sum())
        self.dropped["without size within their image"] += int((finite & known & ~sized).sum())
        usable: NDArray[np.bool_] = finite & known & sized
        return clipped, usable

    def samples(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Samples with the boxes that can be used. Raises SynthbenchError if an image is no image."""
        for number, sample in enumerate(samples):
            if isinstance(sample.image, Path):
                width, height = read_header(sample.image).upright
            else:
                pixels = sample.image
                if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
                    what = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
                    raise SynthbenchError(f"image {number} should be uint8 (H, W, 3) or a Path, not {what}")
                height, width = pixels.shape[:2]
            if not (width and height):
                raise SynthbenchError(f"image {number} has no pixels: it is {width} x {height}")
            if sample.boxes is not None:
                sample = replace(sample, boxes=self.truth(sample.boxes, width, height))  # noqa: PLW2901 - the same, clipped
            yield sample

    def truth(self, boxes: Boxes, width: int, height: int) -> Boxes:
        """The boxes that can be used, of those that an image comes with; counts those that left it by more than a pixel of rounding."""
        clipped, usable = self.usable(boxes, width, height)
        outside = np.abs(boxes.xyxy - clipped).max(1, initial=0) > 1
        self.cut += int((usable & outside).sum())
        return _exact(boxes, clipped).keep(usable)

    def predictions(self, items: Iterable[Boxes], images: ImageSet) -> Iterator[Boxes]:
        """The boxes of each image that can be used."""
        for boxes, picture in zip(items, images, strict=True):
            yield self.boxes(boxes, picture.width, picture.height)

    def note(self, run: Run, begin: str = "") -> None:
        """Notes in the report what was dropped or cut, if anything was."""
        parts = [f"{count} {what}" for what, count in self.dropped.items() if count]
        if parts:
            run.note(f"{begin}{DROPPED}{', '.join(parts)}")
        if self.cut:
            run.note(f"{begin}{CUT}{self.cut} that reached out of their image")


def _exact(boxes: Boxes, xyxy: NDArray[np.float64]) -> Boxes:
    """The boxes with other corners, and with scores in float64, whatever type the plugin chose."""
    return replace(boxes, xyxy=xyxy, scores=boxes.scores.astype(np.float64))


def counted(items: Iterable[object], expected: int | None, *kinds: type[Item]) -> Iterator[Item]:
    """Passes on what a plugin yields; expected: how many, None if any number will do. kinds: what it may yield.

    Raises SynthbenchError if it yields something else, or more or fewer.
    """
    what = {Sample: "images", Boxes: "boxes"}.get(kinds[0], "vectors")
    number = 0
    for number, item in enumerate(items, start=1):
        if expected is not None and number > expected:
            raise SynthbenchError(f"the plugin yielded more than the {expected} {what} that it was asked for")
        if not isinstance(item, kinds):
            expectation = " or ".join(kind.__name__ for kind in kinds)
            raise SynthbenchError(f"the plugin yielded a {type(item).__name__}, expected {expectation}")
        yield item
    if expected is not None and number < expected:
        raise SynthbenchError(f"the plugin yielded {number} of the {expected} {what} that it was asked for")
