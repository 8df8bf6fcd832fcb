"""Reports: Markdown and pictures for somebody who has read nothing else, from files alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from synthbench.reporting.tiles import Gallery
    from synthbench.results.model import Results

THRESHOLD = 0.5
"""Boxes with a lower score are not shown in pictures of predictions."""


def write_report(results: Results, path: Path, gather: Callable[[], Gallery]) -> Path:
    """Writes results to `path` and the report beside it; returns the path of the Markdown.

    gather: the images to show. Figures are written first: if the images cannot be read, no figure is lost.
    """
    from synthbench.reporting.tiles import save_tiles
    from synthbench.results.files import write_results

    refuse_link(path.with_suffix(""))
    write_results(path, results)
    save_tiles(path.with_suffix(""), gather(), THRESHOLD)
    return make_report(results, path)


def render_file(path: Path) -> Path:
    """Makes a report again from its results and the files beside them; returns the path of the Markdown.

    Raises SynthbenchError if the results cannot be read.
    """
    from synthbench.results.files import read_results

    results = read_results(path)
    try:
        return make_report(results, path)
    except (LookupError, ValueError, TypeError, AssertionError, ArithmeticError, StopIteration) as error:
        raise SynthbenchError(
            f"{path}: its parts contradict each other ({type(error).__name__}: {error}); run the suite again to renew it"
        ) from error


def mark_of(results: Path) -> str:
    """The last line of a report, which ties it to its results: a report without it is of others, or was not finished."""
    return f"\n<!-- made from {results.name}, SHA-256 {hashlib.sha256(results.read_bytes()).hexdigest()} -->\n"


def is_report_of(report: Path, results: Path) -> bool:
    """Whether a report was made from exactly these results."""
    try:
        return report.read_text(encoding="utf-8").endswith(mark_of(results))
    except (OSError, ValueError):
        return False


def refuse_link(folder: Path) -> None:
    """Raises SynthbenchError if the folder of a report's pictures is a link: it may lead anywhere."""
    if folder.is_symlink():
        raise SynthbenchError(f"{folder}: is a link, and pictures are written to folders only: remove it")


def make_report(results: Results, path: Path) -> Path:
    """Draws the pictures and writes the Markdown; the results are written again if that changes what they say of pictures."""
    from synthbench.files import write_bytes
    from synthbench.reporting.markdown import render
    from synthbench.reporting.pictures import draw_pictures
    from synthbench.results.files import is_current, write_results

    refuse_link(path.with_suffix(""))
    pictures = draw_pictures(results, path.with_suffix(""))
    if pictures != results.pictures:
        results = structs.replace(results, pictures=pictures)
        if is_current(path):
            write_results(path, results)
    written = path.with_suffix(".md")
    write_bytes(written, (render(results, path.name) + mark_of(path)).encode(errors="replace"))
    return written
