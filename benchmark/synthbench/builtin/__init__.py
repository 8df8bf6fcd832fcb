"""The built-in plugins: a folder of labelled photographs, and three annotators of generated images. They use the public hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from synthbench.contract.box_sources import BoxSource, FromAnnotator, FromDetector, FromGenerator, FromPeople
from synthbench.contract.hookspecs import Annotator, DataSource, hookimpl
from synthbench.contract.options import EntryName
from synthbench.data.coco import CocoFolder

if TYPE_CHECKING:
    from synthbench.contract.types import Boxes, ImageSet, Rejected, Run

Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """Labels images with a detector that was trained on the references."""

    name: ClassVar[str] = "teacher"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    smoke_options: ClassVar[Mapping[str, object]] = {"detector": "any"}
    renamed_options: ClassVar[Mapping[str, str]] = {"max_boxes": "max_detections", "nms": "nms_iou", "score": "score_threshold"}
    seeded: ClassVar[bool] = False

    detector: EntryName
    """The name of the detector in the suite."""
    score_threshold: Share = 0.5
    """Boxes with a lower score are dropped."""
    nms_iou: Share = 0.5
    """Of two boxes of a category with a higher IoU than this, the one with the lower score is dropped."""
    max_detections: Annotated[int, Meta(ge=1)] = 100
    """The most boxes that are kept in an image: those with the highest scores."""

    @property
    def boxes_from(self) -> BoxSource:
        """The detector of the suite that proposes the boxes."""
        return FromDetector(self.detector)

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:  # noqa: ARG002 - the contract's
        """Yields the boxes of the detector that are kept, highest score first, with their scores.

        Raises SynthbenchError if an image has no `boxes`.
        """
        from synthbench.builtin.annotators import select_detections

        return select_detections(self, images, run)


@dataclass(frozen=True, kw_only=True)
class Native:
    """Uses the boxes that the generator returned with its images."""

    name: ClassVar[str] = "native"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    renamed_options: ClassVar[Mapping[str, str]] = {"nms": "nms_iou", "score": "score_threshold"}
    seeded: ClassVar[bool] = False

    score_threshold: Share = 0.0
    """Boxes with a lower score are dropped."""
    min_side: Annotated[float, Meta(ge=0)] = 2.0
    """Pixels: boxes whose width or height, within the image, is smaller are dropped."""
    nms_iou: Share = 0.7
    """Of two boxes of a category with a higher IoU than this, the one with the lower score is dropped."""

    @property
    def boxes_from(self) -> BoxSource:
        """The generator."""
        return FromGenerator()

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:  # noqa: ARG002 - the contract's
        """Yields the generator's boxes that are kept, clipped to their image, highest score first.

        Raises SynthbenchError if an image has no `boxes`.
        """
        from synthbench.builtin.annotators import select_generated

        return select_generated(self, images, run)


@dataclass(frozen=True, kw_only=True)
class Human:
    """Uses the boxes that people drew; see `docs/labelling.md`."""

    name: ClassVar[str] = "human"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    seeded: ClassVar[bool] = False

    pre_labels: EntryName = ""
    """The annotator of the suite whose boxes are drawn before, for people to correct; empty: they draw all by themselves."""

    @property
    def boxes_from(self) -> BoxSource:
        """People."""
        return FromPeople(self.pre_labels)

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes]:  # noqa: ARG002 - the contract's
        """Yields what people drew, as it is.

        Raises SynthbenchError if an image has no `boxes`.
        """
        from synthbench.builtin.annotators import take_over

        return take_over(images, run)


@dataclass(frozen=True, kw_only=True)
class Review:
    """Another annotator's boxes without those that are unlike the references', and without images that are."""

    name: ClassVar[str] = "review"
    version: ClassVar[int] = 1
    license: ClassVar[str] = "Apache-2.0"
    smoke_options: ClassVar[Mapping[str, object]] = {"annotator": "native"}
    seeded: ClassVar[bool] = False

    annotator: EntryName
    """The name of the annotator in the suite whose boxes are reviewed."""
    score_threshold: Share = 0.0
    """Boxes with a lower score are dropped."""
    size_factor: Annotated[float, Meta(ge=1)] = 2.0
    """A box may be this many times larger than the largest box of its category in the references, or smaller than the smallest; others
    are dropped. A size is the root of an area as a share of the root of the image's. Categories without references are not judged."""
    count_factor: Annotated[float, Meta(ge=1)] = 2.0
    """An image may have this many times as many boxes as the reference with the most, or as few as that with the fewest, divided by
    it; others are rejected. Counted after boxes were dropped."""
    feature_factor: Annotated[float, Meta(ge=0)] = 0.0
    """An image may be this many times as far from the nearest reference as the loneliest reference from its nearest, by the features
    that a detector of the suite describes images with; others are rejected. 0: features are not compared. With 20 references of
    AppleBBCH81, EfficientNet-Lite0 and a factor of 1, 0 to 13 % of its other photographs were rejected; with 1.25, none."""

    @property
    def boxes_from(self) -> BoxSource:
        """The annotator of the suite."""
        return FromAnnotator(self.annotator)

    @property
    def needs_features(self) -> bool:
        """Whether features are compared."""
        return self.feature_factor > 0

    def annotate(self, images: ImageSet, references: ImageSet, run: Run) -> Iterator[Boxes | Rejected]:
        """Yields the boxes that are kept, as they are, or `Rejected`.

        Logs how many boxes were dropped for each reason; `dropped.json` lists them.
        Raises SynthbenchError if the references have no boxes to compare with, or features are asked for and there are fewer than
        two references.
        """
        from synthbench.builtin.reviewing import review

        return review(self, images, references, run)


@hookimpl
def synthbench_data_sources() -> Sequence[type[DataSource]]:
    """The data source `coco`."""
    return (CocoFolder,)


@hookimpl
def synthbench_annotators() -> Sequence[type[Annotator]]:
    """The annotators `teacher`, `native` and `human`, and `review`, which selects among another one's boxes and images."""
    return (Teacher, Native, Human, Review)
