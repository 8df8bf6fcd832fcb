"""The plugins of the core: a folder of labelled photographs, and two ways to label generated images.

They use the same hooks as everybody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from synthbench.contract.box_sources import BoxSource, FromDetector, FromGenerator
from synthbench.contract.hookspecs import Annotator, DataSource, hookimpl
from synthbench.data.coco import CocoFolder

if TYPE_CHECKING:
    from synthbench.contract.types import Boxes, ImageSet, Run

Share = Annotated[float, Meta(ge=0, le=1)]


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
    smoke_options: ClassVar[Mapping[str, object]] = {"detector": "any"}
    seeded: ClassVar[bool] = False

    detector: str
    score: Share = 0.5
    nms: Share = 0.5
    max_boxes: Annotated[int, Meta(ge=1)] = 100

    @property
    def boxes_from(self) -> BoxSource:
        """The detector of the suite that proposes the boxes."""
        return FromDetector(self.detector)

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
    def boxes_from(self) -> BoxSource:
        """The generator."""
        return FromGenerator()

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
