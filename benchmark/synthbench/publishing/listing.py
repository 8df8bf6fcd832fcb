"""A leaderboard as JSON, CSV and Markdown. Every text in it may be a stranger's."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from synthbench.publishing.board import Board, Line, Table
from synthbench.publishing.entries import Row
from synthbench.publishing.season import Season
from synthbench.reporting.harmless import inline, unlinked
from synthbench.reporting.scores import spanned
from synthbench.reporting.tables import UNKNOWN, duration, table
from synthbench.reporting.verdicts import worth_of
from synthbench.results.files import indented_json
from synthbench.text import printable

SCHEMA = 1
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "\N{FULLWIDTH COMMERCIAL AT}")
"""What a spreadsheet takes for the beginning of a formula; OWASP, "CSV Injection"."""


def record(line: Line, part: Table) -> dict[str, Any]:
    """One line of a table as flat values, for programs."""
    entry, row, author = line.entry, line.row, line.entry.author
    worth = row.worth
    return {
        "id": line.id,
        "division": part.division,
        "table": name_of(part),
        "rank_low": line.rank.low if line.rank else None,
        "rank_high": line.rank.high if line.rank else None,
        "group": line.rank.group if line.rank else None,
        "training_set": row.training_set,
        "kind": row.kind,
        "rival": row.rival,
        "detector": line.detector.name,
        "detector_plugin": line.detector.plugin,
        "detector_version": line.detector.version,
        **figures_of(row),
        "real_images_worth": worth.images if worth else None,
        "real_images_worth_low": worth.low if worth else None,
        "real_images_worth_high": worth.high if worth else None,
        "real_images_worth_position": worth.position if worth else "",
        "seconds": row.seconds,
        "level": line.level,
        "scored_against": line.receipt.against if line.receipt else "",
        "starting_weights": "; ".join(f"{name}: {text or 'not stated'}" for name, text in row.weights.items()),
        "weights_saw_data": author.contamination,
        "licenses": "; ".join(row.licenses),
        "data_license": entry.data.license,
        "tries_report": entry.tries.report,
        "tries_store": entry.tries.store,
        "date": author.date,
        "author": author.name,
        "citation": author.citation,
        "url": author.url,
        "bundle": entry.identity,
    }


def name_of(part: Table) -> str:
    """The name of a table: the detector's, or `open`."""
    return part.detector.name if part.detector else "open"


def records(board: Board) -> list[dict[str, Any]]:
    """All lines of all tables, references last in each."""
    return [record(line, part) for part in board.tables for line in (*part.ranked, *part.unranked, *part.references)]


def figures_of(row: Row) -> dict[str, Any]:
    """The AP of a row, its difference to the real images, and the verdict, as columns."""
    gap = row.difference
    return {
        "ap": row.ap.mean,
        "ap_low": row.ap.low,
        "ap_high": row.ap.high,
        "replicates": row.ap.replicates,
        "difference": gap.mean if gap else None,
        "difference_low": gap.low if gap else None,
        "difference_high": gap.high if gap else None,
        "verdict": row.verdict,
    }


def as_json(board: Board, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """`leaderboard.json`."""
    return indented_json({"schema": SCHEMA, "season": board.season, "rows": rows})


def as_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A CSV file in which no cell is a formula. Numbers keep all their digits."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for number, row in enumerate(rows):
        if number == 0:
            writer.writerow(row)
        writer.writerow([_cell(value) for value in row.values()])
    return file.getvalue().encode()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = " ".join(printable(value).split())
    return f"'{text}" if text.startswith(FORMULA) else text


def as_markdown(board: Board) -> bytes:
    """`leaderboard.md`."""
    parts = [f"# {unlinked(board.season.title)}", protocol(board.season)]
    for part in board.tables:
        if part.detector:
            parts.append(f"## Closed division: `{inline(part.detector.name)}`")
        else:
            parts.append("## Open division: any detector")
        headers = ["rank", "training set", *(["detector"] if not part.detector else []), "AP", "AP minus that of real", "replaces real?"]
        headers += ["worth real images", "cost", "checked", "weights saw the data?", "licences", "tries", "date", "by", "bundle"]
        lines = [_markdown(line, part) for line in (*part.ranked, *part.unranked, *part.references)]
        parts.append(table(headers, lines, words=2))
    parts.append(
        "A rank is the interval of places that the scores leave open, for all rows of a table at once at 95 %; rows with overlapping "
        "ranks are not told apart. Rows without an interval (one replicate), reference rows, and self-reported rows where others were "
        "scored again have no rank. Values in brackets are 95 % intervals. All words are explained in `words.html`."
    )
    return ("\n\n".join(parts) + "\n").encode()


def protocol(season: Season) -> str:
    """What all entries have in common, in a sentence."""
    return (
        f"{season.test_images} test images with {season.test_boxes} objects (fingerprint `{inline(season.fingerprint[:12])}`), "
        f"{season.references} references, {season.real} real training images, a margin of {season.margin:g} AP, "
        f"metrics version {season.metrics}."
    )


def _markdown(line: Line, part: Table) -> list[str]:
    row, author = line.row, line.entry.author
    return [
        rank_text(line),
        _code(row.training_set) + (" (rival)" if row.rival else " (reference)" if not row.ranked else ""),
        *([_code(line.detector.name)] if not part.detector else []),
        spanned(row.ap),
        spanned(row.difference, sign=True) if row.difference else UNKNOWN,
        row.verdict or UNKNOWN,
        worth_of(row.worth),
        UNKNOWN if row.seconds is None else duration(row.seconds),
        line.level,
        author.contamination,
        _code(", ".join(row.licenses)),
        f"{line.entry.tries.report} / {line.entry.tries.store}",
        _code(author.date),
        _code(author.name),
        _code(line.entry.identity),
    ]


def _code(text: str) -> str:
    """Text between backticks, where Markdown has no meaning but that of their end."""
    safe = inline(text)
    return f"`{safe}`" if safe else UNKNOWN


def rank_text(line: Line) -> str:
    """`2-4`, with an en dash; a dash without a rank."""
    if line.rank is None:
        return UNKNOWN
    return f"{line.rank.low}" if line.rank.low == line.rank.high else f"{line.rank.low}\N{EN DASH}{line.rank.high}"
