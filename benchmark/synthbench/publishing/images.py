"""The pictures of a bundle that a leaderboard shows, each checked to be one, and kept once however many bundles have it."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from PIL import Image

from synthbench.contract.types import Boxes
from synthbench.errors import SynthbenchError
from synthbench.publishing.opening import Bundle
from synthbench.publishing.previews import LONGER_SIDE
from synthbench.publishing.truth import Truth
from synthbench.reporting.tiles import LIST, SHEET, StoredRow, Tiles
from synthbench.text import cut

if TYPE_CHECKING:
    from synthbench.publishing.entries import Row

SHOWN = "shown.js"
TEST = re.compile(r"pictures/test-(\d{1,9})\.webp")
MOST_TESTS, MOST_BOXES, MOST_ROWS = 12, 60, 40
"""Test images of an entry, boxes that are shown of each, the ones with the highest scores, and rows that are shown of samples."""
LARGEST_SHEET = 4_000
"""Pixels of a side."""
LARGEST_FILE = 2_000_000
"""Bytes of a picture."""


class Images(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What there is to see of an entry.

    tests: thumbnails of test images, by their position in the test set; files in `pictures/`. samples: rows of thumbnails on
    `sheet`, a file in `pictures/` of this size. compared: whether `shown.js` has predictions. categories: what the labels of boxes
    stand for, where they have any.
    """

    tests: dict[int, str] = {}
    sheet: str = ""
    sheet_size: tuple[int, int] = (0, 0)
    samples: list[StoredRow] = []
    compared: bool = False
    categories: list[str] | UnsetType = UNSET


def images_of(bundle: Bundle, rows: Sequence[Row]) -> tuple[Images, dict[str, bytes]]:
    """What a bundle shows, and its files: `pictures/<hash>.webp`, and `shown.js` with the predictions on the test images that it shows."""
    files: dict[str, bytes] = {}
    sheet, size, samples, categories = "", (0, 0), list[StoredRow](), list[str]()
    if {f"pictures/{SHEET}", f"pictures/{LIST}"} <= bundle.submission.members.keys():
        content = bundle.read(f"pictures/{SHEET}")
        size = checked(bundle, SHEET, content, LARGEST_SHEET)
        samples, categories = samples_of(bundle, size)
        sheet = kept(content, files)
    truth = bundle.truth
    tests: dict[int, str] = {}
    sizes: dict[int, tuple[int, int]] = {}
    for name in sorted(bundle.submission.members) if truth else ():
        if (found := TEST.fullmatch(name)) and len(tests) < MOST_TESTS:
            number = int(found[1])
            if truth is None or number >= len(truth.images):
                bundle.refuse(f"{name}: there is no such test image")
            content = bundle.read(name)
            sizes[number] = checked(bundle, name, content, LONGER_SIDE)
            tests[number] = kept(content, files)
    tests = dict(sorted(tests.items()))
    if truth and tests:
        shown = shown_of(bundle, rows, truth, {number: (file, *sizes[number]) for number, file in tests.items()})
        files[SHOWN] = b"synthbenchShown(" + msgspec.json.encode(shown) + b");\n"
    images = Images(tests=tests, sheet=sheet, sheet_size=size, samples=samples, compared=bool(tests), categories=categories or UNSET)
    return images, files


def checked(bundle: Bundle, name: str, content: bytes, largest: int) -> tuple[int, int]:
    """The size of a picture, which is a WebP that opens."""
    try:
        return size_of(content, largest)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        bundle.refuse(f"{name}: no picture that opens ({error})")


@lru_cache(maxsize=64)
def size_of(content: bytes, largest: int) -> tuple[int, int]:
    """The size of a WebP, which is decoded once: bundles of one test set have the same thumbnails. Raises ValueError if it is larger."""
    if len(content) > LARGEST_FILE or len(content) != int.from_bytes(content[4:8], "little") + 8:  # RIFF's own length
        raise ValueError(f"{len(content)} bytes are too many, or more than the picture has")
    with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
        if max(image.size) > largest:
            raise ValueError(f"{image.width} x {image.height} pixels are too many")
        if getattr(image, "n_frames", 1) > 1:
            raise ValueError("it moves")
        image.load()
        return image.size


def kept(content: bytes, files: dict[str, bytes]) -> str:
    """Adds a picture to the files under the hash of its content, and gives its name."""
    name = f"pictures/{hashlib.sha256(content).hexdigest()[:20]}.webp"
    files[name] = content
    return name


def samples_of(bundle: Bundle, size: tuple[int, int]) -> tuple[list[StoredRow], list[str]]:
    """The rows of thumbnails, with all tiles on the sheet and all boxes in their tiles, and the categories of the boxes' labels."""
    try:
        tiles = msgspec.json.decode(bundle.read(f"pictures/{LIST}"), type=Tiles)
    except (ValueError, msgspec.MsgspecError) as error:
        bundle.refuse(f"pictures/{LIST}: {error}")
    for row in tiles.samples:
        for tile in row.tiles:
            inside = min(tile.left, tile.top) >= 0 and tile.left + tile.width <= size[0] and tile.top + tile.height <= size[1]
            within = all(-1 <= x1 <= x2 <= tile.width + 1 and -1 <= y1 <= y2 <= tile.height + 1 for x1, y1, x2, y2 in tile.boxes)
            if not inside or not within or min(tile.width, tile.height) < 1:
                bundle.refuse(f"pictures/{LIST}: a thumbnail is not on the sheet, or a box not in its thumbnail")
            known = all(0 <= label < len(tiles.categories) for label in tile.labels)
            if tile.labels and not (known and len(tile.labels) == len(tile.boxes)):
                bundle.refuse(f"pictures/{LIST}: the labels of a thumbnail are not those of its boxes, or of no category")
    rows = [StoredRow(cut(row.title, 120), row.machine, row.tiles[:12]) for row in tiles.samples[:MOST_ROWS]]
    shown = {label for row in rows for tile in row.tiles for label in tile.labels}
    return rows, [cut(name, 60) for name in tiles.categories[: max(shown, default=-1) + 1]]


def shown_of(bundle: Bundle, rows: Sequence[Row], truth: Truth, tests: dict[int, tuple[str, int, int]]) -> dict[str, Any]:
    """The predictions of each row's first replicate, and the true boxes, on these test images; in pixels of the thumbnails."""
    scale = {number: width / truth.images[number].width for number, (_, width, _) in tests.items()}
    try:
        true = truth.boxes
    except SynthbenchError as error:
        bundle.refuse(f"truth.json: {error}")
    images = [
        {"n": number, "file": file, "width": width, "height": height, "boxes": corners(true[number], scale[number])}
        for number, (file, width, height) in tests.items()
    ]
    detectors = [each.name for each in bundle.results.suite.detectors]
    first: dict[tuple[str, str], str] = {}
    for cell in bundle.results.cells:
        if cell.metrics:
            first.setdefault((cut(cell.training_set, 120), cell.detector), cell.keys.predict)
    found = []
    for row in rows:
        key = first.get((row.training_set, detectors[row.detector]))
        if key is not None:
            predicted = bundle.predictions(key, truth)
            boxes = [corners(best(predicted[number]), scale[number]) for number in tests]
            found.append({"row": row.number, "name": row.training_set, "detector": cut(detectors[row.detector], 120), "boxes": boxes})
    return {"id": bundle.submission.identity, "images": images, "rows": found}


def best(boxes: Boxes) -> Boxes:
    """The boxes with the highest scores, highest first."""
    return boxes.keep(np.argsort(-boxes.scores, kind="stable")[:MOST_BOXES])


def corners(boxes: Boxes, scale: float) -> list[list[float]]:
    """x1, y1, x2, y2 of each box in pixels of the thumbnail, and its score."""
    return [
        [*(round(value * scale, 1) for value in xyxy), round(float(score), 3)]
        for xyxy, score in zip(boxes.xyxy.tolist(), boxes.scores, strict=True)
    ]
