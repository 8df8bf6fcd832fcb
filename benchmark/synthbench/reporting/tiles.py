"""What pictures are drawn from: thumbnails and boxes beside the results, so that a report can be made again without a store.

`NAME/tiles.json` lists rows of tiles; `NAME/tiles.webp` is one sheet with all of them, without boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from PIL import Image, ImageOps

from synthbench.contract.images import open_image
from synthbench.contract.types import Boxes, Picture
from synthbench.errors import SynthbenchError
from synthbench.files import replacing, write_bytes

TILE = 176  # pixels of a thumbnail's longer side
COLUMNS = 10
LARGEST = 240_000  # bytes; reports are kept in git
SHEET, LIST = "tiles.webp", "tiles.json"


@dataclass(frozen=True)
class TileRow:
    """A row of images to show. machine: a model drew the boxes."""

    title: str
    pictures: Sequence[Picture]
    machine: bool


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The images that a report shows: training images, test images with what is found in them, and where two detectors differ most.

    categories: what the labels of boxes stand for.
    """

    samples: Sequence[TileRow] = ()
    predictions: Sequence[TileRow] = ()
    opposed: Sequence[TileRow] = ()
    categories: Sequence[str] = ()


class Tile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A thumbnail: where it is on the sheet, its size, and its boxes as x1, y1, x2, y2, all in pixels of the thumbnail.

    labels: of each box, indices into `Tiles.categories`; none where there is one category.
    """

    left: int
    top: int
    width: int
    height: int
    boxes: list[tuple[float, float, float, float]]
    labels: list[int] = []


class StoredRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of thumbnails."""

    title: str
    machine: bool
    tiles: list[Tile]


class Tiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The rows of the pictures. threshold: the least score of the boxes in `predictions` and `opposed`.

    categories: their names, where there are several.
    """

    samples: list[StoredRow]
    predictions: list[StoredRow]
    threshold: float
    opposed: list[StoredRow] = []
    categories: list[str] = []


def save_tiles(folder: Path, gallery: Gallery, threshold: float) -> None:
    """Writes the sheet and the list. Raises SynthbenchError if an image does not open."""
    folder.mkdir(parents=True, exist_ok=True)
    images: list[Image.Image] = []
    categories = list(gallery.categories) if len(gallery.categories) > 1 else []
    labelled = bool(categories)
    samples, predictions, opposed = (
        [_stored(row, images, labelled=labelled) for row in rows] for rows in (gallery.samples, gallery.predictions, gallery.opposed)
    )
    stored = Tiles(samples, predictions, threshold, opposed, categories)
    sheet = Image.new("RGB", (COLUMNS * TILE, max(1, -(-len(images) // COLUMNS)) * TILE), "white")
    for number, image in enumerate(images):
        sheet.paste(image, _corner(number))
    with replacing(folder / SHEET) as temporary:
        for quality in (85, 70, 50, 30):
            sheet.save(temporary, quality=quality, method=6)
            if temporary.stat().st_size < LARGEST:
                break
    write_bytes(folder / LIST, msgspec.json.encode(stored) + b"\n")


def load_tiles(folder: Path) -> tuple[Tiles, Image.Image] | None:
    """The list and the sheet, or None if there are none. Raises SynthbenchError if they cannot be read."""
    if not (folder / LIST).exists():
        return None
    try:
        with Image.open(folder / SHEET, formats=["WEBP"]) as sheet:
            return msgspec.json.decode((folder / LIST).read_bytes(), type=Tiles), sheet.convert("RGB")
    except (OSError, msgspec.MsgspecError) as error:
        raise SynthbenchError(f"{folder}: {SHEET} and {LIST} cannot be read ({error}); remove both, or run the suite again") from None


def _corner(number: int) -> tuple[int, int]:
    return number % COLUMNS * TILE, number // COLUMNS * TILE


def _stored(row: TileRow, images: list[Image.Image], *, labelled: bool) -> StoredRow:
    """A row for the list; its thumbnails are added to `images`."""
    tiles = []
    for picture in row.pictures:
        image = ImageOps.contain(open_image(picture.path), (TILE, TILE), Image.Resampling.LANCZOS)
        boxes = (picture.boxes or Boxes.none()).scaled(image.width / picture.width, image.height / picture.height)
        corners = [(x1, y1, x2, y2) for x1, y1, x2, y2 in boxes.xyxy.round(1).tolist()]
        tiles.append(Tile(*_corner(len(images)), image.width, image.height, corners, boxes.labels.tolist() if labelled else []))
        images.append(image)
    return StoredRow(row.title, row.machine, tiles)
