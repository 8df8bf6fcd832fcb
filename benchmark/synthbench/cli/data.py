"""`synthbench data import`, `check` and `export`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from synthbench.cli.tables import one_line, print_table
from synthbench.curation.importing import FAULTS, Choices, Outcome, check_folder, export_folder, import_folder
from synthbench.data.formats.faults import KINDS, Unclear
from synthbench.data.formats.reading import Reading
from synthbench.data.formats.tree import SHEET
from synthbench.files import beside
from synthbench.text import named, shortened

if TYPE_CHECKING:
    from synthbench.curation.summary import Summary

WHAT = 62  # characters of a line in the table's last column: all three fit on a terminal of 80


def import_command(arguments: argparse.Namespace) -> int:
    """`synthbench data import`."""
    target = Path(arguments.target)
    choices = Choices(
        reading=reading(arguments),
        unlabelled=arguments.unlabelled,
        classes=arguments.classes,
        test=arguments.test,
        resplit=arguments.resplit,
        group=arguments.group,
        seed=arguments.seed,
        duplicates=arguments.duplicates,
        difficult=arguments.difficult,
        copy=arguments.copy,
    )
    outcome = import_folder(Path(arguments.source), target, choices, track, ask)
    print_outcome(outcome, target)
    print_split(outcome)
    print(f"\nnext: synthbench init {shlex.quote(str(target))}")
    return 0


def check_command(arguments: argparse.Namespace) -> int:
    """`synthbench data check`."""
    source = Path(arguments.source)
    out = Path(arguments.out) if arguments.out else beside(source, "-check")
    choices = Choices(reading=reading(arguments), group=arguments.group, duplicates=arguments.duplicates)
    outcome = check_folder(source, choices, out, track)
    if arguments.json:
        about = {"format": outcome.dataset.format, "summary": asdict(outcome.summary), "faults": dict(outcome.faults.counts())}
        print(json.dumps(about, indent=1))
    else:
        print_outcome(outcome, out)
    return 0


def export_command(arguments: argparse.Namespace) -> int:
    """`synthbench data export`."""
    target = Path(arguments.target)
    choices = Choices(reading=reading(arguments), unlabelled=arguments.unlabelled, copy=arguments.copy)
    outcome = export_folder(Path(arguments.source), target, arguments.to, choices, track)
    print_outcome(outcome, None)
    print(f"{target}: written as {arguments.to}")
    return 0


def reading(arguments: argparse.Namespace) -> Reading:
    """How the folder is read."""
    return Reading(arguments.format, arguments.names, arguments.voc_base, arguments.min_side)


def ask(question: str, answers: tuple[str, ...]) -> str:
    """Asks on a terminal. Raises Unclear where there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Unclear(question)
    print(question, file=sys.stderr)
    while True:
        print(f"{' or '.join(answers)}? ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise Unclear(question)
        if (answer := line.strip().lower()) in answers:
            return answer


def track(paths: Iterable[str], count: int, label: str) -> Iterator[str]:
    """Shows on a terminal how many images are done."""
    if not sys.stderr.isatty():
        yield from paths
        return
    for number, path in enumerate(paths):
        if number % 50 == 0:
            print(f"\r{label}: {number} of {count} images", end="", file=sys.stderr, flush=True)
        yield path
    print(f"\r{label}: {count} of {count} images", file=sys.stderr)


def print_outcome(outcome: Outcome, folder: Path | None) -> None:
    """The summary, and the faults in a table."""
    for line in summary_lines(outcome.summary, outcome.dataset.format):
        print(one_line(line))
    counts = outcome.faults.counts()
    if not counts:
        print("nothing odd found")
    else:
        rows: list[tuple[object, ...]] = [("count", "", "what")]
        for kind, count in counts.items():
            first = outcome.faults.of(kind)[0]
            example = first.text if first.file == "." else f"{first.file} {first.where}".strip()
            what = wrap(f"{kind}: {KINDS[kind][1]}", WHAT)
            rows.append((count, outcome.faults.became(kind), what[0]))
            rows += [("", "", line) for line in (*what[1:], shortened(f"{'such as ' * (count > 1)}{example}", WHAT))]
        print()
        print_table(rows)
        print()
    if folder is not None:
        if counts:
            print(f"{folder / FAULTS} lists each of them")
        print(f"{folder / SHEET} shows images with their boxes")


def summary_lines(summary: Summary, format: str) -> Iterator[str]:
    """What there is, in a few lines."""
    images = sum(summary.images.values())
    splits = ", ".join(f"{count} {split}" for split, count in sorted(summary.images.items()) if split)
    classes = f"{len(summary.classes)} class{'' if len(summary.classes) == 1 else 'es'}"
    yield f"{format}: {images} images{f' ({splits})' if splits else ''}, {summary.boxes} boxes, {classes}"
    sizes = ", ".join(f"{width}x{height} ({count})" for (width, height), count in summary.sizes[:4])
    yield f"sizes: {sizes}{', …' * (len(summary.sizes) > 4)}"
    low, middle, high = summary.boxes_per_image
    empty = "".join(
        f"; {count} {words}" for count, words in ((summary.empty, "without boxes"), (summary.unlabelled, "without labels")) if count
    )
    yield f"boxes an image: {low:g} to {high:g}, median {middle:g}{empty}"
    low, middle, high = summary.side
    yield f"boxes' side (root of the area): {low:.0f} to {high:.0f} pixels, median {middle:.0f}"
    for name, counts in summary.classes.items():
        each = ", ".join(f"{count} {split}" for split, count in sorted(counts.items()) if split)
        yield f"boxes of {named(name)}: {sum(counts.values())}{f' ({each})' if each else ''}"


def print_split(outcome: Outcome) -> None:
    """How the images were split, and what a suite may say of groups."""
    groups = outcome.groups
    if outcome.resplit and groups is not None:
        rule = f"kept together by {groups.rule}: {len(set(groups.of))} groups" if groups.rule else "image by image"
        print(f"split: made, {rule}{f'; by {groups.pattern}' if groups.pattern else ''}")
    else:
        print("split: the folder's own")
