"""What this machine has for a run."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from synthbench.execution.crews import processors

SECONDS = 20  # for nvidia-smi, which hangs where a driver is broken


@dataclass(frozen=True)
class Machine:
    """processors: that this process may use. memory, gpu_memory: GiB; 0 if unknown or none. gpu: its name, empty if there is none."""

    processors: int
    memory: float
    gpu: str = ""
    gpu_memory: float = 0.0

    def __str__(self) -> str:
        count = f"{self.processors} processor{'s' * (self.processors != 1)}"
        memory = f", {self.memory:.0f} GiB of memory" if self.memory else ""
        return f"{count}{memory}, {f'{self.gpu} with {self.gpu_memory:.0f} GiB' if self.gpu else 'no GPU'}"


def this_machine() -> Machine:
    """Asks the system, and NVIDIA's driver if it is there. torch, which takes long to load, is not asked."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):  # not on this system
        memory = 0.0
    return Machine(processors(), memory, *first_gpu())


def first_gpu() -> tuple[str, float]:
    """Name and GiB of the first NVIDIA GPU; an empty name if there is none."""
    if not (tool := shutil.which("nvidia-smi")):
        return "", 0.0
    asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=SECONDS, check=True).stdout.splitlines()[0]
        name, mebibytes = told.rsplit(",", 1)
        return name.strip(), float(mebibytes) / 1024
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return "", 0.0
