"""The data source `coco`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synthbench.contract.types import DataCheck, Run, Splits

Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class CocoFolder:
    """Photographs with COCO detection JSON: an annotation file for training, one for testing, and a folder of images.

    path: the folder that contains everything else.
    train, test, images: the two annotation files and the folder of the images, relative to `path`.
    categories: the categories to keep, in this order; empty for all of the training file, in the order of their ids.
    resize: the longest side of every image after resizing, in pixels; 0 for no resizing.
    tile: the side of the square tiles into which images are cut before resizing, in pixels; 0 for no tiles. Tiles are
        spaced evenly; an image is not cut along a side that is shorter than a tile.
    tile_overlap: the least overlap of neighbouring tiles, as a share of their side.
    min_visible: a box is dropped from a tile that shows less than this share of its area.
    group: a regular expression for file names. Images with the same match (of its first group, if it has one) belong together,
        such as `(.*)_` for the frames of a video, and so do the tiles of an image: intervals are made by drawing whole groups.
    """

    name: ClassVar[str] = "coco"
    version: ClassVar[int] = 2
    license: ClassVar[str] = "Apache-2.0"

    path: Path
    train: str = "train.json"
    test: str = "test.json"
    images: str = "images"
    categories: tuple[str, ...] = ()
    resize: Annotated[int, Meta(ge=0)] = 0
    tile: Annotated[int, Meta(ge=0)] = 0
    tile_overlap: Annotated[float, Meta(ge=0, le=0.9)] = 0.0
    min_visible: Share = 0.35
    group: str = ""

    def __post_init__(self) -> None:
        """Raises SynthbenchError if `group` is no regular expression."""
        try:
            re.compile(self.group)
        except re.error as error:
            raise SynthbenchError(f"group: {self.group!r} is not a regular expression: {error}") from None
        for name in ("train", "test", "images"):  # `./images` and `images` are the same
            object.__setattr__(self, name, PurePosixPath(getattr(self, name)).as_posix())

    def inputs(self) -> Iterator[Path]:
        """The annotation files and the images that they name: what else is in the folder does not matter."""
        from synthbench.data.coco_inputs import inputs

        return inputs(self)

    def check(self) -> DataCheck:
        """What `load` would refuse, and what it would take without a word, such as crops of one photograph on both sides."""
        from synthbench.data.coco_check import check

        return check(self)

    def load(self, run: Run) -> Splits:
        """Checks everything except the pixels, then reads the images one at a time.

        Raises SynthbenchError that lists all problems of the folder. An image with a valid header and damaged pixels raises
        SynthbenchError only when it is read.
        """
        from synthbench.data.coco_folder import load

        return load(self, run)
