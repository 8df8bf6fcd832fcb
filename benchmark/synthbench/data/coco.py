"""The data source `coco`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

if TYPE_CHECKING:
    from synthbench.contract.types import Run, Splits

Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class CocoFolder:
    """Photographs with COCO detection JSON: a file for training, a file for testing, and the images they name.

    path: the folder that holds everything else.
    train, test, images: the two annotation files and the folder of the images, relative to `path`.
    categories: which to keep, in this order; empty for all of the training file's, in the order of their ids.
    resize: the longest side of every image afterwards, in pixels; 0 leaves sizes as they are.
    tile: the side of the squares that images are cut into before resizing, in pixels; 0 cuts nothing. Tiles are spread
        evenly; an image smaller than a tile stays whole in that direction.
    tile_overlap: how much of a tile its neighbour repeats at least.
    min_visible: a box is left out of a tile that shows less than this share of its area.
    """

    name: ClassVar[str] = "coco"
    version: ClassVar[int] = 1
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

    def load(self, run: Run) -> Splits:
        """Checks everything but the pixels, then gives images as they are asked for.

        Raises SynthbenchError with everything that is wrong with the folder at once; an image whose header is sound
        and whose pixels are not is found when its turn comes.
        """
        from synthbench.data.coco_folder import load

        return load(self, run)
