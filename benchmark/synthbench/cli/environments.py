"""`synthbench env`, and the question before an environment is made."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.cli.tables import print_table
from synthbench.errors import SynthbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synthbench.execution.environments import EnvironmentSpec

UNITS = 1000.0


def confirm(specs: Sequence[EnvironmentSpec], folder: Path) -> None:
    """Shows what would be installed and asks at the terminal. Returns if the user says yes, raises SynthbenchError otherwise."""
    from synthbench.execution.interpreters import DECLINED

    description = "\n".join(["these environments are needed, and uv would install into them:", *(each.description() for each in specs)])
    print(description, file=sys.stderr)
    if sys.stdin.isatty():
        print(f"make them below {folder} now? [y/N] ", end="", file=sys.stderr, flush=True)
        if answered_yes():
            return
    raise SynthbenchError(DECLINED)


def answered_yes() -> bool:
    """Reads a person's answer to a question; anything but yes is no."""
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def say(line: str) -> None:
    """Prints a line to standard error."""
    print(line, file=sys.stderr)


def list_command(arguments: argparse.Namespace) -> int:  # noqa: ARG001 - it takes no arguments
    """`synthbench env list`."""
    from synthbench.execution.environments import Environments, default_folder

    environments = Environments(default_folder())
    rows = [("name", "plugin", "python", "packages", "size", "made")]
    environments.sweep()
    for name in environments.names():
        about = environments.about(name)
        size = f"{size_of(environments.root / name) / UNITS**3:.1f} GB"
        if about is None:
            rows.append((name, "its Python is gone", "", "", size, ""))
        else:
            rows.append((name, about["distribution"], about["python"], str(len(about["packages"])), size, about["made"]))
    if len(rows) == 1:
        print(f"no environments below {environments.root}")
        return 0
    print_table(rows)
    return 0


def show_command(arguments: argparse.Namespace) -> int:
    """`synthbench env show`."""
    from synthbench.execution.environments import Environments, default_folder

    environments = Environments(default_folder())
    name = environments.find(arguments.name)
    print(json.dumps({"name": name, "folder": str(environments.root / name), **(environments.about(name) or {})}, indent=1))
    return 0


def remove_command(arguments: argparse.Namespace) -> int:
    """`synthbench env remove`."""
    from synthbench.execution.environments import Environments, default_folder

    environments = Environments(default_folder())
    for name in [environments.find(each) for each in arguments.name]:  # check all names before removing any
        environments.remove(name)
        print(f"removed {name}")
    return 0


def size_of(folder: Path) -> int:
    """Size of a folder's files in bytes; files that uv links to its cache count in full."""
    return sum(each.lstat().st_size for each in folder.rglob("*") if each.is_file())
