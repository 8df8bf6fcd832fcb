"""Reading artifacts as image sets: a stage's images, with its own boxes or another stage's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from synthbench.errors import SynthbenchError
from synthbench.formats.boxes import read_boxes
from synthbench.formats.coco import read_set
from synthbench.jobs import ViewRef
from synthbench.types import ImageSet

BOXES = "boxes.npz"
"""The file in which predictions and annotations lie."""


def see(view: ViewRef) -> ImageSet:
    """The images of a view, with the boxes it puts on them."""
    images = read_set(Path(view.folder))
    if view.boxes is not None:
        images = images.labelled(read_boxes(Path(view.boxes) / BOXES))
    if view.choose is not None:
        count, seed = view.choose
        images = choose(images, count, seed)
    return images


def choose(images: ImageSet, count: int, seed: int) -> ImageSet:
    """`count` of the pictures at random. Raises SynthbenchError where there are fewer."""
    if count > len(images):
        raise SynthbenchError(f"references = {count}, but the real training set holds only {len(images)} images")
    import numpy as np

    return images.chosen(sorted(np.random.default_rng(seed).permutation(len(images))[:count].tolist()))


def joined(views: Iterable[ViewRef]) -> ImageSet:
    """The images of several views, one after the other."""
    sets = [see(view) for view in views]
    return ImageSet(sets[0].categories, tuple(picture for each in sets for picture in each))
