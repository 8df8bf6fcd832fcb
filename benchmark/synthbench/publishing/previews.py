"""The pictures of a bundle: charts, thumbnails, and some test images, small, on which entries can be compared."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
from PIL import Image, ImageOps

from synthbench.contract.images import open_image
from synthbench.reporting.tiles import LIST, SHEET, Tiles, load_tiles
from synthbench.results.model import Results
from synthbench.storage.coco import read_set

CHARTS = ("matrix.png", "differences.png", "worth.png", "costs.png")
TEST_IMAGES, LONGER_SIDE = 6, 320
"""How many test images, at even steps through the set, and pixels of their longer side."""


def pictures(results: Results, folder: Path, test: Path, *, with_real: bool) -> dict[str, bytes]:
    """The members below `pictures/`. folder: the report's. test: that of the test images. with_real: also thumbnails of real images."""
    found = {f"pictures/{name}": (folder / name).read_bytes() for name in CHARTS if (folder / name).is_file()}
    if (loaded := load_tiles(folder)) is not None:
        tiles, sheet = loaded
        if not with_real:
            generated = {row.name for row in results.training_sets if row.kind == "generated"}
            tiles = Tiles([row for row in tiles.samples if row.title in generated], [], tiles.threshold, categories=tiles.categories)
            sheet = only(tiles, sheet)
        found[f"pictures/{LIST}"] = msgspec.json.encode(tiles)
        found[f"pictures/{SHEET}"] = webp(sheet)
    if with_real:
        images = read_set(test)
        for number in shown(len(images)):
            image = ImageOps.contain(open_image(images[number].path), (LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
            found[f"pictures/test-{number}.webp"] = webp(image)
    return found


def shown(images: int) -> list[int]:
    """The positions of the test images that every bundle of a test set shows: the same in all."""
    return sorted({number * images // TEST_IMAGES for number in range(TEST_IMAGES)})


def only(tiles: Tiles, sheet: Image.Image) -> Image.Image:
    """The sheet with the tiles of these rows and nothing else."""
    kept = Image.new("RGB", sheet.size, "white")
    for row in tiles.samples:
        for tile in row.tiles:
            area = (tile.left, tile.top, tile.left + tile.width, tile.top + tile.height)
            kept.paste(sheet.crop(area), area[:2])
    return kept


def webp(image: Image.Image) -> bytes:
    """An image as WebP."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=80, method=6)
    return file.getvalue()
