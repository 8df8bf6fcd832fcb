"""Where a run prints."""

from __future__ import annotations

import os
import sys

from rich.console import Console


class Output(Console):
    """A console that stays quiet, instead of ending the program, when the reader of a pipe has seen enough (`| head -1`)."""

    def on_broken_pipe(self) -> None:
        """Prints nothing more; the run goes on."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
