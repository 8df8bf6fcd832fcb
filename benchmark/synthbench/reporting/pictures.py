"""The pictures of a report: small files beside it, drawn from results and thumbnails alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from synthbench.files import replacing
from synthbench.lettering import lettered
from synthbench.reporting.legend import Colour, Legend, colour_of
from synthbench.reporting.scores import Scores
from synthbench.reporting.tiles import StoredRow, Tile, load_tiles
from synthbench.results.model import Results
from synthbench.results.worth import POINTS, real_counts

GALLERY = ("samples", "predictions", "opposed")
ACROSS = 3  # tiles beside each other, so that a telephone shows them at 100 pixels
GAP = 6
TITLE, LETTERS = 26, 16  # pixels of a line of text above a row, and of its letters
LARGEST = 240_000  # bytes; reports are kept in git
TRUE, MACHINE = (0, 229, 255), (255, 225, 0)  # cyan and yellow stand out from foliage, and for the colour-blind


def draw_pictures(results: Results, folder: Path) -> dict[str, dict[str, Any]]:
    """Draws what there is to draw into `folder`, over earlier files of the same names.

    Returns for each picture its `file`, relative to the report, and what its caption needs. Pictures of images need the thumbnails
    that a run leaves; without them, those that the results name already are kept.
    """
    from synthbench.reporting.charts import draw_costs, draw_differences, draw_matrix, draw_worth

    folder.mkdir(parents=True, exist_ok=True)
    scores = Scores(results)
    drawn = {name: about for name, about in results.pictures.items() if name in GALLERY}
    if (found := load_tiles(folder)) is not None:
        tiles, sheet = found
        drawn = {}
        for name in GALLERY:
            if rows := getattr(tiles, name):
                drawn[name] = {"file": save_grid(rows, sheet, folder / f"{name}.jpg", tiles.categories), "threshold": tiles.threshold}
    if scores.picks():
        drawn["matrix"] = {"file": draw_matrix(scores, folder / "matrix.png")}
        if any(each.base == scores.of_kind("real") for each in scores.evidence.differences):
            drawn["differences"] = {"file": draw_differences(scores, folder / "differences.png")}
        counts = real_counts(results.training_sets, results.suite, results.data)
        if len(counts) >= POINTS:
            drawn["worth"] = {"file": draw_worth(scores, counts, folder / "worth.png")}
        drawn["costs"] = {"file": draw_costs(scores, results.costs, folder / "costs.png")}
    return drawn


def thumbnail(tile: Tile, sheet: Image.Image, colour: Colour) -> Image.Image:
    """A tile with its boxes on it: each in the colour of its category if they have labels, else all in `colour`."""
    image = sheet.crop((tile.left, tile.top, tile.left + tile.width, tile.top + tile.height))
    pen = ImageDraw.Draw(image)
    colours = [colour_of(label) for label in tile.labels] or [colour] * len(tile.boxes)
    for (x1, y1, x2, y2), its_colour in zip(tile.boxes, colours, strict=True):
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=its_colour)
    return image


def save_grid(rows: Sequence[StoredRow], tiles: Image.Image, path: Path, categories: Sequence[str] = ()) -> str:
    """Writes rows of tiles, each below its title, long ones in several lines; returns the file's name relative to the report.

    categories: of the boxes' labels, for a legend below the rows; none where all boxes of a row have one colour.
    """
    titles = [lettered(row.title, LETTERS) for row in rows]
    images = [[thumbnail(tile, tiles, MACHINE if row.machine else TRUE) for tile in row.tiles] for row in rows]
    lines = [[row[first : first + ACROSS] for first in range(0, len(row), ACROSS)] for row in images]
    heights = [[max(image.height for image in line) + GAP for line in row] for row in lines]
    widths = [across(image.width for image in line) for row in lines for line in row]
    width = max(*widths, *(round(font.getlength(words)) + 2 * GAP for words, font in titles))
    shown = {label for row in rows for tile in row.tiles for label in tile.labels}
    legend = Legend([(label, name) for label, name in enumerate(categories) if label in shown], width)
    sheet = Image.new("RGB", (width, sum(TITLE + sum(each) for each in heights) + GAP + legend.height), "white")
    pen = ImageDraw.Draw(sheet)
    top = 0
    for (words, font), its_lines, its_heights in zip(titles, lines, heights, strict=True):
        pen.text((GAP, top + 5), words, fill="black", font=font)
        top += TITLE
        for line, height in zip(its_lines, its_heights, strict=True):
            left = GAP
            for image in line:
                sheet.paste(image, (left, top))
                left += image.width + GAP
            top += height
    legend.draw(pen, top)
    with replacing(path) as temporary:
        for quality in (85, 75, 60):
            sheet.save(temporary, quality=quality, optimize=True)
            if temporary.stat().st_size < LARGEST:
                break
    return f"{path.parent.name}/{path.name}"


def across(widths: Iterable[int]) -> int:
    """Pixels of a row of images with gaps."""
    return GAP + sum(width + GAP for width in widths)
