"""A contact sheet: images with their boxes on one page, to see whether the boxes are where the objects are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from synthbench.contract.images import open_image
from synthbench.data.formats.dataset import Dataset
from synthbench.errors import SynthbenchError
from synthbench.files import replacing
from synthbench.lettering import Font, lettered
from synthbench.text import printable, shortened

ACROSS, SHOWN, TILE, GAP, LINE, LETTERS, NAME = 6, 24, 240, 8, 18, 12, 40
COLOURS = ("#00e5ff", "#ffe100", "#ff4081", "#76ff03", "#ff9100", "#b388ff", "#ffffff", "#00c853")
"""Of categories, in their order; they stand out from foliage."""


def draw_sheet(dataset: Dataset, path: Path) -> None:
    """Draws up to 24 images, evenly spread over all, with the boxes of each category in its colour, and a legend above."""
    chosen = np.unique(np.linspace(0, len(dataset.photos) - 1, min(SHOWN, len(dataset.photos))).round().astype(int)).tolist()
    rows = -(-len(chosen) // ACROSS)
    across = min(ACROSS, len(chosen))
    width = GAP + across * (TILE + GAP)
    entries, lines = legend_of(dataset.categories, width)
    top = lines * LINE + GAP
    sheet = Image.new("RGB", (width, top + rows * (TILE + LINE + GAP)), "#202020")
    pen = ImageDraw.Draw(sheet)
    for entry in entries:
        pen.text(entry.corner, entry.words, fill=entry.colour, font=entry.font)
    starts = dataset.boxes.starts(len(dataset.photos))
    for at, number in enumerate(chosen):
        row, column = divmod(at, ACROSS)
        corner = (GAP + column * (TILE + GAP), top + row * (TILE + LINE + GAP))
        height = paste(sheet, pen, dataset, number, slice(starts[number], starts[number + 1]), corner)
        words, font = lettered(shortened(printable(dataset.photos[number].name), TILE // 7), LETTERS)
        pen.text((corner[0], corner[1] + height + 2), words, fill="#c0c0c0", font=font)
    with replacing(path) as temporary:
        sheet.save(temporary, quality=85)


@dataclass(frozen=True)
class Entry:
    """A category in the legend. corner: left and top, in pixels."""

    corner: tuple[int, int]
    words: str
    colour: str
    font: Font


def legend_of(categories: Sequence[str], width: int) -> tuple[list[Entry], int]:
    """The legend in lines that fit into `width` pixels, and how many lines it has."""
    entries, left, line = [], GAP, 0
    for number, name in enumerate(categories):
        words, font, long = fitted(printable(name), width - 2 * GAP)
        if left > GAP and left + long > width - GAP:
            left, line = GAP, line + 1
        entries.append(Entry((left, 4 + line * LINE), words, COLOURS[number % len(COLOURS)], font))
        left += long + 2 * GAP
    return entries, line + 1


def fitted(name: str, width: int) -> tuple[str, Font, int]:
    """As much of a name as fits into `width` pixels, its font, and how long it is in pixels."""
    for longest in range(NAME, 0, -1):
        words, font = lettered(shortened(name, longest), LETTERS)
        if (long := round(font.getlength(words))) <= width:
            break
    return words, font, long


def paste(sheet: Image.Image, pen: ImageDraw.ImageDraw, dataset: Dataset, number: int, part: slice, corner: tuple[int, int]) -> int:
    """Pastes an image with its boxes, or says that it cannot be read. Returns its height in pixels."""
    photo = dataset.photos[number]
    try:
        image = open_image(dataset.root / photo.path, TILE)
    except SynthbenchError:
        pen.text(corner, "cannot be read", fill="#ff4081")
        return LINE
    scale = TILE / max(photo.size)
    size = max(1, round(photo.size[0] * scale)), max(1, round(photo.size[1] * scale))
    sheet.paste(image.resize(size, Image.Resampling.BILINEAR), corner)
    boxes = dataset.boxes.xyxy[part] * scale
    for (x1, y1, x2, y2), label in zip(boxes.tolist(), dataset.boxes.label[part].tolist(), strict=True):
        place = (corner[0] + x1, corner[1] + y1, corner[0] + max(x1 + 1, x2 - 1), corner[1] + max(y1 + 1, y2 - 1))
        pen.rectangle(place, outline=COLOURS[label % len(COLOURS)])
    return size[1]
