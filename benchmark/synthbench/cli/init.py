"""`synthbench init`: writes a first suite."""

from __future__ import annotations

import argparse
from pathlib import Path

from synthbench.errors import SynthbenchError


def command(arguments: argparse.Namespace) -> int:
    """Writes the example, or a suite for a folder of photographs, and says what comes next."""
    if arguments.example == (arguments.folder is not None):
        raise SynthbenchError("synthbench init: name a folder of photographs, or give --example")
    return write_example(Path(arguments.output or "example.toml"))


def write_example(file: Path) -> int:
    """Writes the example for the plugins that are installed."""
    from synthbench.registry import installed
    from synthbench.starting.example import example
    from synthbench.starting.writing import write_new

    made = example(installed())
    write_new(file, made.text)
    print(f"wrote {file}")
    for name, install in made.left_out.items():
        print(f"left out {name}, which is not installed: {install}")
    print(f"\nnext:\n  synthbench run {file}")
    return 0
