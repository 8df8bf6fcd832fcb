"""`synthbench report`: renders stored results again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from synthbench.errors import SynthbenchError


def add(commands: Any) -> None:
    """Adds the command."""
    report = commands.add_parser("report", help="render reports again from their stored results")
    report.add_argument("results", type=Path, nargs="*", help="JSON files (default: all in reports/)")
    report.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Renders each file."""
    from synthbench.report import render_file

    files = arguments.results or sorted(Path("reports").glob("*.json"))
    if not files:
        raise SynthbenchError("reports: no results here; name a JSON file that `synthbench run` wrote")
    for file in files:
        print(render_file(file))
    return 0
