"""What a person types. Only this package prints or exits; what a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from synthbench.cli import check, environments, new, plugins, report, run
from synthbench.errors import SynthbenchError

MISUSED, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status: 0, 1 if a stage failed, 2 for bad input, 130 for Ctrl-C."""
    parsed = parser().parse_args(arguments)
    try:
        return int(parsed.command(parsed))
    except KeyboardInterrupt:
        print("\nstopped; what is finished is in the store, and the same command continues from there", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SynthbenchError, OSError) as error:  # OSError: of a disk or a folder, and it names the file
        print(error, file=sys.stderr)
        return MISUSED


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from synthbench import __version__

    top = argparse.ArgumentParser(prog="synthbench", description="Can generated images replace the photographs you don't have?")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (run, plugins, report, new, check, environments):
        module.add(commands)
    return top
