"""The file that lists every fault, for a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

from synthbench.data.formats.faults import KINDS, Faults
from synthbench.files import replacing
from synthbench.text import cut

COLUMNS = ("fault", "what became of it", "file", "where", "more")


def write_faults(faults: Faults, path: Path) -> None:
    """Writes a CSV file with a line for each fault, in the order of the kinds."""
    order = {kind: rank for rank, kind in enumerate(KINDS)}
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8-sig") as file:  # else Excel reads another encoding
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for each in sorted(faults.found, key=lambda fault: order[fault.kind]):
            writer.writerow([harmless(cell) for cell in (each.kind, faults.became(each.kind), each.file, each.where, each.text)])


def harmless(cell: str) -> str:
    """Text in one line that no spreadsheet takes for a formula."""
    text = cut(cell).replace("\n", " ")
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text
