"""The GPUs of this machine, found without loading a library that would hold their memory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"
LISTED = 20.0  # seconds that nvidia-smi may take; a GPU that has fallen off its bus can make it hang


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs that stages may use, as `CUDA_VISIBLE_DEVICES` names them: what it names already, else all of the machine.

    Those of the machine are named by their UUIDs, which mean the same whatever order CUDA counts in.
    """
    if (given := os.environ.get(VISIBLE)) is not None:
        names = [each.strip() for each in given.split(",")]
        return names[: next((number for number, each in enumerate(names) if each in ("", "-1")), len(names))]  # CUDA reads no further
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LISTED).stdout
    except (OSError, subprocess.SubprocessError):  # installed, but without a driver or a GPU
        return []
    return [line.strip() for line in listed.splitlines() if line.strip()]


def pinned(device: str, gpus: Sequence[str], workers: int) -> list[str | None]:
    """For each of the workers of one machine, the GPU that it sees; None: whatever there is.

    workers: for each GPU. A device that names one, as in `cuda:1`, and one that is no GPU are not shared out.
    """
    if device not in ("auto", "cuda") or len(gpus) < 2:
        return [None] * workers
    return [gpu for _ in range(workers) for gpu in gpus]  # first one for each GPU: what is short ends on several
