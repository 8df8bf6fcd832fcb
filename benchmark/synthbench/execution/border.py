"""Checks what plugins yield before it is stored: one rule for data sources, generators, annotators and detectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from synthbench.contract.images import read_header
from synthbench.contract.types import Boxes, ImageSet, Run, Sample
from synthbench.errors import SynthbenchError

Item = TypeVar("Item", Sample, Boxes)


class Border:
    """Clips boxes to their image, and drops and counts those that cannot be used. categories: how many there are."""

    def __init__(self, categories: int) -> None:
        self.categories = categories
        self.dropped: Counter[str] = Counter()

    def boxes(self, boxes: Boxes, width: int, height: int) -> Boxes:
        """The boxes that can be used. Raises SynthbenchError if the arrays differ in length."""
        lengths = {len(boxes.xyxy), len(boxes.labels), len(boxes.scores), len(boxes.crowd)}
        if len(lengths) > 1 or boxes.xyxy.shape[1:] != (4,):
            raise SynthbenchError(f"boxes {boxes.xyxy.shape}, labels, scores and crowd flags are of different lengths: {sorted(lengths)}")
        finite = np.isfinite(boxes.xyxy).all(1) & np.isfinite(boxes.scores)
        known = (boxes.labels >= 0) & (boxes.labels < self.categories)
        edges = np.array([width, height] * 2, np.float32)
        clipped = np.clip(boxes.xyxy, 0, edges)
        sized = (clipped[:, 2:] > clipped[:, :2]).all(1)
        self.dropped["with a number that is not finite"] += int((~finite).sum())
        self.dropped["of an unknown category"] += int((finite & ~known).sum())
        self.dropped["without size within their image"] += int((finite & known & ~sized).sum())
        return replace(boxes, xyxy=clipped).keep(finite & known & sized)

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
            yield sample if sample.boxes is None else replace(sample, boxes=self.boxes(sample.boxes, width, height))

    def predictions(self, items: Iterable[Boxes], images: ImageSet) -> Iterator[Boxes]:
        """The boxes of each image that can be used."""
        for boxes, picture in zip(items, images, strict=True):
            yield self.boxes(boxes, picture.width, picture.height)

    def note(self, run: Run, begin: str = "") -> None:
        """Notes in the report what was dropped, if anything was."""
        parts = [f"{count} {what}" for what, count in self.dropped.items() if count]
        if parts:
            run.note(f"{begin}boxes were dropped: {', '.join(parts)}")


def counted(items: Iterable[object], expected: int | None, kind: type[Item]) -> Iterator[Item]:
    """Passes on what a plugin yields; expected: how many, None if any number will do.

    Raises SynthbenchError if it yields something else, or more or fewer.
    """
    what = "images" if kind is Sample else "boxes"
    number = 0
    for number, item in enumerate(items, start=1):
        if expected is not None and number > expected:
            raise SynthbenchError(f"the plugin yielded more than the {expected} {what} that it was asked for")
        if not isinstance(item, kind):
            raise SynthbenchError(f"the plugin yielded a {type(item).__name__}, expected {kind.__name__}")
        yield item
    if expected is not None and number < expected:
        raise SynthbenchError(f"the plugin yielded {number} of the {expected} {what} that it was asked for")
