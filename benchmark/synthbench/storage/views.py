"""Reading artifacts as image sets."""

from __future__ import annotations

from collections.abc import Iterable

from synthbench.contract.types import ImageSet
from synthbench.storage.boxes import read_annotations
from synthbench.storage.coco import read_set
from synthbench.storage.references import HIDDEN, OWN, ViewRef, find
from synthbench.storage.store import Store

BOXES = "boxes.npz"
"""The file that holds predictions and annotations."""


def read_view(store: Store, view: ViewRef) -> ImageSet:
    """The images of a view with the boxes that it shows. Raises SynthbenchError if an artifact is not in the store."""
    images = read_set(find(store, view.images).folder)[: view.first]
    if view.boxes == HIDDEN:
        return images.without_boxes()
    if view.boxes == OWN:
        return images
    return images.with_boxes(read_annotations(find(store, view.boxes).folder / BOXES)[: view.first])


def read_views(store: Store, views: Iterable[ViewRef]) -> ImageSet:
    """The images of several views, one after the other."""
    sets = [read_view(store, view) for view in views]
    return ImageSet(sets[0].categories, tuple(picture for images in sets for picture in images))
