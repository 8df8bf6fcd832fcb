"""What a person types. Only this package prints or exits; what a command needs is imported when it runs."""

from __future__ import annotations

import os
import sys

from synthbench.cli.parser import parser
from synthbench.errors import SynthbenchError

TYPE_CHECKING = False  # not from typing, which takes long to import
if TYPE_CHECKING:
    from collections.abc import Sequence

MISUSED, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    0, 1 if a stage failed, 2 for bad input, 3 if nothing failed and labels by people are missing, 130 for Ctrl-C.
    """
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123 - a closed one is None
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a path need not be UTF-8
    parsed = parser().parse_args(arguments)
    try:
        import importlib

        module, _, name = parsed.command.partition(":")
        return int(getattr(importlib.import_module(f"synthbench.cli.{module}"), name)(parsed))
    except KeyboardInterrupt:
        print("\nstopped; what is finished is in the store, and the same command continues from there", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SynthbenchError, OSError) as error:  # OSError: of a disk or a folder, and it names the file
        print(error, file=sys.stderr)
        return MISUSED
