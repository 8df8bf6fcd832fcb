"""The plugins of the core: a folder of labelled photographs, and two ways to label generated images.

They use the same hooks as everybody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from synthbench.hookspecs import Annotator, DataSource, hookimpl

if TYPE_CHECKING:
    from synthbench.types import Boxes, ImageSet, Run, Splits

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
        from synthbench.builtin.coco_folder import load

        return load(self, run)


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """Labels images with a detector that was trained on the references.

    detector: the suite's entry for that detector.
    score: boxes the detector is less sure of are left out.
    nms: of two boxes of a category that overlap more than this (IoU), the surer one stays.
    max_boxes: the surest boxes of an image that are kept.
    """

    name: ClassVar[str] = "teacher"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    trial: ClassVar[Mapping[str, object]] = {"detector": "any"}
    seeded: ClassVar[bool] = False

    detector: str
    score: Share = 0.5
    nms: Share = 0.5
    max_boxes: Annotated[int, Meta(ge=1)] = 100

    @property
    def boxes_from(self) -> str:
        """The detector of the suite that proposes the boxes."""
        return f"detector:{self.detector}"

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:  # noqa: ARG002 - the contract's
        """Yields the detector's boxes that stand, surest first, with its scores for information."""
        from synthbench.builtin.annotators import teach

        return teach(self, images, run)


@dataclass(frozen=True, kw_only=True)
class Native:
    """Takes the boxes that the generator gave with its images.

    score: boxes the generator is less sure of are left out.
    min_side: boxes narrower or lower than this, in pixels within the image, are left out.
    nms: of two boxes of a category that overlap more than this (IoU), the surer one stays.
    """

    name: ClassVar[str] = "native"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    seeded: ClassVar[bool] = False

    score: Share = 0.0
    min_side: Annotated[float, Meta(ge=0)] = 2.0
    nms: Share = 0.7

    @property
    def boxes_from(self) -> str:
        """The generator."""
        return "generator"

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:  # noqa: ARG002 - the contract's
        """Yields the generator's boxes, clipped to their image. Raises SynthbenchError where it gave none."""
        from synthbench.builtin.annotators import take_over

        return take_over(self, images, run)


@hookimpl
def synthbench_data_sources() -> Sequence[type[DataSource]]:
    """The data source `coco`."""
    return (CocoFolder,)


@hookimpl
def synthbench_annotators() -> Sequence[type[Annotator]]:
    """The annotators `teacher` and `native`."""
    return (Teacher, Native)
