"""What a person types. Only this package prints or exits; what a command needs is imported when it is carried out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from synthbench.cli import check, environments, new, plugins, report, run
from synthbench.errors import SynthbenchError

MISUSED, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Carries out one command and gives its exit status: 0, 1 where a stage failed, 2 for bad input, 130 for Ctrl-C."""
    given = parser().parse_args(arguments)
    try:
        return int(given.carry_out(given))
    except KeyboardInterrupt:
        print("\nstopped; what is finished is in the store, and the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SynthbenchError, OSError) as error:  # OSError: a disk's or a folder's trouble, which names the file
        print(error, file=sys.stderr)
        return MISUSED


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="synthbench", description="Can generated images replace the photographs you don't have?")
    made.add_argument("--version", action="version", version=release())
    commands = made.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (run, plugins, report, new, check, environments):
        module.add(commands)
    return made


def release() -> str:
    """The version of this installation."""
    from synthbench import __version__

    return __version__
