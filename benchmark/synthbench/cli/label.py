"""`synthbench label list` and `synthbench label import`."""

from __future__ import annotations

import argparse
from pathlib import Path

from synthbench.labelling.answers import read_answers
from synthbench.labelling.batch import find_batches, read_batch
from synthbench.labelling.export import check_is_folder
from synthbench.labelling.importing import import_answers
from synthbench.labelling.matching import Taken


def list_command(arguments: argparse.Namespace) -> int:
    """`synthbench label list`."""
    root = Path(arguments.labels)
    check_is_folder(root)
    for folder in find_batches(root):
        batch, answers = read_batch(folder), read_answers(folder)
        answered = answers.answered(len(batch.images)) if answers else 0
        print(f"{folder}: {answered} of {len(batch.images)} images have an answer")
    return 0


def import_command(arguments: argparse.Namespace) -> int:
    """`synthbench label import`."""
    files = [Path(each) for each in arguments.answers]
    imported = import_answers(files, Path(arguments.labels), partial=arguments.partial, untouched=arguments.untouched)
    for taken in imported.taken:
        print(told(taken))
    for reason, count in imported.skipped.items():
        print(f"not taken: {reason} ({count})")
    print("run the suite again to go on")
    return 0


def told(taken: Taken) -> str:
    """What an import did with a batch."""
    boxes = sum(len(each.boxes.xyxy) for each in taken.answers.values())
    empty = sum(not each.boxes.xyxy for each in taken.answers.values())
    timed = [each.seconds for each in taken.answers.values() if each.seconds is not None]
    parts = [
        f"{len(taken.answers)} images with {boxes} boxes, {empty} of them empty",
        *([f"{sum(timed) / 60:.1f} minutes for {len(timed)} images"] if timed else []),
        *([f"{taken.replaced} earlier answers replaced"] if taken.replaced else []),
        *([f"{taken.dropped} boxes outside of their image dropped"] if taken.dropped else []),
        *([f"{taken.untouched} images taken as not looked at"] if taken.untouched else []),
        f"{taken.answered} of {taken.asked} images have an answer",
    ]
    return f"{taken.folder}: {'; '.join(parts)}"
