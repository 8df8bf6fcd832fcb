"""The photographs of one annotation file, checked against their image files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.contract.images import Header, read_header
from synthbench.contract.types import Boxes
from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from synthbench.contract.types import Run
    from synthbench.data.coco_file import CocoFile, Image

NOTED = 5  # number of examples in a note
ROUNDING = 0.5  # pixels by which a box may exceed its image without a note, since files contain rounded numbers
NO_SIZE = 0.01  # pixels; a smaller side may become 0 in the float32 of detectors


@dataclass(frozen=True)
class Photo:
    """A photograph that passed the checks.

    width, height, boxes: in pixels of the upright image.
    plain: the file contains exactly this image, so it may be copied byte for byte.
    """

    path: Path
    name: str
    width: int
    height: int
    plain: bool
    boxes: Boxes


@dataclass
class PhotoCheck:
    """Checks the images of an annotation file; collects problems, and corrections for the notes."""

    folder: Path
    file: CocoFile
    labels: Mapping[int, int]
    """The labels of the chosen categories, by category id."""
    problems: list[str] = field(default_factory=list)
    not_chosen: int = 0
    clipped: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    deep: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    turned: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)

    @cached_property
    def inside(self) -> Path:
        """The folder that the images should be in, without links."""
        return self.folder.resolve()

    def photos(self, run: Run) -> Iterator[Photo]:
        """The valid photographs, in the file's order."""
        for image in run.track(self.file.images, f"check {self.file.name}", unit="images"):
            try:
                yield self._photo(image)
            except SynthbenchError as error:
                self.problems.append(f"{self.file.name}: {error}")

    def notes(self) -> Iterator[str]:
        """A line for the report for each kind of correction."""
        for found, words in (
            (self.clipped, "boxes clipped to their image"),
            (self.dropped, "boxes without size within their image dropped"),
            (self.doubled, "boxes that repeat another one of the same category dropped"),
            (self.deep, "images with 16 bits per channel, scaled to 8; where no value is above 255, values are taken as 8 bits"),
            (self.frames, "images with several frames, of which the first is used"),
            (self.outside, "images that are links to files outside of the folder"),
            (self.turned, "images turned upright with their boxes, which were drawn on them as stored"),
            (self.ambiguous, "images turned upright; as their size does not tell, their boxes are taken as drawn on them upright"),
        ):
            if found:
                yield f"{self.file.name}: {len(found)} {words}: {', '.join(found[:NOTED])}{', …' * (len(found) > NOTED)}"
        if self.not_chosen:
            yield f"{self.file.name}: {self.not_chosen} annotations of categories that were not chosen left out"

    def _photo(self, image: Image) -> Photo:
        path = self.folder / image.file_name
        header = read_header(path)
        annotated, stored, upright = (image.width, image.height), (header.width, header.height), header.upright
        if annotated not in (stored, upright):
            both = _size(stored) if stored == upright else f"{_size(stored)} as stored and {_size(upright)} upright"
            raise SynthbenchError(f"{image.file_name} is said to be {_size(annotated)}, but is {both}")
        if header.deep:
            self.deep.append(image.file_name)
        if header.frames > 1:
            self.frames.append(image.file_name)
        if not path.resolve().is_relative_to(self.inside):
            self.outside.append(image.file_name)
        boxes = self._boxes(image)
        if annotated != upright:
            boxes = Boxes.of([_turned(box, header) for box in boxes.xyxy.tolist()], boxes.labels, boxes.scores, boxes.crowd)
            self.turned.append(image.file_name)
        elif header.turn != 1 and stored == upright:
            self.ambiguous.append(image.file_name)
        return Photo(path, image.file_name, *upright, header.plain and header.turn == 1, boxes)

    def _boxes(self, image: Image) -> Boxes:
        """The boxes of the chosen categories, clipped to the image, in pixels of the image size that the annotation file gives."""
        kept, labels, crowd = [], [], []
        lost = 0
        seen: set[tuple[object, ...]] = set()
        for row in self.file.annotations[image.id]:
            if row.category_id not in self.labels:
                self.not_chosen += 1
                continue
            x, y, width, height = row.bbox
            x1, x2 = (min(max(edge, 0.0), image.width) for edge in (x, x + width))
            y1, y2 = (min(max(edge, 0.0), image.height) for edge in (y, y + height))
            if min(x2 - x1, y2 - y1) < NO_SIZE:
                self.dropped.append(f"image {image.file_name} annotation {row.id}")
                lost += 1
                continue
            if max(x1 - x, y1 - y, x + width - x2, y + height - y2) > ROUNDING:
                self.clipped.append(f"image {image.file_name} annotation {row.id}")
            if (same := (x1, y1, x2, y2, row.category_id, row.iscrowd)) in seen:
                self.doubled.append(f"image {image.file_name} annotation {row.id}")
                continue
            seen.add(same)
            kept.append((x1, y1, x2, y2))
            labels.append(self.labels[row.category_id])
            crowd.append(bool(row.iscrowd))
        if lost and not kept:  # the objects are there, so it is no image without objects
            raise SynthbenchError(
                f"{image.file_name}: none of its {lost} boxes has a size within it; correct them or leave the image out, as "
                "`synthbench data import` does"
            )
        return Boxes.of(kept, labels, crowd=crowd)


def _turned(box: list[float], header: Header) -> list[float]:
    """Converts a box from pixels of the stored image to pixels of the upright image (orientations 5 to 8, which swap the sides).

    EXIF 2.3, tag 0x0112: 5 mirrors along the main diagonal, 6 rotates clockwise, 7 mirrors along the other diagonal, 8 rotates
    counterclockwise.
    """
    x1, y1, x2, y2 = box
    left, right = (header.height - y2, header.height - y1) if header.turn in (6, 7) else (y1, y2)
    top, bottom = (header.width - x2, header.width - x1) if header.turn in (7, 8) else (x1, x2)
    return [left, top, right, bottom]


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
