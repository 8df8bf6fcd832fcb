"""`synthbench init`: writes a first suite."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from synthbench.errors import SynthbenchError


def command(arguments: argparse.Namespace) -> int:
    """Writes the example, or a suite for a folder of photographs, and says what comes next."""
    if arguments.example == (arguments.folder is not None):
        raise SynthbenchError("synthbench init: name a folder of photographs, or give --example")
    if arguments.example:
        return write_example(Path(arguments.output or "example.toml"))
    folder = Path(arguments.folder)
    return write_own(folder, Path(arguments.output or f"{folder.resolve().name}.toml"))


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
    print(f"\nnext:\n  synthbench run {shlex.quote(str(file))}")
    return 0


def write_own(folder: Path, file: Path) -> int:
    """Writes a suite for a folder of photographs and this machine."""
    from synthbench.data.formats.faults import FEW, MORE
    from synthbench.registry import installed
    from synthbench.starting.machine import this_machine
    from synthbench.starting.own import own, spoken_duration
    from synthbench.starting.writing import one_line, write_new
    from synthbench.text import named

    machine = this_machine()
    made = own(folder, file, machine, installed())
    write_new(file, made.text)
    facts, choices = made.facts, made.choices
    counts = ", ".join(f"{count} of {one_line(named(name))}" for name, count in facts.classes.items())
    print(f"{folder}: {facts.train} training and {facts.test} test images; training boxes: {counts}")
    if facts.test < FEW:
        print(f"warning: {facts.test} test images are fewer than {FEW}, so answers may stay open; {MORE}")
    print(f"machine: {machine}")
    for name, install in choices.left_out.items():
        print(f"left out {name}, which is not installed: {install}")
    print(f"wrote {file}, in which comments explain every line; it takes {spoken_duration(made.minutes) or 'unknown time'} (an estimate)")
    download = " --download" if choices.large else ""
    print(f"\nnext:\n  synthbench plan {shlex.quote(str(file))}\n  synthbench run {shlex.quote(str(file))}{download}")
    return 0
