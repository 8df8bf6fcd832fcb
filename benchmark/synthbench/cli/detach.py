"""`synthbench run --detach`: hands the run to SLURM, or to a process of its own, so that it goes on without this shell."""

from __future__ import annotations

import argparse
import math
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from synthbench.cli.environments import confirm, say
from synthbench.execution.interpreters import confirmation, interpreters
from synthbench.execution.journal import RUNS, new_name
from synthbench.storage.local import disk_errors_explained

if TYPE_CHECKING:
    from synthbench.experiment import Experiment


def detach(experiment: Experiment, arguments: argparse.Namespace) -> int:
    """Starts the same command elsewhere and says how to look after it. Raises SynthbenchError if SLURM takes no job."""
    command = [sys.executable, "-P", "-m", "synthbench", *(each for each in sys.argv[1:] if each != "--detach")]
    if arguments.engine == "local":  # nobody can be asked later
        specs = list(experiment.environments.values())
        interpreters(specs, confirmation(arguments.make_environments or confirm), say)
    folder = experiment.store.root / RUNS
    log = folder / f"{new_name()}.log"
    with disk_errors_explained(experiment.store.address):
        folder.mkdir(exist_ok=True)
        log.touch()
    look = f"synthbench status --store {shlex.quote(arguments.store)}"
    if arguments.engine == "slurm":
        print(f"SLURM job {submit(command, log, arguments.slurm)} runs it; to see where it is: {look}; what it prints: {log}")
        return 0
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    print(f"process {process.pid} runs it; to see where it is: {look}; what it prints: {log}; to stop it: kill {process.pid}")
    return 0


def submit(command: list[str], log: Path, table_file: str | None) -> str:
    """Submits the run itself as a SLURM job, which SLURM starts again if its machine is lost."""
    from synthbench.execution.clusters.slurm_commands import Slurm
    from synthbench.execution.clusters.slurm_table import Request, mebibytes, read_table

    table = read_table(Path(table_file) if table_file else None)
    runner = table.runner
    request = Request(
        minutes=math.ceil(runner.minutes or 24 * 60),
        memory=mebibytes(runner.memory or "0"),
        gpus=runner.gpus or 0,
        processors=1,
        # A minute before its time is over it hears of it, and ends as at Ctrl-C: the jobs that it submitted are cancelled.
        options=("--signal=B:TERM@60", *table.options, *(runner.options or ())),
    )
    return Slurm(table).submit(request, [shlex.quote(each) for each in command], log, name="synthbench-run")
