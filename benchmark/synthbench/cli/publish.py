"""`synthbench bundle` and `synthbench verify`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.cli.store import open_existing
from synthbench.cli.tables import one_line, print_table

if TYPE_CHECKING:
    from synthbench.publishing.verifying import Verification

FAILED = 1
SHOWN = 20


def bundle_command(arguments: argparse.Namespace) -> int:
    """`synthbench bundle`."""
    from synthbench.publishing.submission import Author
    from synthbench.publishing.writing import contents, pack, write_bundle

    store = open_existing(arguments)
    author = Author(
        name=arguments.by, date=arguments.date, citation=arguments.citation, url=arguments.url, contamination=arguments.weights_saw_data
    )
    packed = pack(Path(arguments.results), store, list(store.contents()), author, with_truth=arguments.with_truth)
    test = packed.submission.test
    print_table([("members", "kB", "what"), *((count, size // 1024, what) for what, count, size in contents(packed))])
    if not test.included:
        print(f"without the true boxes and any real image: {test.reason}. Whoever verifies it needs the data")
    tries = packed.submission.tries
    print(f"{tries.report} scores on this test set in the report, {tries.store} in the store")
    write_bundle(packed, Path(arguments.output))
    print(f"{arguments.output}: bundle {packed.submission.identity}, {Path(arguments.output).stat().st_size / 2**20:.1f} MB")
    return 0


def verify_command(arguments: argparse.Namespace) -> int:
    """`synthbench verify`."""
    from synthbench.execution.crews import processors
    from synthbench.publishing.verifying import verify

    found = verify(Path(arguments.bundle), Path(arguments.data) if arguments.data else None, processes=processors())
    print(f"bundle {found.submission.identity}: {len(found.submission.members)} members, each as stated")
    print_rescored(found)
    if arguments.rerun and found.rescored is not None and found.holds:
        from synthbench.cli.rerun import rerun

        found = rerun(found, arguments)
    if arguments.receipt:
        from synthbench.publishing.receipts import write_receipt

        write_receipt(found, Path(arguments.receipt))
    return FAILED if not found.holds or (arguments.rerun and found.level != "re-run") else 0


def print_rescored(found: Verification) -> None:
    """What scoring the predictions again gave."""
    for problem in found.problems[:SHOWN]:
        print(f"does not hold: {one_line(problem)}")
    if len(found.problems) > SHOWN:
        print(f"and {len(found.problems) - SHOWN} more")
    if found.rescored is None and not found.holds:
        print("self-reported: its parts contradict each other, so nothing was scored again")
        return
    if found.rescored is None:
        print("self-reported: the true boxes are not in the bundle, so nothing was scored again; name the data with --data FOLDER")
        return
    if not found.holds:
        print(f"{found.level}: of {found.rescored.numbers} numbers, {len(found.problems)} do not follow from the predictions")
        return
    print(f"re-scored with {found.against}: all {found.rescored.numbers} numbers of {found.rescored.cells} cells hold")
    print(f"not scored again: {', '.join(found.unchecked)}")
