"""SLURM's own commands: sbatch, squeue, sacct, scancel."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from synthbench.errors import SynthbenchError
from synthbench.execution.clusters.slurm_table import Request, SlurmTable

ASKED_EVERY = 2.0  # seconds between two calls of squeue, whoever asks: a controller serves many users
PATIENCE = 120.0  # seconds for a command of SLURM's
WAITING = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "RESIZING", "STAGE_OUT", "SIGNALING", "STOPPED")
FULL = re.compile("limit|temporarily unable|unable to contact|timed out|connection (refused|reset)|try again", re.IGNORECASE)
"""What sbatch says where it may take the same job later: a cap of a user's jobs, a controller that is busy or being restarted."""
NEVER = re.compile("time ?limit|memory", re.IGNORECASE)
"""Limits of one job, which stay."""
PAUSE = 20.0  # seconds between two tries
TRIES = 180  # an hour
MISSING = "--engine slurm needs SLURM's commands ({}), which are not on this machine: run it on a login node of the cluster"


class Slurm:
    """The cluster that this machine submits to. Raises SynthbenchError if it submits to none."""

    def __init__(self, table: SlurmTable) -> None:
        self.table = table
        if missing := [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]:
            raise SynthbenchError(MISSING.format(", ".join(missing)))
        self._states: dict[str, str] = {}
        self._asked = -math.inf
        self._lock = threading.Lock()

    def submit(self, request: Request, command: Sequence[str], log: Path, *, array: int = 0, name: str = "synthbench") -> str:
        """Submits a job, or an array of so many, and returns its id. Raises SynthbenchError with what sbatch says.

        command: what it runs. log: where its output goes.
        """
        table = self.table
        arguments = [f"--job-name={name}", "--parsable", "--nodes=1", "--ntasks=1", f"--cpus-per-task={request.processors}"]
        arguments += [f"--time={request.minutes}", f"--output={str(log).replace('%', '%%')}", "--open-mode=append"]
        arguments += [f"--array=0-{array - 1}", "--no-requeue"] if array else ["--requeue"]
        arguments += [f"--mem={request.memory}M"] if request.memory else []
        arguments += [f"--gres=gpu:{request.gpus}"] if request.gpus else []
        arguments += [f"--partition={table.partition}"] if table.partition else []
        arguments += [f"--account={table.account}"] if table.account else []
        script = "\n".join(["#!/bin/bash", *table.setup, f"exec {' '.join(command)}", ""])
        for left in reversed(range(TRIES)):
            try:
                return self._call(["sbatch", *arguments, *request.options], script).strip().split(";")[0]
            except SynthbenchError as error:
                said = str(error).partition("\n")[2]
                if not left or not FULL.search(said) or NEVER.search(said):
                    raise
            time.sleep(PAUSE)
        raise AssertionError("the last try returns or raises")

    def state(self, job: str) -> str:
        """Where a job is, in SLURM's words; empty if SLURM does not answer, `GONE` if it knows the job no more."""
        with self._lock:
            if time.monotonic() - self._asked > ASKED_EVERY:
                try:
                    listed = self._call(["squeue", "--me", "--noheader", "--array", "--states=all", "--format=%i %T"])
                    self._states = dict(line.split() for line in listed.splitlines() if len(line.split()) == 2)
                except SynthbenchError:  # the controller is busy or being restarted; jobs go on meanwhile
                    return ""
                self._asked = time.monotonic()
            return self._states.get(job) or self._accounted(job)

    def cancel(self, jobs: Sequence[str]) -> None:
        """Ends jobs, as far as there are any."""
        if jobs:
            subprocess.run(["scancel", *jobs], env=outside(), capture_output=True, check=False, timeout=PATIENCE)

    def _accounted(self, job: str) -> str:
        """What the accounting says of a job that the controller has forgotten; clusters need not have any."""
        try:
            said = self._call(["sacct", "--noheader", "--allocations", "--parsable2", "--format=State", "--jobs", job]).split()
        except SynthbenchError:
            return "GONE"
        return said[0] if said else "GONE"

    def _call(self, command: list[str], text: str = "") -> str:
        """Runs a command and returns what it prints. Raises SynthbenchError with its errors."""
        try:
            done = subprocess.run(command, input=text, env=outside(), capture_output=True, text=True, check=False, timeout=PATIENCE)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SynthbenchError(f"{command[0]}: {error}") from None
        if done.returncode:
            raise SynthbenchError(f"{shlex.join(command)}:\n{done.stderr.strip()}")
        return done.stdout


def outside() -> dict[str, str]:
    """The environment without that of a SLURM job that this process may run in: jobs that it submits would take over its limits."""
    return {
        name: value for name, value in os.environ.items() if name == "SLURM_CONF" or not name.startswith(("SLURM_", "SLURMD_", "SRUN_"))
    }
