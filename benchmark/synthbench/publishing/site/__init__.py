"""The static site of a leaderboard: HTML, a style sheet and two scripts, which work from a folder, without a server or other hosts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from synthbench.publishing.board import Board, Line, Table
from synthbench.publishing.listing import as_csv, name_of, protocol, rank_text
from synthbench.publishing.site import svg
from synthbench.publishing.site.bundle_page import bundle_page
from synthbench.reporting.scores import spanned
from synthbench.reporting.tables import duration
from synthbench.reporting.verdicts import worth_of
from synthbench.text import cut, printable, shortened

STATIC = ("style.css", "board.js", "compare.js")
LINK = re.compile(r"https?://[^\s\"'<>\\^`{|}]{1,500}", re.ASCII)
"""What may be an address that a page links to."""


def pages(board: Board) -> dict[str, bytes]:
    """All files of the site, by their names in the folder of the leaderboard."""
    tables = board.tables
    found = {f"site/{name}": (files(__package__) / "static" / name).read_bytes() for name in STATIC}
    views = [view_of(part, number) for number, part in enumerate(tables)]
    found["index.html"] = rendered("index.html", board=board, views=views, protocol=protocol(board.season), bundles=len(board.entries))
    found["words.html"] = rendered("words.html", board=board)
    found["compare.html"] = rendered("compare.html", board=board)
    found["site/entries.js"] = compared(board)
    found |= badges(tables)
    for identity, entry in sorted(board.entries.items()):
        page = bundle_page(entry, board)
        found[f"entries/{identity}/index.html"] = rendered("bundle.html", board=board, page=page, entry=entry)
        found[f"entries/{identity}/figures.csv"] = as_csv(page.records)
    return found


@cache
def environment() -> Environment:
    """The templates. Everything is escaped; an unknown name is an error."""
    made = Environment(
        loader=PackageLoader("synthbench.publishing.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: cut(value) if type(value) is str else value,  # of every text, before it is escaped
    )
    made.filters |= {"short": shown, "link": link, "spanned": spanned, "duration": duration, "worth": worth_of}
    return made


def rendered(template: str, **values: object) -> bytes:
    """A page."""
    return environment().get_template(template).render(**values).encode()


def shown(text: str, longest: int = 400) -> str:
    """A stranger's text in one line, short and printable."""
    return shortened(printable(" ".join(text.split())), longest)


def link(text: str) -> str:
    """An address to link to, or nothing: what is not a plain web address, such as `javascript:`, is no link."""
    return text if LINK.fullmatch(text) else ""


def view_of(part: Table, number: int) -> Mapping[str, Any]:
    """A table as its template shows it: blocks of lines that stay together."""
    lines = [*part.ranked, *part.unranked, *part.references]
    low, high = svg.reach([line.row.ap for line in lines])
    blocks = [(group_title(group), "ranked", [(line, svg.bar(line.row.ap, low, high)) for line in group]) for group in part.groups]
    for title, kind, others in (
        ("Without a rank: of one replicate, or self-reported where others were scored again", "unranked", part.unranked),
        ("For comparison, not ranked: detectors trained on real images", "reference", part.references),
    ):
        if others:
            blocks.append((title, kind, [(line, svg.bar(line.row.ap, low, high)) for line in others]))
    return {"name": name_of(part), "part": part, "anchor": f"table-{number}", "blocks": blocks, "count": len(lines), "rank": rank_text}


def group_title(group: list[Line]) -> str:
    """What stands above the lines of a group."""
    ranks = [line.rank for line in group if line.rank]
    low, high = min(rank.low for rank in ranks), max(rank.high for rank in ranks)
    if low == high:
        return f"Rank {low}"
    return f"Ranks {low} to {high}: the scores do not tell these {len(group)} rows apart"


def compared(board: Board) -> bytes:
    """`site/entries.js`: what the page that compares two entries offers."""
    found = [
        {
            "id": entry.row_id(row),
            "label": shown(f"{row.training_set}, {entry.suite.detectors[row.detector].name}", 120),
            "by": shown(entry.author.name or entry.suite.title or entry.suite.name, 60),
            "bundle": entry.identity,
            "ranked": row.ranked,
        }
        for _, entry in sorted(board.entries.items())
        if entry.images.compared
        for row in entry.rows
        if row.kind not in ("part", "subset")
    ]
    return b"synthbenchEntries(" + json.dumps(found).encode() + b");\n"


def badges(tables: list[Table]) -> dict[str, bytes]:
    """A badge for each row that competes."""
    found = {}
    for part in tables:
        for line in (*part.ranked, *part.unranked):
            rank = f"rank {rank_text(line)}, " if line.rank else ""
            text = f"{rank}AP {line.row.ap.mean:.3f}, {line.level}"
            found[f"entries/{line.entry.identity}/badge-{line.row.number}.svg"] = svg.badge(text)
    return found
