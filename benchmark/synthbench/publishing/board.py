"""A leaderboard as a value: the entries of one season, ranked. What it looks like is in `listing` and `site`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from synthbench.evidence.ranks import Ranked, ranks
from synthbench.evidence.welch import degrees_of_freedom
from synthbench.publishing.entries import REFERENCE_KINDS, BoardEntry, Row
from synthbench.publishing.receipts import Receipt
from synthbench.publishing.season import ClosedDetector, Season
from synthbench.publishing.verifying import Level
from synthbench.results.model import EntryInfo

MOST_RANKED = 3000
"""Rows of a table. Each is compared with each other; with a bundle of thousands of rows nobody may keep a leaderboard from being made."""


@dataclass(frozen=True)
class Line:
    """A row of an entry in a table.

    receipt: the maintainer's, if there is one. rank: None of a row that is not ranked (`Table`), or is a reference.
    """

    entry: BoardEntry
    row: Row
    receipt: Receipt | None
    rank: Ranked | None = None

    @property
    def id(self) -> str:
        """Its permanent address."""
        return self.entry.row_id(self.row)

    @property
    def detector(self) -> EntryInfo:
        """The detector that was trained."""
        return self.entry.suite.detectors[self.row.detector]

    @property
    def level(self) -> Level:
        """How far the numbers were checked."""
        return self.receipt.level if self.receipt else "self-reported"


@dataclass(frozen=True)
class Table:
    """Lines that are ranked together. detector: that of the closed division; None for the open one, with all other detectors.

    ranked: by group, then by AP. unranked: those without an interval, those that nobody scored again where others were, and what is
    beyond the best MOST_RANKED. references: `real` and `references`, for comparison.
    """

    detector: ClosedDetector | None
    ranked: Sequence[Line]
    unranked: Sequence[Line]
    references: Sequence[Line]

    @property
    def division(self) -> str:
        """`closed` or `open`."""
        return "open" if self.detector is None else "closed"

    @property
    def groups(self) -> list[list[Line]]:
        """The ranked lines by group: what the intervals do not tell apart, directly or through others."""
        found: dict[int, list[Line]] = {}
        for line in self.ranked:
            found.setdefault(line.rank.group if line.rank else 0, []).append(line)
        return [*found.values()]


@dataclass(frozen=True)
class Board:
    """The season, its entries by identity, and the receipts of the maintainer by checksum."""

    season: Season
    entries: Mapping[str, BoardEntry]
    receipts: Mapping[str, Receipt] = field(default_factory=dict)

    @cached_property
    def tables(self) -> list[Table]:
        """A table for each detector of the closed division, and one for all others; none that has no row."""
        found: dict[int | None, list[Line]] = {number: [] for number in (*range(len(self.season.detectors)), None)}
        for _, entry in sorted(self.entries.items()):
            divisions = [self.season.division(each) for each in entry.suite.detectors]
            for row in entry.rows:
                if row.ranked or row.kind in REFERENCE_KINDS:
                    found[divisions[row.detector]].append(Line(entry, row, self.receipts.get(entry.checksum)))
        detectors = {number: None if number is None else self.season.detectors[number] for number in found}
        return [table_of(detectors[number], lines) for number, lines in found.items() if any(line.row.ranked for line in lines)]


def table_of(detector: ClosedDetector | None, lines: Sequence[Line]) -> Table:
    """Ranks what has an interval; in an order that does not depend on that of the lines."""
    rated = contenders(lines)
    figures = [line.row.ap for line in rated]
    errors = [figure.error or 0.0 for figure in figures]
    freedoms = [degrees_of_freedom(error, ((each.high or 0) - (each.low or 0)) / 2) for error, each in zip(errors, figures, strict=True)]
    places = {line.id for line in rated}
    found = ranks([figure.mean for figure in figures], errors, freedoms)
    ranked = [Line(line.entry, line.row, line.receipt, rank) for line, rank in zip(rated, found, strict=True)]
    return Table(
        detector,
        sorted(ranked, key=lambda line: (line.rank.group if line.rank else 0, *order(line))),
        sorted((line for line in lines if line.row.ranked and line.id not in places), key=order),
        sorted(distinct(line for line in lines if not line.row.ranked), key=order),
    )


def contenders(lines: Sequence[Line]) -> list[Line]:
    """The lines that are ranked.

    Figures that anybody may have written do not move the ranks of those that were checked; where nothing was checked, all are alike.
    """
    found = [line for line in lines if line.row.ranked and line.row.ap.error is not None]
    checked = [line for line in found if line.level != "self-reported"]
    return sorted(checked or found, key=order)[:MOST_RANKED]


def order(line: Line) -> tuple[float, str, int]:
    """By AP, the highest first."""
    return -line.row.ap.mean, line.entry.identity, line.row.number


def distinct(lines: Iterator[Line]) -> list[Line]:
    """Reference rows without those that are the very same in several bundles: bundles of one store share them."""
    seen: dict[object, Line] = {}
    for line in lines:
        seen.setdefault((line.row.training_set, line.row.kind, line.row.ap, line.detector.name), line)
    return [*seen.values()]
