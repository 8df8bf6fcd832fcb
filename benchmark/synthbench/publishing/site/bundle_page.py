"""What the page of one bundle shows. It has no ranks, so that other bundles do not change it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synthbench.publishing.board import Board
from synthbench.publishing.entries import BoardEntry, Row
from synthbench.publishing.listing import figures_of
from synthbench.publishing.receipts import Receipt
from synthbench.publishing.site import svg
from synthbench.results.model import EntryInfo
from synthbench.text import cut, printable

if TYPE_CHECKING:
    from markupsafe import Markup

ROOT = "../../"


@dataclass(frozen=True)
class Chart:
    """A chart and what it is of."""

    title: str
    drawing: Markup


@dataclass(frozen=True)
class BundlePage:
    """Everything that the template of a bundle's page needs beyond its entry.

    matrix: training sets and, for each detector, the row. tiles: rows of thumbnails. legend: swatches with the names of the
    categories that boxes on thumbnails are of, where there are several. plugins: kind, plugin and its options as text.
    """

    receipt: Receipt | None
    matrix: Sequence[tuple[Row, Sequence[Row | None]]]
    forests: Sequence[Chart]
    curves: Sequence[Chart]
    tiles: Sequence[tuple[str, Sequence[Markup]]]
    legend: Sequence[tuple[Markup, str]]
    plugins: Sequence[tuple[str, EntryInfo, Sequence[tuple[str, str]]]]
    records: Sequence[Mapping[str, Any]]


def bundle_page(entry: BoardEntry, board: Board) -> BundlePage:
    """The page of an entry."""
    detectors = range(len(entry.suite.detectors))
    names = list(dict.fromkeys(row.training_set for row in entry.rows))
    by_place = {(row.training_set, row.detector): row for row in entry.rows}
    matrix = [
        (next(row for row in entry.rows if row.training_set == name), [by_place.get((name, number)) for number in detectors])
        for name in names
    ]
    return BundlePage(
        receipt=board.receipts.get(entry.checksum),
        matrix=matrix,
        forests=[chart for number in detectors if (chart := forest_of(entry, number))],
        curves=[chart for number in detectors if (chart := curve_of(entry, number))],
        tiles=tiles_of(entry),
        legend=legend_of(entry),
        plugins=plugins_of(entry),
        records=[record(entry, row) for row in entry.rows],
    )


def forest_of(entry: BoardEntry, detector: int) -> Chart | None:
    """The differences of all rows to the real images."""
    rows = [
        (row.training_set, row.difference)
        for row in entry.rows
        if row.detector == detector and row.difference is not None and row.kind not in ("part", "real")
    ]
    if not rows:
        return None
    name = printable(entry.suite.detectors[detector].name)
    return Chart(name, svg.forest(rows, entry.season.margin, f"Differences to real images, {svg.short(name)}"))


def curve_of(entry: BoardEntry, detector: int) -> Chart | None:
    """AP by number of real images, with the best competing set; None with fewer than two numbers."""
    rows = [row for row in entry.rows if row.detector == detector]
    real = sorted((row.real_images, row.number, row.ap) for row in rows if row.real_images)
    if len({count for count, _, _ in real}) < 2:
        return None
    found = [svg.Curve("real images", "real", [(count, ap) for count, _, ap in real])]
    ranked = [row for row in rows if row.ranked and row.kind == "generated"]
    ranked = [row for row in ranked if not row.rival] or ranked
    best = max(ranked, key=lambda row: row.ap.mean, default=None)
    if best:
        grown = [(row.images, row.number, row.ap) for row in rows if row.images and (row.whole == best.training_set or row is best)]
        if len(grown) > 1:
            found.append(svg.Curve(best.training_set, "generated", [(count, ap) for count, _, ap in sorted(grown)]))
    name = printable(entry.suite.detectors[detector].name)
    drawing = svg.curves(found, (best.training_set, best.ap) if best else None, f"AP by number of training images, {svg.short(name)}")
    return Chart(name, drawing)


def tiles_of(entry: BoardEntry) -> list[tuple[str, list[Markup]]]:
    """The thumbnails of training images with their boxes."""
    images = entry.images
    return [
        (
            row.title,
            [
                svg.tile(
                    f"{ROOT}{images.sheet}",
                    images.sheet_size,
                    each,
                    f"image {number} of {svg.short(printable(row.title))}: {len(each.boxes)} boxes",
                )
                for number, each in enumerate(row.tiles, 1)
            ],
        )
        for row in images.samples
        if row.tiles
    ]


def legend_of(entry: BoardEntry) -> list[tuple[Markup, str]]:
    """The categories of the boxes on thumbnails."""
    shown = {label for row in entry.images.samples for tile in row.tiles for label in tile.labels}
    return [(svg.swatch(label), name) for label, name in enumerate(entry.images.categories or []) if label in shown]


def plugins_of(entry: BoardEntry) -> list[tuple[str, EntryInfo, list[tuple[str, str]]]]:
    """Each plugin with its options as text."""
    suite = entry.suite
    kinds = (("data", [suite.data]), ("generator", suite.generators), ("annotator", suite.annotators), ("detector", suite.detectors))
    return [
        (kind, each, [(cut(name, 80), cut(json.dumps(value, ensure_ascii=False), 300)) for name, value in each.options.items()])
        for kind, entries in kinds
        for each in entries
    ]


def record(entry: BoardEntry, row: Row) -> dict[str, Any]:
    """A row as flat values, for `figures.csv`."""
    return {
        "id": entry.row_id(row),
        "training_set": row.training_set,
        "kind": row.kind,
        "rival": row.rival,
        "images": row.images,
        "detector": entry.suite.detectors[row.detector].name,
        **figures_of(row),
        "seconds": row.seconds,
    }
