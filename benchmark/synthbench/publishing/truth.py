"""The truth about the test images, as a bundle carries it and as a data source gives it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated

import msgspec
from msgspec import Meta

from synthbench.contract.types import Boxes
from synthbench.errors import SynthbenchError

FREE = re.compile(
    r"\bCC0\b|\bCC[ -]BY([ -]SA)?\b(?![ -](NC|ND))|publicdomain/|licenses/by(-sa)?/|\bPDDL\b|\bODbL\b|\bApache\b|\bMIT\b|\bBSD\b",
    re.IGNORECASE,
)
"""Licences under which test images and their boxes may be passed on with their credit."""
Pixels = Annotated[int, Meta(ge=1, le=100_000)]


class TrueImage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A test image. width, height: pixels. boxes: x1, y1, x2, y2 in pixels; labels: indices into `Truth.categories`; crowd: as in COCO."""

    name: str
    width: Pixels
    height: Pixels
    group: str = ""
    boxes: list[tuple[float, float, float, float]]
    labels: list[int]
    crowd: list[bool]

    @classmethod
    def of(cls, name: str, size: tuple[int, int], group: str, boxes: Boxes) -> TrueImage:
        """A test image as a store or a data source gives it. size: width and height."""
        return cls(
            name=name,
            width=size[0],
            height=size[1],
            group=group,
            boxes=[(x1, y1, x2, y2) for x1, y1, x2, y2 in boxes.xyxy.tolist()],
            labels=boxes.labels.tolist(),
            crowd=boxes.crowd.tolist(),
        )


class Truth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes and true boxes of all test images, in the order of the predictions."""

    categories: list[str]
    images: list[TrueImage]

    @property
    def boxes(self) -> list[Boxes]:
        """The true boxes of each image. Raises SynthbenchError if they are not what boxes can be."""
        found = []
        for image in self.images:
            try:
                boxes = Boxes.of(image.boxes, image.labels, crowd=image.crowd)
            except (ValueError, OverflowError) as error:
                raise SynthbenchError(f"{image.name!r}: {error}") from None
            if ((boxes.labels < 0) | (boxes.labels >= len(self.categories))).any():
                raise SynthbenchError(f"{image.name!r}: a label is not one of {len(self.categories)} categories")
            found.append(boxes)
        return found

    @property
    def groups(self) -> list[str] | None:
        """The group of each image; None unless all have one."""
        groups = [image.group for image in self.images]
        return groups if all(groups) else None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of categories, sizes, groups and boxes. File names do not count: the same photographs may have others."""
        digest = hashlib.sha256(json.dumps(self.categories).encode())
        for image, boxes in zip(self.images, self.boxes, strict=True):
            digest.update(json.dumps([image.width, image.height, image.group, len(boxes)]).encode())
            for array, kind in ((boxes.xyxy, "<f8"), (boxes.labels, "<i8"), (boxes.crowd, "?")):
                digest.update(array.astype(kind).tobytes())
        return digest.hexdigest()


def may_be_passed_on(license: str) -> bool:
    """Whether the data's licence is one of those known to allow copies of test images and boxes, with credit."""
    return bool(FREE.search(license)) and not re.search(r"\b(NC|ND|non-?commercial|no-?derivatives)\b", license, re.IGNORECASE)
