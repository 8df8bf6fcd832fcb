"""`synthbench report`: renders stored results again."""

from __future__ import annotations

import argparse
from pathlib import Path

from synthbench.errors import SynthbenchError


def command(arguments: argparse.Namespace) -> int:
    """Renders each file."""
    from synthbench.reporting import render_file

    files = [Path(each) for each in arguments.results] or sorted(Path("reports").glob("*.json"))
    if not files:
        raise SynthbenchError("reports: no results here; name a JSON file that `synthbench run` wrote")
    for file in files:
        print(render_file(file))
    return 0
