"""`synthbench leaderboard`."""

from __future__ import annotations

import argparse
from pathlib import Path


def command(arguments: argparse.Namespace) -> int:
    """`synthbench leaderboard`."""
    from synthbench.publishing.merging import merge

    folder = Path(arguments.out)
    receipts = Path(arguments.receipts) if arguments.receipts else None
    merged = merge([Path(each) for each in arguments.bundle], folder, receipts, arguments.title)
    levels: dict[str, int] = {}
    for part in merged.board.tables:
        rows = len(part.ranked) + len(part.unranked)
        name = f"closed division, {part.detector.name}" if part.detector else "open division"
        print(f"{name}: {rows} rows, {len(part.unranked)} of them without a rank, in {len(part.groups)} groups")
        for line in (*part.ranked, *part.unranked):
            levels[line.level] = levels.get(line.level, 0) + 1
    print(f"{', '.join(f'{number} rows {level}' for level, number in sorted(levels.items()))}")
    print(f"{folder}: {len(merged.board.entries)} bundles, {len(merged.added)} of them new; {merged.written} files changed")
    return 0
