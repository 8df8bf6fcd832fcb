"""What of a suite's results must be the same, wherever its stages ran."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs
from synthbench import Results


def figures(results: Results) -> list[object]:
    """Every figure, and the key of every stage."""
    cells = [structs.replace(cell, train_seconds=0.0, predict_seconds=0.0) for cell in results.cells]
    return [*cells, *results.judged, *results.generated, sorted((stage.label, stage.key) for stage in results.stages)]


def at_work(store: Path) -> list[int]:
    """The worker processes of synthbench for a store that run on this machine, whoever started them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, state = (folder / "cmdline").read_bytes().split(b"\0"), (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if str(store).encode() in words and b"synthbench.execution.worker" in words and state != "Z":
            found.append(int(folder.name))
    return found
