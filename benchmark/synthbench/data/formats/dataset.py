"""The one form that every reader leads to and every writer starts from."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synthbench.contract.images import Header

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLITS = ("train", "val", "test")
UNKNOWN = (0, 0)


@dataclass(slots=True)
class Photograph:
    """An image and what is known of it besides its boxes.

    path: relative to the root of the data set, with `/`; it is the image's identity.
    size: width and height in pixels of the upright image; until the file was looked at, as the labels say, or UNKNOWN.
    split: one of SPLITS, or "" if nobody said. labels: the file its boxes are from, relative to the root, "" if there is none: then
    nobody may have looked at the image, which differs from an image without objects. name: what it is called in what we write. mark:
    files with the same bytes have the same. taken: when, as EXIF says it. group: of images that belong on the same side of a split.
    usable: False if its label file cannot be read. lost: how many boxes the reader has listed as faults and left out. An image without a
    box that is left would count as one without objects.
    """

    path: str
    size: tuple[int, int] = UNKNOWN
    split: str = ""
    labels: str = ""
    name: str = ""
    header: Header | None = None
    mark: int = 0
    taken: str = ""
    group: str = ""
    usable: bool = True
    lost: int = 0


@dataclass
class Rows:
    """Boxes as a reader finds them, in compact columns: four numbers, and what they are.

    corners: x1, y1, x2, y2 of each box, one after the other; x2 and y2 exclusive. shares: 1 where they are shares of the image's size.
    where: line, annotation id or object number. crowd, difficult: 0 or 1.
    """

    corners: array[float] = field(default_factory=lambda: array("d"))
    photo: array[int] = field(default_factory=lambda: array("q"))
    label: array[int] = field(default_factory=lambda: array("q"))
    where: array[int] = field(default_factory=lambda: array("q"))
    share: array[int] = field(default_factory=lambda: array("b"))
    crowd: array[int] = field(default_factory=lambda: array("b"))
    difficult: array[int] = field(default_factory=lambda: array("b"))

    def add(
        self,
        photo: int,
        label: int,
        corners: tuple[float, float, float, float],
        where: int,
        share: bool = False,
        crowd: bool = False,
        difficult: bool = False,
    ) -> None:
        """Adds a box."""
        self.corners.extend(corners)
        self.photo.append(photo)
        self.label.append(label)
        self.where.append(where)
        self.share.append(share)
        self.crowd.append(crowd)
        self.difficult.append(difficult)

    def extend(
        self,
        photo: NDArray[np.int64],
        label: NDArray[np.int64],
        corners: NDArray[np.float64],
        where: NDArray[np.int64],
        share: NDArray[np.bool_],
        crowd: NDArray[np.int8],
    ) -> None:
        """Adds many boxes at once, of which none is difficult."""
        self.corners.frombytes(np.ascontiguousarray(corners, np.float64).tobytes())
        for column, values in ((self.photo, photo), (self.label, label), (self.where, where)):
            column.frombytes(values.astype(np.int64).tobytes())
        for column, flags in ((self.share, share), (self.crowd, crowd), (self.difficult, np.zeros(len(photo), np.int8))):
            column.frombytes(flags.astype(np.int8).tobytes())


@dataclass(eq=False)
class Table:
    """The boxes of a data set, sorted by image; within one, in the order of its labels.

    xyxy: float64 (N, 4), pixels of the upright image, origin at its top left corner, x2 and y2 exclusive.
    photo, label: int64 (N,), positions in `photos` and `categories`. where: int64 (N,), line, annotation id or object number.
    crowd, difficult: bool (N,).
    """

    xyxy: NDArray[np.float64]
    photo: NDArray[np.int64]
    label: NDArray[np.int64]
    where: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    difficult: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.xyxy)

    def keep(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Table:
        """The boxes that a mask or indices select."""
        return Table(**{name: column[which] for name, column in vars(self).items()})

    def starts(self, photos: int) -> list[int]:
        """Where the boxes of each image begin, and at the end their number: those of image i are `starts[i]:starts[i + 1]`."""
        found: list[int] = np.searchsorted(self.photo, np.arange(photos + 1)).tolist()
        return found


@dataclass(eq=False)
class Draft:
    """What a reader found, before any image was looked at: sizes are those that the labels state."""

    root: Path
    format: str
    categories: list[str]
    photos: list[Photograph] = field(default_factory=list)
    rows: Rows = field(default_factory=Rows)
    license: str = ""
    source: str = ""

    def unite(self) -> list[str]:
        """Makes one class of those that have the same name, and returns these names."""
        names = self.categories
        self.categories = list(dict.fromkeys(names))
        if len(self.categories) < len(names):
            position = {name: number for number, name in enumerate(self.categories)}
            self.rows.label = array("q", [position[names[label]] for label in self.rows.label])
        return [name for name, count in Counter(names).items() if count > 1]


@dataclass(eq=False)
class Dataset:
    """Photographs, every one of which was looked at, with their boxes, all of which lie within their image and have a size."""

    root: Path
    format: str
    categories: tuple[str, ...]
    photos: list[Photograph]
    boxes: Table
    license: str = ""
    source: str = ""

    def keep(self, photos: NDArray[np.intp]) -> Dataset:
        """The data set with only these images (positions), in this order."""
        position = np.full(len(self.photos), -1, np.int64)
        position[photos] = np.arange(len(photos))
        moved = position[self.boxes.photo] if len(self.boxes) else self.boxes.photo
        order = np.argsort(moved, kind="stable")
        boxes = self.boxes.keep(order[moved[order] >= 0])
        boxes.photo = position[boxes.photo]
        return Dataset(self.root, self.format, self.categories, [self.photos[i] for i in photos.tolist()], boxes, self.license, self.source)

    def class_counts(self) -> NDArray[np.int64]:
        """Boxes of each category: int64 (C,)."""
        return np.bincount(self.boxes.label, minlength=len(self.categories)).astype(np.int64)
