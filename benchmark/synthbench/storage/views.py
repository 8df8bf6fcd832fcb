"""Reading artifacts as image sets: a stage's images, with its own boxes or another stage's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from synthbench.contract.types import ImageSet
from synthbench.errors import SynthbenchError
from synthbench.storage.boxes import read_boxes
from synthbench.storage.coco import read_set

BOXES = "boxes.npz"
"""The file in which predictions and annotations lie."""


@dataclass(frozen=True, kw_only=True)
class ViewRef:
    """Where a view's images and boxes lie; see `synthbench.plan.planner.View`."""

    folder: str
    choose: tuple[int, int] | None = None
    boxes: str | None = None


def see(view: ViewRef) -> ImageSet:
    """The images of a view, with the boxes it puts on them."""
    images = read_set(Path(view.folder))
    if view.boxes is not None:
        images = images.with_boxes(read_boxes(Path(view.boxes) / BOXES))
    if view.choose is not None:
        count, seed = view.choose
        images = choose(images, count, seed)
    return images


def choose(images: ImageSet, count: int, seed: int) -> ImageSet:
    """`count` of the pictures at random. Raises SynthbenchError where there are fewer."""
    if count > len(images):
        raise SynthbenchError(f"references = {count}, but the real training set holds only {len(images)} images")
    import numpy as np

    return images.subset(sorted(np.random.default_rng(seed).permutation(len(images))[:count].tolist()))


def joined(views: Iterable[ViewRef]) -> ImageSet:
    """The images of several views, one after the other."""
    sets = [see(view) for view in views]
    return ImageSet(sets[0].categories, tuple(picture for each in sets for picture in each))
